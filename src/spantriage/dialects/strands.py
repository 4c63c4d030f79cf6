"""Strands Agents: the GenAI conventions, with everything that was said in span events.

By default the events are `gen_ai.*.message` and `gen_ai.choice` with Bedrock's content blocks; with the latest
conventions they are `gen_ai.client.inference.operation.details`, whose attributes are the conventions' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import flattened, semconv, text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect
from spantriage.failures import name_failure, read_result
from spantriage.history import History
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

OPERATIONS: Final[dict[str, Kind]] = {"invoke_graph": "workflow", "invoke_swarm": "workflow"}
MESSAGES: Final = {
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE: Final = "gen_ai.choice"
DETAILS: Final = "gen_ai.client.inference.operation.details"


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `strands.telemetry.tracer`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """The conventions, then what several agents at work are called, and a tool's own word on how it went."""
    semconv.fill(step, attributes)
    operation = attributes.get("gen_ai.operation.name")
    if step.kind == "other" and type(operation) is str:
        step.kind = OPERATIONS.get(operation, "other")
    if step.kind == "tool":
        step.result = plain_result(step.result)
        if attributes.get("gen_ai.tool.status") == "error":
            step.failed, step.error_message = True, step.result


def plain_result(value: object) -> str | None:
    """A tool's content blocks as text; anything else as it is."""
    blocks = text.load(value) if type(value) is str and value.startswith("[{") else value
    if not isinstance(blocks, (list, tuple)):
        return text.plain(value)
    said = [text.plain(next(iter(block.values()), None)) or "" for block in blocks if isinstance(block, Mapping)]
    return "\n".join(said)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """What the events of the span say; of a tool, its arguments and result."""
    if step.kind == "tool":
        read_tool(step, span)
        return None
    if step.kind == "agent":
        history = History()  # its messages are its first model call's, which is to read them too
    details = {key: value for event in span.events if event.name == DETAILS for key, value in (event.attributes or {}).items()}
    content = semconv.read_content(step, {**attributes, **details} if details else attributes, span, history)
    if content is None:
        return None
    if step.kind == "agent" and content.declared is None:
        content.declared = read_definitions(attributes.get("gen_ai.agent.tools"))
    given = [
        {"role": MESSAGES[event.name], "parts": list(parts(event.attributes.get("content")))}
        for event in span.events
        if event.name in MESSAGES and event.attributes
    ]
    choice = semconv.event_attributes(span, CHOICE)
    if choice is not None:
        read_choice(step, content, choice)
    if given:
        content.captured = True
        read_tail(content, flattened.tail_of(dict(enumerate(given)), history))
    if step.kind == "agent":
        step.result = content.text
    return content


def read_choice(step: Step, content: Content, choice: Mapping[str, object]) -> None:
    """The answer of a model, in blocks, or of an agent, as text."""
    read_reply(content, [{"role": "assistant", "parts": list(parts(choice.get("message")))}])
    if step.kind == "model" and step.finish is None:
        semconv.set_finish(step, choice.get("finish_reason"))


def read_tool(step: Step, span: Span) -> None:
    """Arguments and result of a tool, where its events have them."""
    given, taken = (semconv.event_attributes(span, name) for name in ("gen_ai.tool.message", CHOICE))
    if step.arguments is None and given is not None:
        step.arguments = text.plain(given.get("content"))
    if step.result is None and taken is not None:
        step.result = plain_result(taken.get("message"))
    step.arguments_digest, step.result_digest = text.digest(step.arguments), text.digest(step.result)
    if not step.failed:
        step.sign = "ok" if step.result is None else read_result(step.result) or "ok"
    elif step.error_message is None and step.result is not None:
        step.error_message = text.clip(step.result, ERROR_CAP)
        step.sign = name_failure("tool", step.error_type, step.error_message)


def parts(value: object) -> Iterator[dict[str, object]]:
    """Bedrock's content blocks as the conventions' message parts; a plain text is one part."""
    blocks = text.load(value)
    if not isinstance(blocks, (list, tuple)):
        if type(value) is str:
            yield {"type": "text", "content": value}
        return
    for block in blocks:
        if not isinstance(block, Mapping):
            continue
        use, result = block.get("toolUse"), block.get("toolResult")
        if isinstance(use, Mapping):
            yield {"type": "tool_call", "id": use.get("toolUseId"), "name": use.get("name"), "arguments": use.get("input")}
        elif isinstance(result, Mapping):
            said, failed = plain_result(result.get("content")), result.get("status") == "error"
            yield {"type": "tool_call_response", "id": result.get("toolUseId"), "response": said, "is_error": failed or None}
        else:
            yield from ({"type": "reasoning" if key == "reasoningContent" else key, "content": inner} for key, inner in block.items())


DIALECT: Final = Dialect("strands", ("strands.telemetry.tracer",), speaks, fill, read_content)
