"""Langfuse's SDK: `langfuse.observation.*`, a type for each kind of step, input and output as JSON.

A failure has no exception event: the status text is all there is, and the observation's level says it again. Finish
reasons are not recorded; an answer that used up all the tokens that its call allowed counts as cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect
from spantriage.failures import name_failure
from spantriage.history import History, Tail
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step

TYPE: Final = "langfuse.observation.type"
INPUT: Final = "langfuse.observation.input"
OUTPUT: Final = "langfuse.observation.output"
KINDS: Final[dict[str, Kind]] = {
    "generation": "model", "agent": "agent", "tool": "tool", "chain": "workflow", "span": "workflow", "retriever": "retrieval",
    "embedding": "retrieval", "guardrail": "guardrail", "event": "event", "evaluator": "other",
}  # fmt: skip
LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
SCALARS_CAP: Final = 4_000  # characters of JSON that are parsed for the scalars

# The provider's own usage object, or Langfuse's: then each kind of token is counted under one key only.
INPUT_TOKENS: Final = ("prompt_tokens", "input_tokens", "input")
OUTPUT_TOKENS: Final = ("completion_tokens", "output_tokens", "output")
BESIDE: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")  # Anthropic counts them beside its input
CACHED: Final = ("cache_read_input_tokens", "input_cache_read", "input_cached_tokens")
REASONING: Final = ("output_reasoning", "output_reasoning_tokens")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with an observation type."""
    return TYPE in attributes


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent, and the scalars of that kind of step."""
    get = attributes.get
    spelled = get(TYPE)
    step.kind = KINDS.get(spelled, "other") if type(spelled) is str else "workflow"
    step.conversation = text.name(get("session.id"))
    if step.kind == "agent":
        step.agent, step.result = text.name(step.name), text.plain(get(OUTPUT))
    elif step.kind == "tool":
        step.tool = text.name(step.name)
        step.arguments, step.result = arguments(get(INPUT)), text.plain(get(OUTPUT))
    elif step.kind == "model":
        fill_model(step, attributes)
    if get("langfuse.observation.level") == "ERROR":
        fail(step, get("langfuse.observation.status_message"))


def fail(step: Step, message: object) -> None:
    """What the observation's level says; older versions of the SDK leave the status alone."""
    step.failed, step.error_message, step.result = True, text.clip(text.string(message) or "", ERROR_CAP) or None, None
    step.sign = name_failure(step.kind, None, step.error_message)


def arguments(value: object) -> str | None:
    """A tool's arguments; the decorator wraps them as it was called, which matters only where positions were used."""
    loaded = text.load(value) if type(value) is str and value.startswith('{"args":') else None
    if isinstance(loaded, Mapping) and loaded.keys() == {"args", "kwargs"} and loaded["args"] == []:
        return text.plain(loaded["kwargs"])
    return text.plain(value)


def fill_model(step: Step, attributes: Attributes) -> None:
    """Model, usage and cost; input includes cached tokens, output includes reasoning."""
    get = attributes.get
    step.model = text.name(get("langfuse.observation.model.name"))
    usage = _scalars(get("langfuse.observation.usage_details"))
    step.input_tokens, step.output_tokens = _first(usage, INPUT_TOKENS), _first(usage, OUTPUT_TOKENS)
    if step.input_tokens is None and step.output_tokens is None:
        return
    told = [usage.get(f"{name}_tokens_details") for name in ("prompt", "completion", "input", "output")]
    details = {key: value for each in told if isinstance(each, Mapping) for key, value in each.items()}
    step.cached_tokens = _or(_first(details, ("cached_tokens",)), _first(usage, CACHED))
    step.reasoning_tokens = _or(_first(details, ("reasoning_tokens",)), _first(usage, REASONING))
    if "input" in usage or "output" in usage:
        add_parts(step, usage)
    else:
        step.input_tokens = (step.input_tokens or 0) + sum(_first(usage, (key,)) or 0 for key in BESIDE)
    cost = _scalars(get("langfuse.observation.cost_details"))
    amounts = [number for key in ("input", "output") if (number := text.number(cost.get(key))) is not None]
    total = text.number(cost.get("total"))
    step.cost_usd = total if total is not None or not amounts else sum(amounts)
    limit = _first(_scalars(get("langfuse.observation.model.parameters")), LIMITS)
    if limit is not None and step.output_tokens is not None and 0 < limit <= step.output_tokens:
        step.finish = "length"


def add_parts(step: Step, usage: Mapping[str, object]) -> None:
    """Put the kinds of tokens that Langfuse counts apart back into input and output, unless its total has them there."""
    ours = (step.input_tokens or 0) + (step.output_tokens or 0)
    if text.count(usage.get("total")) == ours:
        return
    for name in ("input", "output"):
        more = sum(text.count(value) or 0 for key, value in usage.items() if key.startswith(f"{name}_"))
        if more:
            setattr(step, f"{name}_tokens", (getattr(step, f"{name}_tokens") or 0) + more)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages of a model call in the shapes in which its client or its framework handed them to Langfuse."""
    if step.kind == "agent":
        return Content(captured=step.result is not None, text=step.result)
    if step.kind != "model":
        return None
    content = Content()
    prompt = text.load(attributes.get(INPUT))
    if isinstance(prompt, Mapping):
        content.declared = read_definitions(prompt.get("tools") or prompt.get("functions"))
        prompt = prompt.get("messages") or prompt.get("input")
    if isinstance(prompt, list):
        content.captured = True
        messages = [message for message in prompt if _defined(message) is None]
        content.declared = content.declared or read_definitions([tool for m in prompt if (tool := _defined(m)) is not None])
        start = history.grown(repr(messages[:2])[:1_000], len(messages))
        read_tail(content, Tail(messages[start:], start))
    said = attributes.get(OUTPUT)
    if said is not None:
        reply = text.load(said)
        read_reply(content, _reply(reply) if isinstance(reply, (Mapping, list)) else {"role": "assistant", "content": text.plain(said)})
    return content


def _defined(message: object) -> Mapping[str, object] | None:
    """The LangChain handler lists tool definitions among the messages, as a tool's."""
    found = message.get("content") if isinstance(message, Mapping) and message.get("role") == "tool" else None
    return found if isinstance(found, Mapping) and found.get("type") == "function" else None


def _reply(reply: object) -> object:
    """A message; LangChain's keeps the provider's tool calls one level down."""
    inner = reply.get("additional_kwargs") if isinstance(reply, Mapping) else None
    if isinstance(reply, Mapping) and isinstance(inner, Mapping) and "tool_calls" in inner and not reply.get("tool_calls"):
        return {**reply, "tool_calls": inner["tool_calls"]}
    return reply


def _scalars(value: object) -> Mapping[str, object]:
    loaded = text.load(value) if type(value) is str and len(value) <= SCALARS_CAP else value
    return loaded if isinstance(loaded, Mapping) else {}


def _first(usage: Mapping[str, object], keys: tuple[str, ...]) -> int | None:
    return next((found for key in keys if (found := text.count(usage.get(key))) is not None), None)


def _or(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


DIALECT: Final = Dialect("langfuse", ("langfuse-sdk",), speaks, fill, read_content, rank=36, probes=(TYPE,))
