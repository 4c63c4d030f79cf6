"""Short ways to write down the steps of an example.

An example is a tuple of steps in the order they happened; ids, times and the agent's own span are filled in:
`(asks("search"), calls("search", '{"q": "x"}', "found"), answers("done"))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from spantriage import text
from spantriage.failures import name_failure, read_result
from spantriage.messages import finish_reason
from spantriage.model import Content, Kind, Step, ToolCall, ToolResult
from spantriage.run import Run

__all__ = ["agent", "answers", "asks", "build", "calls", "fails", "span"]

SECOND: Final = 1_000_000_000
EPOCH: Final = 1_700_000_000 * SECOND


def span(kind: Kind, name: str | None = None, **fields: object) -> Step:
    """Any step, with any field."""
    step = Step(0, 0, None, 0, 0, kind, name or kind, "example")
    for key, value in fields.items():
        setattr(step, key, value)
    return step


def agent(name: str = "agent", **fields: object) -> Step:
    """The agent's own span; without one in the example, a healthy one is put around it."""
    return span("agent", name, **{"agent": name, **fields})


def calls(tool: str, arguments: str = "{}", result: str | None = None, **fields: object) -> Step:
    """A tool call with its result; a result that admits failure is a silent failure, as on a real span."""
    step = span("tool", tool, **{"tool": tool, "arguments": arguments, "result": result, **fields})
    step.arguments_digest, step.result_digest = text.digest(arguments), text.digest(result)
    if step.failed:
        step.sign = name_failure("tool", step.error_type, step.error_message)
    elif result is not None:
        step.sign = read_result(result) or "ok"
    return step


def asks(*tools: str | ToolCall, **fields: Any) -> Step:
    """A model call that asks for tools, given by name or as ToolCall."""
    requested = [t if isinstance(t, ToolCall) else ToolCall(t, f"call_{t}", "{}", True) for t in tools]
    return answers(None, finish="tool_calls", requested=requested, **fields)


def answers(
    reply: str | None = "done",
    *,
    finish: str | None = "stop",
    requested: list[ToolCall] | None = None,
    results: list[ToolResult] | None = None,
    declared: Mapping[str, Mapping[str, object] | None] | None = None,
    captured: bool = True,
    must_call: bool = False,
    **fields: object,
) -> Step:
    """A model call that answers in words."""
    content = Content(
        captured=captured,
        replied=captured,
        text=reply,
        requested=requested or [],
        results=results or [],
        declared=None if declared is None else dict(declared),
        must_call=must_call,
    )
    step = span("model", "chat", **{"model": "small", "content": content, **fields})
    step.finish = finish_reason(finish)
    if step.sign == "ok" and step.finish is not None:
        step.sign = step.finish
    return step


def fails(step: Step, error_type: str, message: str = "") -> Step:
    """The same step with an error status."""
    step.failed, step.error_type, step.error_message = True, error_type, message
    step.sign = name_failure(step.kind, error_type, message)
    return step


def build(steps: tuple[Step, ...]) -> Run:
    """Make a run of an example: one second per step, below an agent span."""
    run = Run(trace_id=1)
    top = next((s for s in steps if s.kind == "agent" and s.parent_id is None), None) or agent(result="done")
    inner = [s for s in steps if s is not top]
    for number, step in enumerate([top, *inner]):
        step.trace_id, step.span_id = 1, step.span_id or number + 1
        if step is not top:
            step.parent_id = step.parent_id or top.span_id
            step.start_ns = step.start_ns or EPOCH + number * SECOND
            step.end_ns = step.end_ns or step.start_ns + SECOND // 2
    top.start_ns = top.start_ns or EPOCH
    top.end_ns = top.end_ns or EPOCH + (len(inner) + 1) * SECOND
    for step in (*inner, top):
        run.add(step, cap=10_000)
    run.root_ended = True
    return run
