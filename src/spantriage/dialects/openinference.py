"""OpenInference (Phoenix and others): `openinference.span.kind`, `llm.token_count.*`, flattened messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spantriage import flattened, semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import finish_reason, read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step, ToolCall

KINDS: Final[dict[str, Kind]] = {
    "LLM": "model",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "workflow",
    "RETRIEVER": "retrieval",
    "RERANKER": "retrieval",
    "EMBEDDING": "retrieval",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "other",
    "PROMPT": "other",
}
# Spans marked LLM that only prepare a call, and AGENT spans that are the run around the agents.
NOT_CALLS: Final = ("._prepare_chat_with_tools",)
UNNAMED_ROOTS: Final = frozenset({"Agent workflow"})
AGENT_SUFFIXES: Final = ("._execute_core", ".run", ".arun", ".query")
_DEMANDS: Final = re.compile(r'"tool_choice"\s*:\s*(?:"(?:required|any)"|\{)')
OUT: Final = "llm.output_messages."
IN: Final = "llm.input_messages."
SMOLAGENTS: Final = '{"role": "assistant", "content": '
# What the model said stands before it with its quotes escaped, and cannot be taken for it.
RAW_FINISH: Final = re.compile(r'"raw": "ChatCompletion\(id=\'[^\']{0,200}\', choices=\[Choice\(finish_reason=\'(\w{1,40})\'')


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with a span kind."""
    return "openinference.span.kind" in attributes


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent, and the scalars of that kind of step."""
    get = attributes.get
    spelled = get("openinference.span.kind")
    step.kind = kind = KINDS.get(spelled, "other") if type(spelled) is str else "other"
    if kind == "model":
        fill_model(step, attributes)
    elif kind == "tool":
        step.tool = text.name(get("tool.name")) or text.name(step.name)
        step.call_id = text.name(get("tool_call.id") or get("tool.id"))
        step.arguments, step.result = text.plain(get("input.value")), semconv.tool_result(get("output.value"))
    elif kind == "agent":
        fill_agent(step, attributes)
    conversation = get("session.id")
    if conversation is not None:
        step.conversation = text.name(conversation)


def fill_model(step: Step, attributes: Attributes) -> None:
    """Model, provider, usage and finish reason; prompt tokens include cached ones."""
    get = attributes.get
    if step.name.endswith(NOT_CALLS):
        step.kind = "workflow"
        return
    step.model = text.name(get("llm.model_name")) or model_asked_for(get("llm.invocation_parameters"))
    provider = get("llm.provider") or get("llm.system")
    step.provider = provider.lower()[: text.NAME_CAP] if type(provider) is str else None
    step.finish = finish_reason(get("llm.finish_reason"))
    step.input_tokens = text.count(get("llm.token_count.prompt"))
    step.output_tokens = text.count(get("llm.token_count.completion"))
    if step.input_tokens is not None:
        step.cached_tokens = text.count(get("llm.token_count.prompt_details.cache_read"))
        step.reasoning_tokens = text.count(get("llm.token_count.completion_details.reasoning"))
        step.cost_usd = text.number(get("llm.cost.total"))
    elif step.finish is None:
        parameters = get("llm.invocation_parameters")
        step.streamed = (type(parameters) is str and '"stream": true' in parameters[:4_000]) or None


def model_asked_for(parameters: object) -> str | None:
    """The model's name in the parameters of a call that got no answer, and so no model name of its own."""
    loaded = text.load(parameters) if type(parameters) is str and len(parameters) < 20_000 else None
    return text.name(loaded.get("model")) if isinstance(loaded, Mapping) else None


def fill_agent(step: Step, attributes: Attributes) -> None:
    """The agent's name, from whichever attribute holds it; its own totals are a cross-check only."""
    get = attributes.get
    name = text.name(get("agent.name") or get("graph.node.id"))
    if name is None and step.name in UNNAMED_ROOTS:
        step.kind = "workflow"
        return
    if name is None:
        name = step.name
        for suffix in AGENT_SUFFIXES:
            name = name.removesuffix(suffix)
    step.agent = text.name(name)
    step.input_tokens = text.count(get("llm.token_count.prompt"))
    step.output_tokens = text.count(get("llm.token_count.completion"))
    step.result = text.plain(get("output.value"))


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Flattened messages, put together again; of the history only what was not there in the call before."""
    if step.kind == "agent":
        declared = read_definitions(attributes.get("smolagents.tools_names"))
        return Content(captured=step.result is not None, text=step.result, declared=declared)
    if step.kind != "model":
        return None
    output, tools, prompt = gather(attributes)
    content = Content(captured=bool(output or prompt), declared=read_definitions(tools))
    if output:
        read_reply(content, list(output.values()))
    if prompt:
        read_tail(content, flattened.tail_of(prompt, history))
    parameters = attributes.get("llm.invocation_parameters")
    content.must_call = type(parameters) is str and _DEMANDS.search(parameters[:4_000]) is not None
    semconv.mark_broken_off(step, content)
    whole = attributes.get("output.value")
    if type(whole) is str:
        if step.finish == "tool_calls" and not content.requested:
            content.requested.extend(invalid_calls(whole))
        elif step.finish is None and not step.failed and whole.startswith(SMOLAGENTS):
            read_raw_finish(step, whole)
    return content


def read_raw_finish(step: Step, whole: str) -> None:
    """Smolagents keeps the provider's answer as Python's words: the finish reason stands nowhere else."""
    found = RAW_FINISH.search(whole)
    if found is not None:
        step.finish = finish_reason(found[1])
        step.sign = step.finish or step.sign


def gather(attributes: Attributes) -> tuple[dict[int, object], list[object], dict[int, object]]:
    """Rebuild messages and tool definitions from keys like `llm.input_messages.3.message.tool_calls.0.tool_call.id`."""
    output: dict[int, object] = {}
    prompt: dict[int, object] = {}
    tools: list[object] = []
    for key, value in attributes.items():
        if key.startswith(OUT):
            place(output, key[len(OUT) :], value)
        elif key.startswith(IN):
            place(prompt, key[len(IN) :], value)
        elif key.startswith("llm.tools.") and key.endswith(".tool.json_schema"):
            tools.append(value)
    return output, tools, prompt


def place(messages: dict[int, object], path: str, value: object) -> None:
    """Put one flattened attribute where it belongs in its message."""
    number, _, rest = path.partition(".message.")
    if not flattened.is_number(number):
        return
    message = messages.setdefault(int(number), {})
    assert isinstance(message, dict)
    head, _, tail = rest.partition(".")
    if head in ("role", "content", "tool_call_id", "name") and not tail:
        message[head] = value
    elif head == "contents" and tail.endswith(".message_content.type"):
        if value == "reasoning":
            message.setdefault("_thoughts", set()).add(tail.partition(".")[0])
    elif head == "contents" and tail.partition(".")[0] in message.get("_thoughts", ()):
        return  # what the model thought is not what it said
    elif (head == "contents" and tail.endswith(".message_content.text")) or (head == "content" and flattened.is_number(tail)):
        said = message.get("content")
        message["content"] = f"{said}\n{value}" if type(said) is str and type(value) is str else value
    elif head == "tool_calls" or (head == "contents" and ".tool_call." in tail):
        index, _, field = tail.partition(".tool_call.")
        calls = message.setdefault("_calls", {})
        call = calls.setdefault(index, {"function": {}})
        if field == "id":
            call["id"] = value
        elif field in ("function.name", "function.arguments"):
            call["function"][field.removeprefix("function.")] = value
        message["tool_calls"] = list(calls.values())


def invalid_calls(output: str) -> list[ToolCall]:
    """LangChain drops a call whose arguments do not parse; only its raw output still lists it."""
    if "invalid_tool_calls" not in output:
        return []
    found: list[ToolCall] = []
    pending: list[object] = [text.load(output)]
    while pending:  # generations -> message -> kwargs: at most a few levels down
        value = pending.pop()
        if isinstance(value, Mapping):
            for call in value.get("invalid_tool_calls") or ():
                if isinstance(call, Mapping):
                    found.append(ToolCall(text.name(call.get("name")), text.name(call.get("id")), text.plain(call.get("args")), False))
            pending.extend(value[key] for key in ("generations", "message", "kwargs") if key in value)
        elif isinstance(value, list):
            pending.extend(value[:16])
    return found


DIALECT: Final = Dialect("openinference", ("openinference.*",), speaks, fill, read_content, rank=40, probes=("openinference.span.kind",))
