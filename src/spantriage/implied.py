"""Tool calls that have no span of their own, as the histories of later model calls tell of them."""

from __future__ import annotations

from spantriage import text
from spantriage.failures import read_result
from spantriage.model import Step, ToolResult

__all__ = ["with_implied"]


def with_implied(steps: list[Step]) -> list[Step]:
    """The sequence with the tool calls that have no span of their own before the model call whose history shows them."""
    spans = {(s.call_id or s.tool) for s in steps if s.kind == "tool"}
    named = {s.tool for s in steps if s.kind == "tool" and s.call_id is None}
    has_spans = bool(spans) or any(s.kind == "workflow" for s in steps)  # then a nameless result is told by one
    asked: dict[str, Step] = {}
    seen: set[object] = set()
    sequence: list[Step] = []
    for step in steps:
        content = step.content
        if step.kind == "model" and content is not None:
            for result in content.results:
                key = result.call_id or (step.agent_span_id, result.position, text.digest(result.text))
                if key in seen or result.call_id in spans or not result.ran:
                    continue
                seen.add(key)
                implied = imply(step, result, asked)
                if implied.tool not in named and (implied.tool is not None or not has_spans):
                    sequence.append(implied)
            asked.update((call.call_id, step) for call in content.requested if call.call_id)
        sequence.append(step)
    return sequence


def imply(step: Step, result: ToolResult, asked: dict[str, Step]) -> Step:
    """The tool step that a message in the history of `step` tells of, anchored at the model call that asked for it."""
    anchor = asked.get(result.call_id or "", step)
    call = result.call
    if call is None and anchor is not step and anchor.content is not None:
        call = next((c for c in anchor.content.requested if c.call_id == result.call_id), None)
    arguments = None if call is None else call.arguments
    return Step(
        anchor.trace_id,
        anchor.span_id,
        anchor.parent_id,
        min(anchor.end_ns, step.start_ns),
        step.start_ns,
        "tool",
        anchor.name,
        anchor.dialect,
        sign=("silent_failure" if result.failed else None) or read_result(result.text) or "ok",
        agent=step.agent,
        agent_span_id=step.agent_span_id,
        tool=(call.name if call is not None else None) or result.name,
        call_id=result.call_id,
        arguments=arguments,
        result=result.text,
        arguments_digest=text.digest(arguments),
        result_digest=text.digest(result.text),
        implied=True,
        source=anchor.source,
    )
