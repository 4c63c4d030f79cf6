"""Model Context Protocol: `mcp.method.name`, as the conventions and the Python SDKs (`mcp`, `fastmcp`) write it.

One tool call may have four spans: the agent's own `execute_tool`, two of the client and one of the server. They are one
step: the innermost of those that failed, else the innermost. A tool that reports its failure in its result (`isError`)
has `error.type=tool_error`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect, read_error
from spantriage.failures import name_failure, read_result
from spantriage.history import History
from spantriage.model import Content, Kind, Span, Step, ToolCall

METHOD: Final = "mcp.method.name"
CALL: Final = "tools/call"
KINDS: Final[dict[str, Kind]] = {CALL: "tool", "resources/read": "retrieval"}  # all else sets up or is about the connection
PARTS: Final = re.compile(r"[^0-9a-z]+")
TOLD: Final = ("tool", "call_id", "arguments", "arguments_digest", "agent")  # what a span around the call may know better
DEPTH: Final = 64  # ancestors walked from a call


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span of a request or notification."""
    return METHOD in attributes


def fill(step: Step, attributes: Attributes) -> None:
    """A tool call's scalars are those of the conventions; its name may stand in the span's name only."""
    method = attributes.get(METHOD)
    step.kind = KINDS.get(method, "setup") if type(method) is str else "setup"
    if step.kind == "tool":
        semconv.fill_tool(step, attributes)
        step.tool = step.tool or text.name(step.name.partition(f"{CALL} ")[2])
    step.agent = text.name(attributes.get("gen_ai.agent.name"))
    step.conversation = text.name(attributes.get("gen_ai.conversation.id"))


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """An error type says that the request failed, even where the span's status does not."""
    if not step.failed and text.string(attributes.get("error.type")) is not None:
        read_error(step, span, attributes)
    return None


def settle(steps: list[Step]) -> None:
    """Make one step of the spans of each call, and find who asked for those that no span of an agent's is around."""
    by_id = {step.span_id: step for step in steps}
    around: dict[int, Step] = {}  # the span of the same call around a span
    for step in steps:
        if step.kind == "tool" and step.dialect == DIALECT.name:
            outer = next(_calls_above(step, by_id), None)
            if outer is not None and _is_same(step.tool, outer.tool):
                around[step.span_id] = outer
    inner = {step.span_id for step in around.values()}
    for step in reversed(steps):
        if step.span_id in around and step.span_id not in inner:
            _merge(list(_chain(step, around)))
    calls = [step for step in steps if step.kind == "tool" and step.dialect == DIALECT.name]
    for step in calls:
        step.sign = _sign(step)
    _match([step for step in calls if step.call_id is None], steps)


def _calls_above(step: Step, by_id: Mapping[int, Step]) -> Iterator[Step]:
    """Tool calls that the step lies in, nearest first, up to whoever asked for them."""
    found = by_id.get(step.parent_id or 0)
    for _ in range(DEPTH):
        if found is None or found.kind in ("agent", "model"):
            return
        if found.kind == "tool":
            yield found
        found = by_id.get(found.parent_id or 0)


def _is_same(name: str | None, other: str | None) -> bool:
    """Say whether both may be one tool's name; agents put the server's name before its tool's."""
    ours, theirs = (PARTS.sub("_", (each or "").lower()) for each in (name, other))
    return not ours or not theirs or ours == theirs or theirs.endswith(f"_{ours}") or ours.endswith(f"_{theirs}")


def _chain(step: Step, around: Mapping[int, Step]) -> Iterator[Step]:
    seen: set[int] = set()
    found: Step | None = step
    while found is not None and found.span_id not in seen:
        seen.add(found.span_id)
        yield found
        found = around.get(found.span_id)


def _merge(spans: list[Step]) -> None:
    """Keep one of the spans of a call, innermost first, as the call; it takes what the others know."""
    call = next((step for step in spans if step.failed), spans[0])
    inside = True
    for step in spans:
        if step is call:
            inside = False
            continue
        if step.kind == "tool":  # else it is around several calls, and the last has taken what it knows
            for name in TOLD:
                told = getattr(step, name)
                if told is not None and (not inside or getattr(call, name) is None):
                    setattr(call, name, told)
            call.result = step.result if call.result is None else call.result
        step.kind = "workflow"
        if not step.failed:
            step.sign = "ok"


def _sign(call: Step) -> str:
    """How the call went. Where its spans do not say why it failed, its result may."""
    call.result_digest = text.digest(call.result)
    if not call.failed:
        return (read_result(call.result) if call.result is not None else None) or "ok"
    call.error_message = call.error_message or call.result
    return name_failure("tool", call.error_type, call.error_message)


def _match(calls: list[Step], steps: list[Step]) -> None:
    """Give calls the ids under which models asked for them, in order, so that the messages tell of no second call."""
    taken = {step.call_id for step in steps if step.kind == "tool" and step.call_id is not None}
    waiting: dict[str, deque[tuple[Step, ToolCall]]] = {}
    for step in steps:
        for asked in step.content.requested if step.kind == "model" and step.content is not None else ():
            if asked.name is not None and asked.call_id is not None and asked.call_id not in taken:
                waiting.setdefault(asked.name, deque()).append((step, asked))
    answers = {result.call_id: result.text for step in steps if step.content is not None for result in step.content.results}
    for call in calls:
        names = [name for name, queue in waiting.items() if queue and call.tool is not None and _is_same(call.tool, name)]
        for name in names[:1]:
            if waiting[name][0][0].start_ns > call.start_ns:
                continue
            _, asked = waiting[name].popleft()
            call.call_id, call.tool = asked.call_id, name
            call.arguments = asked.arguments if call.arguments is None else call.arguments
            call.arguments_digest = text.digest(call.arguments)
            if call.result is None and asked.call_id in answers:
                call.result = answers[asked.call_id]
                call.sign = _sign(call)


DIALECT: Final = Dialect(
    "mcp", ("mcp-python-sdk", "fastmcp"), speaks, fill, read_content, rank=60, probes=(METHOD,), settle=settle
)  # fmt: skip
