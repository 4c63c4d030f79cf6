"""What a log says beside the spans of its run, put onto the spans that it speaks of.

So a finding stands where it stands when there are only spans; what no span stands for is added as a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spantriage.model import Step
from spantriage.run import Run

__all__ = ["put_beside"]


def put_beside(run: Run, told: Iterable[Step], cap: int) -> None:
    """Put each reply that was turned down onto the model call that made it: the agent's last one before it was."""
    calls: dict[str | None, list[Step]] = {}
    inner: dict[int | None, Step] = {}  # the client's own span of a call, where a framework's stands around it
    for step in sorted(run.steps.values(), key=lambda each: each.order):
        if step.kind == "model":
            inner[step.parent_id] = step
            if step.agent is not None:
                calls.setdefault(step.agent, []).append(step)
    knows_tools = any(step.content is not None and step.content.declared for step in run.steps.values())
    used: set[int] = set()
    for step in sorted(told, key=lambda each: each.order):
        if step.sign == "unknown_tool" and knows_tools:
            continue  # the spans tell it themselves, where the tool was asked for
        note = step.note or {}
        is_reply = "enforcement_reason" in note and not note.get("follows_failure")
        before = [call for call in calls.get(step.agent, ()) if call.start_ns <= step.end_ns] if is_reply else []
        call = inner.get(before[-1].span_id, before[-1]) if before else None
        if call is None or call.span_id in used:
            run.add(replace(step, trace_id=run.trace_id, parent_id=None), cap)
            continue
        used.add(call.span_id)
        call.note = {**(call.note or {}), **note, "is_recorded": True}
