"""What the tests of the live path share: a provider with us in it, a sink to wait on, spans of agents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from programs.agent import run

from spantriage import TriageProcessor
from spantriage.finding import Finding

WEATHER = "execute_tool weather"
FOUND = {"tool.silent_failure", "loop.repeated_call"}  # what the example agent does wrong


class Kept:
    """A sink that keeps what comes and can be waited on."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._came = threading.Condition()

    def write(self, findings: Sequence[Finding]) -> None:
        with self._came:
            self.findings += findings
            self._came.notify_all()

    def flush(self, timeout_s: float) -> bool:
        return True

    def close(self, timeout_s: float) -> None:
        pass

    def wait_for(self, condition: Callable[[list[Finding]], bool], timeout_s: float = 10.0) -> None:
        with self._came:
            assert self._came.wait_for(lambda: condition(self.findings), timeout_s), [f.code for f in self.findings]

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.findings}

    @property
    def last(self) -> dict[str, Finding]:
        """What holds in the end, by id."""
        return {finding.finding_id: finding for finding in self.findings}


class Exported(SpanExporter):
    """Keeps what was exported, read as an encoder reads it, without a lock: the SDK's own must not be interrupted by itself."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, dict[str, Any]]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self.spans.append((span.name, dict(span.attributes or {})))
        return SpanExportResult.SUCCESS


def make_provider(*processors: SpanProcessor, **options: Any) -> TracerProvider:
    """A provider with these processors, in this order."""
    provider = TracerProvider(resource=Resource.get_empty(), shutdown_on_exit=False, **options)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def exporting(kind: str, exporter: SpanExporter) -> SpanProcessor:
    """The SDK's own exporting processors."""
    return SimpleSpanProcessor(exporter) if kind == "simple" else BatchSpanProcessor(exporter, schedule_delay_millis=60_000)


def ended(work: Callable[[Tracer], object] = run, **options: Any) -> list[ReadableSpan]:
    """The spans of a program as the SDK gives them to exporters, in the order they ended."""
    exporter = InMemorySpanExporter()
    provider = make_provider(SimpleSpanProcessor(exporter), **options)
    work(provider.get_tracer("test"))
    return list(exporter.get_finished_spans())


def watching(sink: object, **settings: Any) -> TriageProcessor:
    """A processor with one sink, and settings of which none is read from outside."""
    from spantriage.config import Settings

    return TriageProcessor(sinks=[sink], settings=Settings(**settings))  # type: ignore[list-item]  # a sink by its methods


def own(attributes: Any) -> dict[str, Any]:
    """The attributes that are not ours."""
    return {key: value for key, value in (attributes or {}).items() if not key.startswith("triage.")}


def call(tracer: Tracer, tool: str = "weather", result: object = "Error: out of order (503)", **more: object) -> None:
    """One tool call that fails silently, in a trace of its own."""
    attributes: dict[str, Any] = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "bot", "gen_ai.tool.name": tool}
    attributes |= {"gen_ai.tool.call.result": result, **more}
    tracer.start_span(f"execute_tool {tool}", attributes=attributes).end()
