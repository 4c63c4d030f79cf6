"""LlamaIndex's own OpenTelemetry tracer: no usage, names of methods, and all data in events or in Python's words.

A step's input and output are cut after some 200 characters. So what a model asked for, with which arguments, and what
its tools answered is taken from the history of the next call, which is whole, once the run is known.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Final

from spantriage import text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect
from spantriage.failures import read_result
from spantriage.history import History
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step, ToolCall, ToolResult
from spantriage.semconv import event_attributes

SUMMARY: Final = "llamaindex.step.input_summary"
SUMMARY_CAP: Final = 4_000
# The last part of a span's name is a method; what it means where its class is no agent or engine.
METHODS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("chat", "achat", "stream_chat", "astream_chat"), "model"),
    **dict.fromkeys(("complete", "acomplete", "stream_complete", "astream_complete"), "model"),
    **dict.fromkeys(("call", "acall"), "tool"),
    **dict.fromkeys(("retrieve", "aretrieve", "get_query_embedding", "aget_query_embedding", "postprocess_nodes"), "retrieval"),
}  # fmt: skip
HOSTS: Final = ("Agent", "Engine", "Workflow", "Runner", "Worker")
CALL: Final = re.compile(r"^ToolCall\(tool_name='([^']{1,200})', tool_kwargs=(.*), tool_id='([^']{0,200})'\)$", re.DOTALL)
NAME: Final = re.compile(r"^ToolCall\(tool_name='([^']{1,200})'")
AGENT: Final = re.compile(r"current_agent_name='([^']{1,200})'")
_QUOTED: Final = r"('(?:[^'\\]|\\.)*'?|\"(?:[^\"\\]|\\.)*\"?)"
_TEXT: Final = rf"blocks=\[TextBlock\(block_type='text', text={_QUOTED}"
SAID: Final = re.compile(rf"additional_kwargs=\{{\}}, {_TEXT}", re.DOTALL)
ANSWERED: Final = re.compile(rf"tool_output=ToolOutput\({_TEXT}", re.DOTALL)
CANCELLED: Final = "SpanCancelledEvent"


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `llamaindex.opentelemetry.tracer`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """Kind and names, as far as a span's own name and its step's input tell."""
    owner, _, method = step.name.rpartition(".")
    summary = text.string(attributes.get(SUMMARY)) or ""
    step.kind = "workflow" if owner.endswith(HOSTS) else METHODS.get(method, "workflow")
    if method == "run" and owner.endswith("Agent"):
        step.kind = "agent"
    elif step.kind == "tool" or method == "call_tool":
        fill_call(step, summary)


def fill_call(step: Step, summary: str) -> None:
    """Name, arguments and id of a tool call; a call that was cut has no arguments here."""
    found = CALL.match(summary)
    name = found or NAME.match(summary)
    step.tool = name[1] if name is not None else None
    if found is not None and len(summary) <= SUMMARY_CAP:
        step.call_id = text.name(found[3])
        with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            step.arguments = text.plain(ast.literal_eval(found[2]))


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """What events tell: the messages sent to a model, a reply that came at once, a step's result, that it was cancelled."""
    for event in span.events:
        if event.name == CANCELLED and not step.failed:
            step.failed, step.sign, step.error_type = True, "cancelled", "CancelledError"
            step.error_message = text.clip(text.string((event.attributes or {}).get("reason")) or "", ERROR_CAP) or None
    if step.kind != "model":
        read_output(step, span)
        return Content(captured=step.result is not None, text=step.result) if step.kind == "agent" else None
    content = Content()
    for name in ("LLMChatStartEvent", "LLMCompletionStartEvent"):
        asked = event_attributes(span, name) or {}
        if "messages" in asked:
            tail = history.tail(asked["messages"])
            content.captured = content.captured or bool(tail.messages)
            tail.messages = [to_message(message) for message in tail.messages]
            read_tail(content, tail)
        content.declared = content.declared or read_definitions(asked.get("additional_kwargs.tools"))
        step.model = step.model or text.name(asked.get("model_dict.model_name") or asked.get("model_dict.model"))
    for name in ("LLMChatEndEvent", "LLMCompletionEndEvent"):
        reply = text.load((event_attributes(span, name) or {}).get("response"))
        if isinstance(reply, Mapping):
            read_reply(content, to_message(reply.get("message") or {"role": "assistant", "content": reply.get("text")}))
    return content


def read_output(step: Step, span: Span) -> None:
    """What a step came to, in Python's words, cut: an answer, a tool's result, the agent whose turn it is."""
    attributes = event_attributes(span, "workflow.output") or event_attributes(span, "step.output") or {}
    output = text.string(attributes.get("output")) or ""
    method = step.name.rpartition(".")[2]
    if method == "call_tool":
        step.result = _literal(ANSWERED.search(output))
        step.result_digest, step.arguments_digest = text.digest(step.result), text.digest(step.arguments)
    elif method in ("run", "run_agent_step"):
        step.result = said(output)
    else:
        step.note = turn_of(output)


def said(output: str) -> str | None:
    """The answer in the words that Python has for a step's result."""
    return _literal(SAID.search(output))


def turn_of(output: str) -> dict[str, object] | None:
    """A note of the agent whose turn a step's result says it is."""
    found = AGENT.search(output)
    return None if found is None else {"agent": found[1]}


def _literal(found: re.Match[str] | None) -> str | None:
    """A Python string; of one that was cut, what is left of it, with the dots that say so."""
    if found is None:
        return None
    try:
        return str(ast.literal_eval(found[1]))
    except (ValueError, SyntaxError):
        return found[1][1:]


def to_message(value: object) -> dict[str, object]:
    """A chat message in OpenAI's words."""
    found = value if isinstance(value, Mapping) else {}
    more = found.get("additional_kwargs")
    more = more if isinstance(more, Mapping) else {}
    message: dict[str, object] = {"role": found.get("role"), "content": found.get("content")}
    blocks = found.get("blocks")
    if isinstance(blocks, list):
        parts = [block for block in blocks if isinstance(block, Mapping)]
        message["content"] = "\n".join(block["text"] for block in parts if type(block.get("text")) is str)
        calls = [block for block in parts if block.get("block_type") == "tool_call"]
        message["tool_calls"] = [
            {"id": c.get("tool_call_id"), "name": c.get("tool_name"), "arguments": c.get("tool_kwargs")} for c in calls
        ]
    message["tool_calls"] = more.get("tool_calls") or message.get("tool_calls")
    message["tool_call_id"] = more.get("tool_call_id")
    return message


def settle(steps: list[Step]) -> None:
    """One step for each tool call, an agent's name for each step, and to each model call what came of it."""
    ours = [step for step in steps if step.dialect == DIALECT.name]
    by_id = {step.span_id: step for step in ours}
    _merge_calls(ours, by_id)
    name_agents(ours, by_id)
    models = [step for step in ours if step.kind == "model"]
    for step in models:
        if step.content is not None:
            step.content = replace(step.content, requested=list(step.content.requested))
            _take_reply(step, step.content, by_id)
    _take_requests(models, [step for step in ours if step.kind == "tool"])


def _above(step: Step, by_id: Mapping[int, Step]) -> Iterator[Step]:
    seen: set[int] = set()
    found = by_id.get(step.parent_id or 0)
    while found is not None and found.span_id not in seen:
        seen.add(found.span_id)
        yield found
        found = by_id.get(found.parent_id or 0)


def _merge_calls(steps: list[Step], by_id: Mapping[int, Step]) -> None:
    """The innermost span of a call is the call; a call that no tool's span answers is one all the same."""
    answered: set[int] = set()
    for step in reversed(steps):
        if step.kind != "tool":
            continue
        for outer in _above(step, by_id):
            if outer.name.endswith(".call_tool"):
                answered.add(outer.span_id)
                step.result = step.result if step.result is not None or step.failed else outer.result
            elif outer.kind == "tool" and outer.call_id == step.call_id is not None:
                outer.kind = "workflow"
    for step in steps:
        if step.name.endswith(".call_tool") and step.span_id not in answered:
            step.kind = "tool"


def name_agents(steps: list[Step], by_id: Mapping[int, Step]) -> None:
    """The agent whose turn it is, as the steps before said; a run of one agent is that agent's."""
    turn: dict[int, str] = {}
    for step in steps:
        root = next((outer for outer in _above(step, by_id) if outer.name.endswith(".run")), step)
        name = (step.note or {}).get("agent")
        if type(name) is str:
            turn[root.span_id] = name
            if root.kind == "agent" and root.agent is None:
                root.agent = name
        step.agent = turn.get(root.span_id, step.agent) if step is not root else step.agent
    for step in steps:
        step.agent = step.name.rpartition(".")[0] if step.kind == "agent" and step.agent is None else step.agent


def _take_reply(step: Step, content: Content, by_id: Mapping[int, Step]) -> None:
    """A streamed reply is known, cut, from the step around the call; so is a stream that failed after the call's span."""
    around = next((outer for outer in _above(step, by_id) if outer.name.endswith(".run_agent_step")), None)
    if around is None:
        return
    if not content.replied and around.result:
        content.text, content.replied = around.result, True
    if around.failed and not step.failed and around.sign not in ("error", "cancelled", "echo"):
        step.failed, step.sign = True, around.sign
        step.error_type, step.error_message = around.error_type, around.error_message


def _take_requests(models: list[Step], tools: list[Step]) -> None:
    """Tool calls that the next call's history shows were asked for by the call before; their arguments are whole there."""
    told: dict[str, tuple[ToolCall, ToolResult]] = {}
    for before, step in pairwise(models):
        for result in step.content.results if step.content is not None else ():
            if result.call is not None and result.call_id is not None and result.call_id not in told:
                told[result.call_id] = result.call, result
                _add_request(before, result.call)
    for tool in tools:
        if (known := told.get(tool.call_id or "")) is not None:
            tool.arguments = known[0].arguments if tool.arguments is None else tool.arguments
            tool.result = tool.result if tool.failed else known[1].text
        elif tool.tool is not None:
            place = bisect_right(models, tool.start_ns, key=lambda step: step.start_ns)
            if place and models[place - 1].agent == tool.agent:
                valid = True if tool.arguments is not None else None
                _add_request(models[place - 1], ToolCall(tool.tool, tool.call_id, tool.arguments, valid))
        if not tool.failed and tool.result is not None:
            tool.sign = read_result(tool.result) or "ok"
        tool.arguments_digest, tool.result_digest = text.digest(tool.arguments), text.digest(tool.result)


def _add_request(step: Step, call: ToolCall) -> None:
    content = step.content
    if content is not None and all(known.call_id != call.call_id for known in content.requested):
        content.requested.append(call)
        content.replied = True


DIALECT: Final = Dialect("llama_index", ("llamaindex.opentelemetry.tracer",), speaks, fill, read_content, settle=settle)
