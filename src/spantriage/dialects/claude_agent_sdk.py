"""The Claude Agent SDK through OpenInference: an agent's span is its model's too, as the SDK shows no single calls."""

from __future__ import annotations

from typing import Final

from spantriage import text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect, openinference
from spantriage.failures import name_failure
from spantriage.history import History
from spantriage.messages import finish_reason
from spantriage.model import Content, Span, Step

NAME: Final = "ClaudeAgentSDK"
SUMMED: Final = ("input_tokens", "output_tokens", "cached_tokens", "cost_usd")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `openinference.instrumentation.claude_agent_sdk`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """OpenInference; an agent's tokens are all that is known of its model calls, and results are JSON."""
    openinference.fill(step, attributes)
    get = attributes.get
    if step.kind == "tool":
        if step.result is not None and step.result.startswith('"'):
            loaded = text.load(step.result)
            step.result = loaded if type(loaded) is str else step.result
    elif step.kind == "agent":
        step.agent = text.name(get("agent.name")) or NAME
        step.model, step.provider = text.name(get("llm.model_name")), text.name(get("llm.provider"))
        step.finish = finish_reason(get("llm.finish_reason"))
        step.cached_tokens = text.count(get("llm.token_count.prompt_details.cache_read"))
        step.cost_usd = text.number(get("llm.cost.total"))
        step.cumulative = True


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """The agent's result; of a failed one, the provider's words, which stand where its result would."""
    content = openinference.read_content(step, attributes, span, history)
    if step.kind == "agent" and step.failed and step.result:
        step.error_message = text.clip(f"{step.error_message or ''}: {step.result}".removeprefix(": "), ERROR_CAP)
        step.sign = name_failure(step.kind, step.error_type, step.error_message)
        step.result = None
        if content is not None:
            content.text = None
    elif step.kind == "agent" and step.finish in ("length", "content_filter"):
        step.sign = step.finish  # how its last model call ended
    return content


def settle(steps: list[Step]) -> None:
    """Each turn counts its own tokens; what the agent has used by then is their sum."""
    used: dict[tuple[str | None, str], float] = {}
    for step in steps:
        if step.dialect != DIALECT.name or step.kind != "agent":
            continue
        for field in SUMMED:
            amount = getattr(step, field)
            if amount is not None:
                used[step.agent, field] = used.get((step.agent, field), 0) + amount
                setattr(step, field, used[step.agent, field])


DIALECT: Final = Dialect(
    "claude_agent_sdk", ("openinference.instrumentation.claude_agent_sdk",), speaks, fill, read_content, rank=35, settle=settle
)  # before openinference, whose scopes are a prefix
