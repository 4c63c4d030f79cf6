"""Microsoft's Agent Framework: the GenAI conventions, and a workflow's own spans around its agents."""

from __future__ import annotations

from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.model import Content, Kind, Span, Step

# The first word of a workflow span's name. Those that only pass messages on are no steps of anybody's.
NAMES: Final[dict[str, Kind]] = {"workflow.run": "workflow", "executor.process": "workflow", "workflow.build": "setup"}


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `agent_framework`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """The conventions, then a workflow's names."""
    semconv.fill(step, attributes)
    if step.kind == "other":
        step.kind = NAMES.get(step.name.partition(" ")[0], "other")
        if step.kind == "workflow":
            step.agent = text.name(attributes.get("executor.id"))


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages as in the conventions; an agent's are all that it did, the last of them its answer."""
    content = semconv.read_content(step, attributes, span, history)
    if content is not None and step.kind == "agent":
        step.result = content.text
    return content


DIALECT: Final = Dialect("agent_framework", ("agent_framework",), speaks, fill, read_content)
