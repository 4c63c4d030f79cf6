"""pydantic-ai, all instrumentation versions: the GenAI conventions with a few names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import read_definitions, read_tail
from spantriage.model import Content, Kind, Span, Step

NAMES: Final[dict[str, Kind]] = {"agent run": "agent", "running tool": "tool", "running tools": "workflow"}


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `pydantic-ai`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """The conventions, then what versions 1 and 2 named differently."""
    semconv.fill(step, attributes)
    if step.kind == "other":
        step.kind = NAMES.get(step.name, "other")
        if step.kind == "tool":
            semconv.fill_tool(step, attributes)
    if step.kind == "agent":
        step.agent = text.name(attributes.get("agent_name")) or step.agent
        step.result = text.plain(attributes.get("final_result"))
    elif step.kind == "tool" and "pydantic_ai.tool.retry.cause" in attributes:
        step.note = {"retry_cause": attributes["pydantic_ai.tool.retry.cause"]}


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages as in the conventions; version 1 kept them in `events`. Output tools count as declared."""
    content = semconv.read_content(step, attributes, span, history)
    if content is None:
        return None
    if "events" in attributes:  # version 1
        tail = history.tail(attributes["events"])
        read_tail(content, tail)
        content.captured = True
    parameters = text.load(attributes.get("model_request_parameters"))
    if isinstance(parameters, Mapping):
        content.must_call = parameters.get("allow_text_output") is False
        for key in ("function_tools", "output_tools"):
            declared = read_definitions(parameters.get(key))
            if declared:
                content.declared = {**(content.declared or {}), **declared}
    if step.kind == "agent":
        content.text = step.result
    return content


DIALECT: Final = Dialect("pydantic_ai", ("pydantic-ai",), speaks, fill, read_content)
