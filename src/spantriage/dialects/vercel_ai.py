"""Vercel's AI SDK, as its telemetry page documents it: `ai.operationId` says what a span is, `ai.*` the rest.

`ai.generateText` and `ai.streamText` are a whole tool loop, hence the agent; the calls of the model are the `doGenerate`
and `doStream` spans inside. Version 3's names (`ai.result.*`, `ai.usage.promptTokens`) are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import finish_reason, read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

OPERATION: Final = "ai.operationId"
KINDS: Final[dict[str, Kind]] = {
    "ai.generateText": "agent", "ai.streamText": "agent", "ai.generateObject": "workflow", "ai.streamObject": "workflow",
    "ai.generateText.doGenerate": "model", "ai.streamText.doStream": "model", "ai.generateObject.doGenerate": "model",
    "ai.streamObject.doStream": "model", "ai.toolCall": "tool", "ai.embed": "retrieval", "ai.embed.doEmbed": "retrieval",
    "ai.embedMany": "retrieval", "ai.embedMany.doEmbed": "retrieval", "ai.rerank": "retrieval", "ai.rerank.doRerank": "retrieval",
}  # fmt: skip
INPUT: Final = ("ai.usage.inputTokens", "ai.usage.promptTokens")
OUTPUT: Final = ("ai.usage.outputTokens", "ai.usage.completionTokens")
CACHED: Final = ("ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens")
REASONING: Final = ("ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens")
FINISH: Final = ("ai.response.finishReason", "ai.finishReason")
TEXT: Final = ("ai.response.text", "ai.result.text", "ai.response.object", "ai.result.object")
CALLS: Final = ("ai.response.toolCalls", "ai.result.toolCalls")
FAILED: Final = ("error-text", "error-json")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with one of the SDK's operation ids."""
    operation = attributes.get(OPERATION)
    return type(operation) is str and operation.startswith("ai.")


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent (the function id that the program gave its telemetry), and the scalars of that kind of step."""
    get = attributes.get
    operation = get(OPERATION)
    step.kind = kind = KINDS.get(operation, "workflow") if type(operation) is str else "workflow"
    step.agent = text.name(get("ai.telemetry.functionId") or get("resource.name"))
    if kind == "tool":
        step.tool, step.call_id = text.name(get("ai.toolCall.name")), text.name(get("ai.toolCall.id"))
        step.arguments, step.result = plain(get("ai.toolCall.args")), plain(get("ai.toolCall.result"))
    elif kind == "agent":
        step.agent = step.agent or text.name(operation)
        step.result = text.plain(_first(attributes, TEXT))
        fill_usage(step, attributes)
    elif kind == "model":
        semconv.fill_model(step, attributes)
        step.model = text.name(get("ai.response.model") or get("gen_ai.response.model") or get("ai.model.id")) or step.model
        step.provider = text.name(get("ai.model.provider")) or step.provider
        finish = _first(attributes, FINISH) or get("gen_ai.response.finish_reasons")
        finish = finish[-1] if isinstance(finish, (list, tuple)) and finish else finish
        step.finish = finish_reason(finish.replace("-", "_") if type(finish) is str else None)
        fill_usage(step, attributes)
        step.streamed = (type(operation) is str and operation.endswith(".doStream")) or None


def fill_usage(step: Step, attributes: Attributes) -> None:
    """Token counts; an agent's own are the sum over its calls, kept as a cross-check only."""
    step.input_tokens = _or(semconv.first(attributes, INPUT), step.input_tokens)
    step.output_tokens = _or(semconv.first(attributes, OUTPUT), step.output_tokens)
    step.cached_tokens = _or(semconv.first(attributes, CACHED), step.cached_tokens)
    step.reasoning_tokens = _or(semconv.first(attributes, REASONING), step.reasoning_tokens)


def plain(value: object) -> str | None:
    """An argument or result; a text comes as a JSON string, in quotes."""
    if type(value) is str and value[:1] == '"':
        loaded = text.load(value)
        return loaded if type(loaded) is str else value
    return text.plain(value)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages of a model call, where the program lets inputs and outputs be recorded."""
    if step.kind == "agent":
        return Content(captured=step.result is not None, text=step.result)
    if step.kind != "model":
        return None
    content = Content(declared=definitions(attributes.get("ai.prompt.tools")))
    given = attributes.get("ai.prompt.messages")
    if given is not None:
        tail = history.tail(given)
        content.captured = True
        tail.messages = [to_message(message) for message in tail.messages]
        read_tail(content, tail)
    said, asked = text.plain(_first(attributes, TEXT)), text.load(_first(attributes, CALLS))
    if said is not None or asked is not None:
        calls = [to_part(call) for call in asked] if isinstance(asked, list) else []
        parts = [{"type": "text", "text": said}] if said is not None else []
        read_reply(content, {"role": "assistant", "content": [*parts, *calls]})
    if step.streamed and step.finish is None and step.input_tokens is None and not step.failed and content.text:
        step.sign = "incomplete_stream"  # an answer began; neither finish reason nor usage came
    return content


def definitions(value: object) -> dict[str, Mapping[str, object] | None] | None:
    """Tool definitions: JSON texts in an array, the arguments' schema under `inputSchema`, before version 5 `parameters`."""
    tools = [text.load(tool) for tool in value] if isinstance(value, (list, tuple)) else []
    known = [tool for tool in tools if isinstance(tool, Mapping)]
    return read_definitions([{**tool, "parameters": tool.get("inputSchema") or tool.get("parameters")} for tool in known])


def to_message(value: object) -> object:
    """A message of the SDK with its parts in the usual words."""
    if not isinstance(value, Mapping) or not isinstance(value.get("content"), list):
        return value
    return {**value, "content": [to_part(part) for part in value["content"]]}


def to_part(value: object) -> object:
    """A part of a message: calls and results of tools in the usual words, all else as it is."""
    if not isinstance(value, Mapping) or "toolName" not in value:
        return value
    part: dict[str, object] = {"id": value.get("toolCallId"), "name": value["toolName"]}
    if value.get("type") != "tool-result":
        return {**part, "type": "tool_call", "arguments": value.get("input", value.get("args"))}
    output = value.get("output", value.get("result"))
    failed = value.get("isError")
    if isinstance(output, Mapping) and "type" in output and "value" in output:  # since version 5
        failed = True if output["type"] in FAILED else failed
        output = output["value"]
    return {**part, "type": "tool_call_response", "response": output, "is_error": failed}


def _first(attributes: Attributes, keys: tuple[str, ...]) -> object:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _or(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


DIALECT: Final = Dialect("vercel_ai", (), speaks, fill, read_content, rank=38, probes=(OPERATION,))
