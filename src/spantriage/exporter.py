"""The exporter: for pipelines that are set up by variable or file, and for those that give us no place to stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.dialects import speaks_agent
from spantriage.ended import keep
from spantriage.enrichment import Enriched
from spantriage.excuses import excuse
from spantriage.processor import FLUSH_S
from spantriage.worker import Worker

if TYPE_CHECKING:
    from spantriage.attachment import Triage
    from spantriage.sinks import Sink

__all__ = ["TriageExporter"]


class TriageExporter(SpanExporter):
    """Exports enriched copies through `inner`; spans that our processor has seen already go through as they are.

    Without `inner` (`OTEL_TRACES_EXPORTER=spantriage,otlp`, or an exporter `spantriage` in `OTEL_CONFIG_FILE`) it puts
    the processor into the provider that is being set up, so that the other exporters get enriched spans; where that
    cannot be done it gives findings only. Settings as for `TriageProcessor`.
    """

    def __init__(
        self, inner: SpanExporter | None = None, *, sinks: Iterable[str | Sink] | None = None, store: str | None = None, **given: object
    ) -> None:
        self._inner = inner
        self._triage: Triage | None = None
        self._worker: Worker | None = None
        if inner is None:
            from spantriage.attachment import attach

            self._triage = attach(sinks=sinks, store=store, **given)
            return
        settings = load_settings(given)
        self._worker = Worker(settings, configure_detectors(settings, all_detectors()), sinks)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the batch; a failure of ours leaves its spans as they were."""
        if self._inner is None:
            self._watch(spans)
            return SpanExportResult.SUCCESS
        worker = self._worker
        return self._inner.export(spans if worker is None else [enrich(span, worker) for span in spans])

    def _watch(self, spans: Sequence[ReadableSpan]) -> None:
        """The processor could not settle in: look at what is exported."""
        triage = self._triage
        if triage is None or triage.strategy not in ("waiting", "observe"):
            return
        for span in spans:
            enrich(span, triage.processor.worker)

    def shutdown(self) -> None:
        """Deliver what is there and shut the inner exporter down."""
        worker = self._any_worker()
        if worker is not None:
            try:
                worker.close(worker.settings.exit_s)
            except Exception:
                worker.count("hook_errors")
        if self._inner is not None:
            self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver every finding known so far, for at most half of the time, and flush the inner exporter."""
        worker, done = self._any_worker(), True
        if worker is not None:
            try:
                done = worker.flush(min(FLUSH_S, timeout_millis / 2_000))
            except Exception:
                worker.count("hook_errors")
                done = False
        return (self._inner is None or self._inner.force_flush(timeout_millis)) and done

    def _any_worker(self) -> Worker | None:
        return self._worker if self._triage is None else self._triage.processor.worker


def enrich(span: ReadableSpan, worker: Worker) -> ReadableSpan:
    """A copy that will show the verdict; the span itself where there is none to show, or where we fail."""
    try:
        enriched = queue(span, worker)
        return span if enriched is None else copy_with(span, enriched)
    except Exception:
        excuse(worker.counters, "hook_errors", "a span is exported without its verdict")
        return span


def queue(span: ReadableSpan, worker: Worker) -> Enriched | None:
    """Queue a span for the worker; None when it was seen before or is none of an agent's."""
    held = span._attributes
    context, scope = span.context, span.instrumentation_scope
    if isinstance(held, Enriched) or context is None:
        return None
    own: dict[str, Any] = dict(span.attributes or {})
    is_agents = speaks_agent("" if scope is None else scope.name, own)
    if not is_agents and context.trace_id not in worker.traces:
        return None
    enriched = Enriched(own, worker, span.dropped_attributes)
    worker.put(keep(span, own, enriched) if is_agents else (enriched, context, span.parent))
    return enriched


def copy_with(span: ReadableSpan, attributes: Enriched) -> ReadableSpan:
    """The same span with other attributes."""
    copied = copy(span)
    copied._attributes = attributes
    return copied
