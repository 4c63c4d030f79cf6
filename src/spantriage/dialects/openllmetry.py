"""OpenLLMetry (Traceloop): the GenAI conventions, `traceloop.*` around them, and in older versions numbered attributes.

LangChain's arguments and results come wrapped: `{"input_str": ..., "inputs": ...}` and `{"output": {message}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import flattened, semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import finish_reason
from spantriage.model import Content, Kind, Span, Step

LIBRARIES: Final = (
    "agno", "aleph_alpha", "anthropic", "bedrock", "cohere", "crewai", "google_generativeai", "groq", "haystack", "langchain", "llamaindex",
    "mcp", "mistralai", "ollama", "openai", "openai.v0", "openai.v1", "openai_agents", "replicate", "together", "transformers", "vertexai",
    "watsonx", "writer",
)  # fmt: skip
SCOPES: Final = ("traceloop.tracer", *(f"opentelemetry.instrumentation.{library}" for library in LIBRARIES))
KINDS: Final[dict[str, Kind]] = {"workflow": "workflow", "task": "workflow", "agent": "agent", "tool": "tool"}
REQUESTS: Final[dict[str, Kind]] = {"chat": "model", "completion": "model", "embedding": "retrieval", "rerank": "retrieval"}
PROBES: Final = ("traceloop.span.kind", "llm.request.type", *flattened.FIRST)
STREAMING: Final = ("gen_ai.is_streaming", "llm.is_streaming")
TASK: Final = "execute_task "
CONVERSATION: Final = ("thread_id", "session_id", "conversation_id", "chat_id")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with one of its own names, whoever's scope it is in."""
    return any(key in attributes for key in PROBES)


def fill(step: Step, attributes: Attributes) -> None:
    """The conventions, then what OpenLLMetry's own names say."""
    get = attributes.get
    semconv.fill(step, attributes)
    if step.kind == "other" or (step.kind == "workflow" and "gen_ai.operation.name" not in attributes):
        fill_kind(step, attributes)
    if step.kind == "model":
        fill_model(step, attributes)
    elif step.kind == "tool":
        fill_tool(step, attributes)
    elif step.kind == "agent":
        step.agent = text.name(get("gen_ai.agent.name") or get("traceloop.entity.name")) or step.agent
    elif step.kind == "workflow" and get("traceloop.span.kind") == "workflow":
        step.agent = step.agent or text.name(get("traceloop.entity.name"))
    if step.conversation is None:
        keys = (f"traceloop.association.properties.{name}" for name in CONVERSATION)
        step.conversation = next((text.name(attributes[key]) for key in keys if key in attributes), None)


def fill_kind(step: Step, attributes: Attributes) -> None:
    """What a span without an operation name is."""
    spelled, request = attributes.get("traceloop.span.kind"), attributes.get("llm.request.type")
    if type(spelled) is str and spelled in KINDS:
        step.kind = KINDS[spelled]
    elif type(request) is str:
        step.kind = REQUESTS.get(request, "other")
    elif any(key in attributes for key in flattened.FIRST):
        step.kind = "model"
    if step.kind == "model":
        semconv.fill_model(step, attributes)
    elif step.kind == "tool":
        semconv.fill_tool(step, attributes)


def fill_model(step: Step, attributes: Attributes) -> None:
    """Streaming, and the finish reason and model under their older names."""
    get = attributes.get
    step.streamed = next((True for key in STREAMING if attributes.get(key) is True), None)
    step.provider = step.provider.lower() if step.provider is not None else None
    step.model = step.model or text.name(get("llm.response.model") or get("llm.request.model"))
    finish = get("gen_ai.completion.0.finish_reason") or get("llm.response.finish_reason")
    if step.finish is None and finish is not None:
        step.finish = finish_reason(finish)


def fill_tool(step: Step, attributes: Attributes) -> None:
    """Name, arguments and result; LangChain's wrappers taken off."""
    get = attributes.get
    step.tool = step.tool or text.name(get("traceloop.entity.name"))
    given = step.arguments if step.arguments is not None else get("traceloop.entity.input")
    step.arguments = text.plain(unwrap(given, ("inputs", "input_str"), also="tags"))
    taken = step.result if step.result is not None else get("traceloop.entity.output")
    inner = unwrap(taken, ("output",), also="kwargs")
    if isinstance(inner, Mapping) and isinstance(inner.get("kwargs"), Mapping):
        step.call_id = step.call_id or text.name(inner["kwargs"].get("tool_call_id"))
    step.result = semconv.tool_result(inner)


def unwrap(value: object, keys: tuple[str, ...], *, also: str) -> object:
    """What a wrapper of LangChain's callback arguments holds under the first of `keys`; a value without wrapper as it is."""
    if type(value) is not str or not value.startswith(tuple(f'{{"{key}"' for key in keys)):
        return value
    wrapper = text.load(value)
    if not isinstance(wrapper, Mapping) or also not in wrapper:
        return value
    return next((wrapper[key] for key in keys if wrapper.get(key) is not None), None)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages as in the conventions, or in numbered attributes. A stream without an end has text and nothing else."""
    content = semconv.read_content(step, attributes, span, history)
    if content is None:
        return None
    if step.kind == "model" and "gen_ai.output.messages" not in attributes and "gen_ai.input.messages" not in attributes:
        finish = flattened.read_flattened(content, attributes, history)
        if step.finish is None and finish is not None:
            semconv.set_finish(step, finish)
    semconv.mark_broken_off(step, content)
    return content


def settle(steps: list[Step]) -> None:
    """LangGraph gives one invocation of an agent two spans; the one that its calls are in is the agent's.

    Called by a program, the outer is, and the callback's own lies within; called by a tool, they stand side by side,
    and everything is in the callback's.
    """
    ours = [step for step in steps if step.dialect == DIALECT.name]
    agents = {step.span_id: step for step in ours if step.kind == "agent"}
    tasks: dict[tuple[int | None, str], list[Step]] = {}
    for step in ours:
        if step.kind == "workflow" and step.name.startswith(TASK):
            tasks.setdefault((step.parent_id, step.name.removeprefix(TASK)), []).append(step)
    for step in agents.values():
        above = agents.get(step.parent_id or 0)
        if above is not None and above.agent == step.agent:
            step.kind = "workflow"
        for task in tasks.get((step.parent_id, step.agent or ""), ()):
            if step.kind == "agent" and step.start_ns <= task.start_ns and task.end_ns <= step.end_ns:
                task.kind, task.agent = "agent", step.agent
                step.kind, step.agent = "workflow", None


DIALECT: Final = Dialect("openllmetry", SCOPES, speaks, fill, read_content, rank=60, probes=PROBES, settle=settle)
