"""The GenAI conventions' own names, in all their spellings; most dialects build on these functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import text
from spantriage.history import History
from spantriage.messages import finish_reason, read_definitions, read_instructions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

__all__ = [
    "OPERATIONS",
    "event_attributes",
    "fill",
    "fill_agent",
    "fill_model",
    "fill_raw_usage",
    "fill_tool",
    "fill_usage",
    "mark_broken_off",
    "read_content",
    "set_finish",
    "tool_result",
]

Attributes = Mapping[str, object]

OPERATIONS: Final[dict[str, Kind]] = {
    "chat": "model",
    "generate_content": "model",
    "text_completion": "model",
    "completion": "model",
    "embeddings": "retrieval",
    "retrieval": "retrieval",
    "search_memory": "retrieval",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "invoke_workflow": "workflow",
    "execute_task": "workflow",
    "execute_event_loop_cycle": "workflow",
    "chain": "workflow",
    "plan": "workflow",
    "create_agent": "setup",
    "workflow.build": "setup",
    "run_guardrail": "guardrail",
}
# Values of gen_ai.system that name the framework and not the provider of the model.
FRAMEWORKS: Final = frozenset(
    {"strands-agents", "autogen", "chatcompletion", "langgraph", "langchain", "microsoft.agent_framework", "gcp.vertex.agent"}
)
INPUT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
OUTPUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
CACHED: Final = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
)
REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
)
ARGUMENTS: Final = ("gen_ai.tool.call.arguments", "tool_arguments")
RESULT: Final = ("gen_ai.tool.call.result", "tool_response")


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent, and the scalars of that kind of step."""
    get = attributes.get
    operation = get("gen_ai.operation.name")
    step.kind = kind = OPERATIONS.get(operation, "other") if type(operation) is str else "other"
    agent = get("gen_ai.agent.name")
    if agent is not None:
        step.agent = text.name(agent)
        if operation is None:
            step.kind = "workflow"  # a step of an agent that the conventions have no name for
    if kind == "model":
        fill_model(step, attributes)
    elif kind == "tool":
        fill_tool(step, attributes)
    elif kind == "agent":
        fill_agent(step, attributes)
    conversation = get("gen_ai.conversation.id")
    if conversation is not None:
        step.conversation = text.name(conversation)


def fill_model(step: Step, attributes: Attributes) -> None:
    """Model, provider, usage and finish reason of a model call."""
    get = attributes.get
    step.model = text.name(get("gen_ai.response.model") or get("gen_ai.request.model"))
    provider = text.name(get("gen_ai.provider.name") or get("gen_ai.system"))
    step.provider = None if provider in FRAMEWORKS else provider
    reasons = get("gen_ai.response.finish_reasons")
    if reasons is not None:
        step.finish = finish_reason(reasons)
    fill_usage(step, attributes)


def fill_usage(step: Step, attributes: Attributes) -> None:
    """Token counts and cost, under whichever of their names is there."""
    get = attributes.get
    step.input_tokens = text.count(get("gen_ai.usage.input_tokens"))
    step.output_tokens = text.count(get("gen_ai.usage.output_tokens"))
    if step.input_tokens is None and step.output_tokens is None:
        step.input_tokens = text.count(get(INPUT[1]))
        step.output_tokens = text.count(get(OUTPUT[1]))
        if step.input_tokens is None and step.output_tokens is None:
            return
    step.cached_tokens = first(attributes, CACHED)
    step.reasoning_tokens = first(attributes, REASONING)
    cost = get("operation.cost")
    if cost is not None:
        step.cost_usd = text.number(cost)


def fill_raw_usage(step: Step, raw: object) -> None:
    """Cached and reasoning tokens out of a provider's own usage object, where only that has them."""
    usage = text.load(raw) if type(raw) is not str or len(raw) < 4_000 else None
    if not isinstance(usage, Mapping):
        return
    for key in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(key)
        if isinstance(details, Mapping):
            step.cached_tokens = text.count(details.get("cached_tokens"))
    for key in ("completion_tokens_details", "output_tokens_details"):
        details = usage.get(key)
        if isinstance(details, Mapping):
            step.reasoning_tokens = text.count(details.get("reasoning_tokens"))


def first(attributes: Attributes, keys: tuple[str, ...]) -> int | None:
    """The first of these keys that holds a count."""
    for key in keys:
        found = attributes.get(key)
        if found is not None:
            return text.count(found)
    return None


def fill_tool(step: Step, attributes: Attributes) -> None:
    """Tool name, call id, and arguments and result as they stand."""
    get = attributes.get
    step.tool = text.name(get("gen_ai.tool.name"))
    step.call_id = text.name(get("gen_ai.tool.call.id"))
    arguments = get(ARGUMENTS[0])
    step.arguments = text.plain(arguments if arguments is not None else get(ARGUMENTS[1]))
    result = get(RESULT[0])
    step.result = text.plain(result if result is not None else get(RESULT[1]))


def fill_agent(step: Step, attributes: Attributes) -> None:
    """An agent's name and its own totals, kept as a cross-check only."""
    if step.agent is None:
        step.agent = text.name(step.name.removeprefix("invoke_agent ").strip() or None)
    fill_usage(step, attributes)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages of a model call or an agent: `gen_ai.*.messages`."""
    if step.kind not in ("model", "agent", "event"):
        return None
    if step.kind == "agent":
        history = History()  # its messages are those of its first model call, which is to read them too
    content = Content(declared=read_definitions(attributes.get("gen_ai.tool.definitions")))
    output = attributes.get("gen_ai.output.messages")
    if output is not None:
        finish = read_reply(content, output)
        if step.finish is None and finish is not None and step.kind != "agent":  # an agent repeats its last call's
            set_finish(step, finish)
    given = attributes.get("gen_ai.input.messages")
    if given is not None:
        content.captured = True
        read_tail(content, history.tail(given))
    instructions = attributes.get("gen_ai.system_instructions")
    if instructions is not None:
        read_instructions(content, instructions)
    return content


def set_finish(step: Step, finish: object) -> None:
    """Take a finish reason found in the messages, unless the span failed for another reason."""
    step.finish = finish_reason(finish)
    if step.sign == "ok" and step.finish is not None:
        step.sign = step.finish


def mark_broken_off(step: Step, content: Content) -> None:
    """Name a streamed answer that began and never ended: neither finish reason nor usage came."""
    if step.streamed and step.sign == "ok" and step.finish is None and step.input_tokens is None and content.text:
        step.sign = "incomplete_stream"


def tool_result(value: object) -> str | None:
    """The result itself; LangChain wraps it in a message whose id is new each time."""
    message = text.load(value) if type(value) is str and '"tool_call_id"' in value else value
    inner = message.get("data") or message.get("kwargs") if isinstance(message, Mapping) else None
    if isinstance(inner, Mapping) and "content" in inner:
        failed = inner.get("status") == "error"
        said = text.plain(inner["content"])
        return f"Error: {said}" if failed and said and not said.lower().startswith("error") else said
    return text.plain(value)


def event_attributes(span: Span, name: str) -> Mapping[str, object] | None:
    """The attributes of the last event of this name."""
    return next((event.attributes for event in reversed(span.events) if event.name == name), None)
