"""The OpenAI Agents SDK through OpenInference: names in `agent.name`, errors in status texts, whole answers in `output.value`."""

from __future__ import annotations

from typing import Final

from spantriage.dialects import Attributes, Dialect, openinference
from spantriage.history import History
from spantriage.model import Content, Span, Step
from spantriage.responses import read_answer

HANDOFF: Final = "handoff to "


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `openinference.instrumentation.openai_agents`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """OpenInference; but the span around the agents is marked as one too, without a name, and a handoff as a tool."""
    openinference.fill(step, attributes)
    if step.kind == "agent" and "agent.name" not in attributes and "graph.node.id" not in attributes:
        step.kind, step.agent, step.input_tokens, step.output_tokens = "workflow", None, None, None
    elif step.kind == "tool" and step.name.startswith(HANDOFF):
        step.kind, step.tool, step.arguments, step.result = "workflow", None, None, None


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Flattened messages; a streamed answer, a refusal and the status of a response stand in `output.value` alone."""
    content = openinference.read_content(step, attributes, span, history)
    if content is None or step.kind != "model" or step.failed or "output.value" not in attributes:
        return content
    whole = Content(declared=content.declared)
    read_answer(step, whole, attributes["output.value"])
    if whole.captured:
        content.declared, content.captured, content.replied = whole.declared, True, whole.replied
        content.text, content.refusal, content.requested = whole.text, whole.refusal, whole.requested
    if content.requested and step.finish == "stop":
        step.finish = step.sign = "tool_calls"  # a response with calls is "completed" too
    return content


DIALECT: Final = Dialect(
    "openinference_agents", ("openinference.instrumentation.openai_agents",), speaks, fill, read_content, rank=35
)  # before openinference, whose scopes are a prefix
