"""OpenTelemetry's GenAI semantic conventions, current and older names: `gen_ai.*`."""

from __future__ import annotations

from typing import Final

from spantriage.dialects import Attributes, Dialect
from spantriage.semconv import OPERATIONS, fill, read_content


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims every span with an operation name that the conventions know, and what else says whose agent's it is."""
    operation = attributes.get("gen_ai.operation.name")
    return (type(operation) is str and operation in OPERATIONS) or "gen_ai.agent.name" in attributes


DIALECT: Final = Dialect("genai", (), speaks, fill, read_content, rank=90, probes=("gen_ai.operation.name", "gen_ai.agent.name"))
