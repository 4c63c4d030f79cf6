"""An OpenTelemetry-native span processor that finds the failures of live AI agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spantriage.attachment import Triage, attach
    from spantriage.exporter import TriageExporter
    from spantriage.finding import Finding
    from spantriage.processor import TriageProcessor
    from spantriage.queries import query

__version__: Final = "0.1.0"
__all__ = ["Finding", "Triage", "TriageExporter", "TriageProcessor", "__version__", "attach", "query"]

_HOMES: Final = {
    "Finding": "finding",
    "Triage": "attachment",
    "TriageExporter": "exporter",
    "TriageProcessor": "processor",
    "attach": "attachment",
    "query": "queries",
}


def __getattr__(name: str) -> object:
    """Load public names at first use: reading findings must not import OpenTelemetry."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
