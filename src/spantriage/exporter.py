"""The exporter: for pipelines that are set up by variable or file, and for those that give us no place to stand in."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.dialects import speaks_agent
from spantriage.enrichment import Enriched
from spantriage.worker import Worker

if TYPE_CHECKING:
    from spantriage.attachment import Triage
    from spantriage.sinks import Sink

__all__ = ["TriageExporter"]

LOG: Final = logging.getLogger("spantriage")


class TriageExporter(SpanExporter):
    """Exports enriched copies through `inner`; spans that our processor has seen already go through as they are.

    Without `inner` (`OTEL_TRACES_EXPORTER=spantriage,otlp`, or an exporter `spantriage` in `OTEL_CONFIG_FILE`) it puts
    the processor into the provider that is being set up, so that the other exporters get enriched spans; where that
    cannot be done it gives findings only. Settings as for `TriageProcessor`.
    """

    def __init__(self, inner: SpanExporter | None = None, *, sinks: Iterable[str | Sink] | None = None, **given: object) -> None:
        self._inner = inner
        self._triage: Triage | None = None
        self._worker: Worker | None = None
        if inner is None:
            from spantriage.attachment import attach

            self._triage = attach(sinks=sinks, **given)
            return
        settings = load_settings(given)
        self._worker = Worker(settings, configure_detectors(settings, all_detectors()), sinks)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the batch; a failure of ours leaves its spans as they were."""
        if self._inner is None:
            self._watch(spans)
            return SpanExportResult.SUCCESS
        return self._inner.export(self._enrich(spans))

    def _enrich(self, spans: Sequence[ReadableSpan]) -> Sequence[ReadableSpan]:
        worker = self._worker
        if worker is None:
            return spans
        try:
            seen = [(span, queue(span, worker)) for span in spans]
            return [span if enriched is None else copy_with(span, enriched) for span, enriched in seen]
        except Exception:
            worker.count("hook_errors")
            LOG.warning("a batch is exported without verdicts", exc_info=True)
            return spans

    def _watch(self, spans: Sequence[ReadableSpan]) -> None:
        """The processor could not settle in: look at what is exported."""
        triage = self._triage
        if triage is None or triage.strategy not in ("waiting", "observe"):
            return
        try:
            for span in spans:
                queue(span, triage.processor.worker)
        except Exception:
            triage.processor.worker.count("hook_errors")

    def shutdown(self) -> None:
        """Deliver what is there and shut the inner exporter down."""
        if self._worker is not None:
            self._worker.close(self._worker.settings.exit_s)
        if self._inner is not None:
            self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver every finding known so far, and flush the inner exporter."""
        done = self._worker is None or self._worker.flush(timeout_millis / 1000)
        return (self._inner is None or self._inner.force_flush(timeout_millis)) and done


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
    enriched = Enriched(own, worker)
    worker.put((span, own, enriched, is_agents))
    return enriched


def copy_with(span: ReadableSpan, attributes: Mapping[str, Any]) -> ReadableSpan:
    """The same span with other attributes."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=dict(attributes),
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
