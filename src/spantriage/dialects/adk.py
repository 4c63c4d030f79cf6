"""Google's Agent Development Kit: the GenAI conventions; in its first schema also `call_llm` spans with Gemini's contents.

ADK adds reasoning tokens to the output. That is right for Gemini, which counts them apart; a model behind LiteLLM has
counted them already, so that they are taken off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import flattened, semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

MERGED: Final = "(merged tools)"  # a span for the results of parallel calls, each of which has one of its own
NOT_FOUND: Final = "Tool not found"  # the description of the tool that stands for one that does not exist
REQUEST: Final = "gcp.vertex.agent.llm_request"
RESPONSE: Final = "gcp.vertex.agent.llm_response"
NAMES: Final[dict[str, Kind]] = {"call_llm": "model", "invocation": "workflow"}
OLD_AGENT: Final = "agent_run ["  # before ADK 1.16
NOT_CAPTURED: Final = ("{}", "N/A", "<not serializable>", '{"result": "<not specified>"}', '{"result":"<not specified>"}')
GEMINI_PATHS: Final = ("projects/", "models/", "publishers/", "tunedModels/")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `gcp.vertex.agent`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """The conventions, then the first schema's names, and what ADK says of tools without a message."""
    semconv.fill(step, attributes)
    if step.kind == "other":
        fill_old(step, attributes)
    if step.kind == "tool":
        fill_tool(step, attributes)
    elif step.kind == "model":
        name = text.string(attributes.get("gen_ai.request.model")) or ""
        counted = "/" in name and not name.startswith(GEMINI_PATHS)
        if counted and step.output_tokens is not None and step.reasoning_tokens is not None:
            step.output_tokens = max(step.reasoning_tokens, step.output_tokens - step.reasoning_tokens)


def fill_old(step: Step, attributes: Attributes) -> None:
    """Spans of the first schema, which have no operation name."""
    step.kind = NAMES.get(step.name, "other")
    if step.kind == "model":
        semconv.fill_model(step, attributes)
        step.conversation = text.name(attributes.get("gcp.vertex.agent.session_id"))
    elif step.name.startswith(OLD_AGENT):
        step.kind, step.agent = "agent", text.name(step.name.removeprefix(OLD_AGENT).removesuffix("]"))


def fill_tool(step: Step, attributes: Attributes) -> None:
    """Arguments and result under their older names; parallel calls once; a tool that does not exist."""
    if step.tool == MERGED:
        step.kind, step.tool, step.call_id = "workflow", None, None
        return
    if step.arguments is None:
        step.arguments = captured(attributes.get("gcp.vertex.agent.tool_call_args"))
    if step.result is None:
        step.result = captured(attributes.get("gcp.vertex.agent.tool_response"))
    if attributes.get("gen_ai.tool.description") == NOT_FOUND and "error.type" in attributes:
        step.error_message = f"{NOT_FOUND}: {step.tool}"


def captured(value: object) -> str | None:
    """A value, unless it stands for one that was left out (a tool without parameters is given the same text)."""
    return None if value in NOT_CAPTURED else text.plain(value)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages as in the conventions; a `call_llm` span has Gemini's request and response."""
    content = semconv.read_content(step, attributes, span, history)
    if content is None or step.kind != "model":
        return content
    response, request = (text.load(captured(attributes.get(key))) for key in (RESPONSE, REQUEST))
    if isinstance(request, Mapping):
        contents = request.get("contents")
        given = [message_of(each) for each in contents] if isinstance(contents, list) else []
        content.captured = True
        read_tail(content, flattened.tail_of(dict(enumerate(given)), history))
        content.declared = content.declared or declared_in(request.get("config"))
    if isinstance(response, Mapping):
        read_reply(content, [message_of(response.get("content") or {})])
    return content


def declared_in(config: object) -> dict[str, Mapping[str, object] | None] | None:
    """The functions that a request offers: `tools` is a list of lists."""
    tools = config.get("tools") if isinstance(config, Mapping) else None
    groups = [tool.get("function_declarations") for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    return read_definitions([function for group in groups if isinstance(group, list) for function in group])


def message_of(content: object) -> dict[str, object]:
    """Gemini's `Content` as a message of the conventions."""
    if not isinstance(content, Mapping):
        return {}
    role = "assistant" if content.get("role") == "model" else "user"
    parts = content.get("parts")
    return {"role": role, "parts": [found for part in parts for found in parts_of(part)] if isinstance(parts, list) else []}


def parts_of(part: object) -> Iterator[dict[str, object]]:
    """One of Gemini's parts: it may be a text, a call, or a call's result."""
    if not isinstance(part, Mapping):
        return
    call, result = part.get("function_call"), part.get("function_response")
    if isinstance(call, Mapping):
        yield {"type": "tool_call", "id": call.get("id"), "name": call.get("name"), "arguments": call.get("args")}
    elif isinstance(result, Mapping):
        yield {"type": "tool_call_response", "id": result.get("id"), "name": result.get("name"), "response": result.get("response")}
    elif "text" in part:
        yield {"type": "reasoning" if part.get("thought") is True else "text", "content": part["text"]}
    else:
        yield {"type": "media"}


DIALECT: Final = Dialect("adk", ("gcp.vertex.agent",), speaks, fill, read_content)
