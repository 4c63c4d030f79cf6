"""LangSmith's OpenTelemetry exporter: a LangChain or `@traceable` run as a span, LangChain's own messages in its attributes.

Spans are written by a thread of the exporter, roots often before their children. Every failure is an `Exception` whose
message holds the real one; a cancelled run has such an exception under an OK status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect
from spantriage.failures import name_failure
from spantriage.history import History, Tail
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

KINDS: Final[dict[str, Kind]] = {
    "llm": "model", "tool": "tool", "retriever": "retrieval", "embedding": "retrieval", "chain": "workflow",
    "prompt": "other", "parser": "other",
}  # fmt: skip
META: Final = "langsmith.metadata."
PROMPT: Final = "gen_ai.prompt"
COMPLETION: Final = "gen_ai.completion"
ROLES: Final = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user", "ToolMessageChunk": "tool"}
CALL_PARTS: Final = frozenset({"tool_use", "tool_call", "function_call"})
# "RateLimitError('Error code: 429 - ...')Traceback (most recent call last): ..."
RAISED: Final = re.compile(r"([A-Za-z_][\w.]{0,100})\((.*)", re.DOTALL)
CONTROL: Final = frozenset({"GraphInterrupt", "NodeInterrupt", "ParentCommand"})  # ask a person, hand over: no failures
TRACEBACK: Final = "Traceback (most recent call last)"
READ: Final = 4_000  # characters of an error text that are looked at


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with a run type."""
    return "langsmith.span.kind" in attributes


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent, and the scalars of that kind of step. The agent's name is on all spans below it; its own carries it too."""
    get = attributes.get
    spelled = get("langsmith.span.kind")
    step.kind = KINDS.get(spelled, "other") if type(spelled) is str else "other"
    step.agent = text.name(get(f"{META}lc_agent_name"))
    step.conversation = text.name(get(f"{META}thread_id") or get(f"{META}session_id") or get(f"{META}conversation_id"))
    if step.kind == "workflow" and _is_agent(step, attributes):
        step.kind, step.agent = "agent", step.agent or text.name(step.name)
    elif step.kind == "model":
        fill_model(step, attributes)
    elif step.kind == "tool":
        semconv.fill_tool(step, attributes)
        step.tool = step.tool or text.name(step.name)
        step.arguments, step.result = text.plain(get(PROMPT)), tool_result(get(COMPLETION))


def _is_agent(step: Step, attributes: Attributes) -> bool:
    if step.agent is not None:
        return step.name == step.agent
    return attributes.get(f"{META}ls_integration") == "langchain_create_agent" and f"{META}langgraph_node" not in attributes


def fill_model(step: Step, attributes: Attributes) -> None:
    """Model, provider and usage; prompt tokens include cached ones."""
    semconv.fill_model(step, attributes)
    step.provider = text.name(attributes.get(f"{META}ls_provider")) or step.provider
    step.streamed = (attributes.get(f"{META}stream") is True or attributes.get("langsmith.request.streaming") is True) or None
    usage = _mapping(attributes.get(f"{META}usage_metadata"))
    step.cached_tokens = text.count(_mapping(usage.get("input_token_details")).get("cache_read"))
    step.reasoning_tokens = text.count(_mapping(usage.get("output_token_details")).get("reasoning"))
    if step.input_tokens is None and step.output_tokens is None:
        step.input_tokens, step.output_tokens = text.count(usage.get("input_tokens")), text.count(usage.get("output_tokens"))


def tool_result(value: object) -> str | None:
    """The result itself, out of the message that LangChain wraps it in and the `output` that LangSmith adds."""
    if value is None or value == "{}":  # what a failed run came to
        return None
    loaded = _mapping(value)
    found = loaded.get("output") if loaded.keys() == {"output"} else None
    if not isinstance(found, Mapping):
        return text.plain(value if found is None else found)
    message = to_message(found)
    if "content" not in message or "tool_call_id" not in message:
        return text.plain(found)
    said = text.plain(message["content"])
    failed = message.get("is_error") is True
    return f"Error: {said}" if failed and said and not said.lower().startswith("error") else said


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """The failure that an exception's message holds; a model's messages; an agent's last word."""
    read_failure(step, span)
    if step.kind not in ("model", "agent"):
        return None
    reply = _mapping(attributes.get(COMPLETION))
    if step.kind == "agent":
        said = Content()
        messages = _listed(reply.get("messages"))
        if messages:
            read_reply(said, to_message(messages[-1]))
        step.result = said.text
        return Content(captured=said.captured, text=said.text)
    content = Content(declared=read_definitions(attributes.get("gen_ai.tool.definitions")))
    prompt = _messages(_mapping(attributes.get(PROMPT)))
    if prompt:
        content.captured = True
        start = history.grown(repr(prompt[:2])[:1_000], len(prompt))
        read_tail(content, Tail([to_message(message) for message in prompt[start:]], start))
    read_answer(step, content, reply)
    if step.streamed and step.finish is None and step.input_tokens is None and not step.failed and content.text:
        step.sign = "incomplete_stream"
    return content


def read_answer(step: Step, content: Content, reply: Mapping[str, object]) -> None:
    """What the model answered: LangChain's generations, or the reply of a client that LangSmith wraps."""
    answers = [_mapping(each) for each in _listed(reply.get("generations"))[:1] or _listed(reply.get("choices"))]
    for answer in answers:
        message = to_message(answer.get("message"))
        read_reply(content, message or {"role": "assistant", "content": answer.get("text")})
        details = _mapping(message.get("response_metadata"))
        ends = (_mapping(answer.get("generation_info")), answer, details)
        finish = next((end[key] for end in ends for key in ("finish_reason", "stop_reason", "done_reason") if end.get(key)), None)
        if step.finish is None and finish is not None:
            semconv.set_finish(step, finish)
        step.model = text.name(details.get("model_name")) or text.name(reply.get("model")) or step.model
    if not answers and (message := to_message(reply)):
        read_reply(content, message)


def read_failure(step: Step, span: Span) -> None:
    """Take the real exception's type and message out of the one that LangSmith makes of it.

    The status may be OK all the same: it is set when a run's beginning and its end come to LangSmith's thread one by
    one, and OpenTelemetry lets nothing replace it.
    """
    event = next((event.attributes for event in reversed(span.events) if event.name == "exception"), None)
    said = text.string((event or {}).get("exception.message"))
    found = RAISED.match(said[:READ].partition(TRACEBACK)[0]) if said is not None else None
    if found is None:
        return
    kind = found[1].rpartition(".")[2]
    if kind in CONTROL:
        step.failed, step.sign, step.error_type, step.error_message = False, "ok", None, None
        return
    step.failed = True
    step.error_type, step.error_message = text.clip(kind, text.NAME_CAP), text.clip(found[2].rstrip().removesuffix(")"), ERROR_CAP) or None
    step.sign = name_failure(step.kind, step.error_type, step.error_message)


def to_message(value: object) -> dict[str, object]:
    """A LangChain message, plain or as its serializer writes it, in OpenAI's words; {} when it is none."""
    found = _mapping(value)
    inner = found.get("kwargs") if "lc" in found else found.get("data")
    found = inner if isinstance(inner, Mapping) else found
    role = found.get("role") or found.get("type")
    if type(role) is not str or "content" not in found:
        return {}
    message = {**found, "role": ROLES.get(role, role)}
    if found.get("status") == "error":
        message["is_error"] = True
    calls = [*_listed(found.get("tool_calls")), *_listed(found.get("invalid_tool_calls"))]
    if calls:
        message["tool_calls"] = calls
        content = found["content"]  # Anthropic's replies list them a second time
        if isinstance(content, list):
            message["content"] = [part for part in content if not (isinstance(part, Mapping) and part.get("type") in CALL_PARTS)]
    message["refusal"] = _mapping(found.get("additional_kwargs")).get("refusal") or found.get("refusal")
    return message


def _messages(prompt: Mapping[str, object]) -> list[object]:
    """A model's prompt: messages, a batch of one list of them, or plain texts."""
    messages = _listed(prompt.get("messages"))
    if len(messages) == 1 and isinstance(messages[0], list):
        return messages[0]
    return messages or [{"role": "user", "content": said} for said in _listed(prompt.get("prompts"))]


def _mapping(value: object) -> Mapping[str, object]:
    loaded = text.load(value) if type(value) is str and value[:1] == "{" else value
    loaded = loaded[0] if isinstance(loaded, list) and loaded else loaded
    return loaded if isinstance(loaded, Mapping) else {}


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


DIALECT: Final = Dialect("langsmith", ("langsmith",), speaks, fill, read_content, rank=35, probes=("langsmith.span.kind",))
