"""MLflow Tracing: `mlflow.span*`, every value as JSON, so that the type of a tool's span is `"TOOL"` with its quotes.

MLflow keeps a tracer provider of its own, and a processor on the program's provider sees none of its spans. With
`MLFLOW_USE_DEFAULT_TRACER_PROVIDER=false` in the environment it writes to the program's. The order matters, because
`mlflow.set_tracking_uri` throws away the provider that there is: first that, then `set_tracer_provider`, then
`spantriage.attach()`. Recorded spans, from MLflow's OTLP export, need nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History, Tail
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Span, Step
from spantriage.semconv import set_finish

TYPE: Final = "mlflow.spanType"
INPUTS: Final = "mlflow.spanInputs"
OUTPUTS: Final = "mlflow.spanOutputs"
KINDS: Final[dict[str, Kind]] = {
    "AGENT": "agent", "CHAT_MODEL": "model", "LLM": "model", "TOOL": "tool", "RETRIEVER": "retrieval", "EMBEDDING": "retrieval",
    "RERANKER": "retrieval", "MEMORY": "retrieval", "GUARDRAIL": "guardrail", "CHAIN": "workflow", "WORKFLOW": "workflow",
    "TASK": "workflow", "UNKNOWN": "workflow", "PARSER": "other", "EVALUATOR": "other",
}  # fmt: skip
SCALARS_CAP: Final = 4_000  # characters of JSON that are parsed for the scalars
CALLS: Final = ("function_call", "tool_use")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with MLflow's span type."""
    return TYPE in attributes


def fill(step: Step, attributes: Attributes) -> None:
    """Kind, agent, and the scalars of that kind of step."""
    get = attributes.get
    step.kind = KINDS.get(said(get(TYPE)) or "UNKNOWN", "workflow")
    step.conversation = said(get("session.id"))
    if step.kind == "agent":
        step.agent, step.result = text.name(step.name), plain(get(OUTPUTS))
    elif step.kind == "tool":
        step.tool = text.name(step.name)
        step.arguments, step.result = plain(get(INPUTS)), plain(get(OUTPUTS))
    elif step.kind == "model":
        step.model, step.provider = said(get("mlflow.llm.model")) or said(get("model")), said(get("mlflow.llm.provider"))
        fill_usage(step, attributes)


def fill_usage(step: Step, attributes: Attributes) -> None:
    """Token counts and cost; input includes cached tokens."""
    usage = _mapping(attributes.get("mlflow.chat.tokenUsage"), SCALARS_CAP)
    step.input_tokens, step.output_tokens = text.count(usage.get("input_tokens")), text.count(usage.get("output_tokens"))
    step.cached_tokens = text.count(usage.get("cache_read_input_tokens"))
    step.cost_usd = text.number(_mapping(attributes.get("mlflow.llm.cost"), SCALARS_CAP).get("total_cost"))


def said(value: object) -> str | None:
    """A name, out of its quotes."""
    return text.name(value[1:-1] if type(value) is str and len(value) > 1 and value[0] == value[-1] == '"' else value)


def plain(value: object) -> str | None:
    """A result or argument: a text out of its quotes, everything else as the JSON that it is."""
    if type(value) is str and value[:1] == '"':
        loaded = text.load(value)
        return loaded if type(loaded) is str else value
    return None if value == "null" else text.plain(value)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """What was sent to the provider's client and what it returned, in the shapes of OpenAI's and Anthropic's."""
    if step.kind == "agent":
        return Content(captured=step.result is not None, text=step.result)
    if step.kind != "model":
        return None
    request, response = _mapping(attributes.get(INPUTS)), _mapping(attributes.get(OUTPUTS))
    tools = attributes.get("mlflow.chat.tools")
    content = Content(declared=read_definitions(tools if tools is not None else request.get("tools")))
    messages = request.get("messages") or request.get("input")
    if isinstance(messages, list):
        content.captured = True
        start = history.grown(repr(messages[:2])[:1_000], len(messages))
        read_tail(content, Tail(messages[start:], start))
    usage = _mapping(response.get("usage"))
    details = _mapping(usage.get("completion_tokens_details")) or _mapping(usage.get("output_tokens_details"))
    step.reasoning_tokens = text.count(details.get("reasoning_tokens"))
    read_response(step, content, response)
    if not response and (answer := plain(attributes.get(OUTPUTS))) is not None:
        read_reply(content, {"role": "assistant", "content": answer})
    return content


def read_response(step: Step, content: Content, response: Mapping[str, object]) -> None:
    """The answer and its finish reason: of a chat completion, of a message, or of a response made of parts."""
    choices, items, finish = response.get("choices"), response.get("output"), response.get("stop_reason")
    if isinstance(choices, list):
        for choice in map(_mapping, choices[:16]):
            read_reply(content, choice.get("message") or {"role": "assistant", "content": choice.get("text")})
            finish = choice.get("finish_reason") or finish
    elif isinstance(items, list):
        messages = [item if "role" in item else {"role": "assistant", "parts": [item]} for item in map(_mapping, items)]
        read_reply(content, [each for each in messages if "role" in _mapping(each) and _is_said(each)])
        asked = "tool_calls" if content.requested else "stop"
        finish = _mapping(response.get("incomplete_details")).get("reason") or (asked if response.get("status") == "completed" else None)
    elif "role" in response:
        read_reply(content, response)
    if finish is not None and step.finish is None:
        set_finish(step, finish)


def _is_said(message: Mapping[str, object]) -> bool:
    """Whether a part of a response is an answer or a call: not its reasoning, not what the provider did by itself."""
    parts = message.get("parts")
    return not isinstance(parts, list) or _mapping(parts[0]).get("type") in CALLS


def _mapping(value: object, cap: int = text.LOAD_CAP) -> Mapping[str, object]:
    loaded = text.load(value) if type(value) is str and len(value) <= cap else value
    return loaded if isinstance(loaded, Mapping) else {}


DIALECT: Final = Dialect("mlflow", ("mlflow.*",), speaks, fill, read_content, rank=37, probes=(TYPE,))
