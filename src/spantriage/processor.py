"""The span processor: it sees spans end, queues them, and lets their attributes show the verdict when they are read.

`on_end` takes no lock, does no I/O, never raises, and costs a microsecond or two; the worker does the rest.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan

from spantriage.config import Settings, configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.dialects import speaks_agent
from spantriage.enrichment import Enriched
from spantriage.worker import Worker

if TYPE_CHECKING:
    from spantriage.sinks import Sink

__all__ = ["TriageProcessor"]

LOG: Final = logging.getLogger("spantriage")
AGENT_KEY: Final = "gen_ai.agent.name"
OPERATION_KEY: Final = "gen_ai.operation.name"
_NONE: Final[dict[str, Any]] = {}


class TriageProcessor(SpanProcessor):
    """Give it to `TracerProvider.add_span_processor` before the exporting processor, or to
    `logfire.configure(additional_span_processors=[...])`.

    `sinks` are opened by name or given as objects; the other arguments are those of `spantriage.config.Settings`.
    Raises ConfigError or SinkError for what was asked for and cannot be had; after that it never raises.
    """

    def __init__(self, *, sinks: Iterable[str | Sink] | None = None, settings: Settings | None = None, **given: object) -> None:
        self.settings = settings or load_settings(given)
        self.worker = Worker(self.settings, configure_detectors(self.settings, all_detectors()), sinks)
        self.enriches = self.settings.enrich
        if hasattr(os, "register_at_fork"):
            reinit = WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := reinit()) and method())

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Remember which agents are at work, so that what ends below them has a name before they end."""
        try:
            own = getattr(span._attributes, "_dict", _NONE)
            if AGENT_KEY in own or OPERATION_KEY in own:
                self.worker.start(span, own.get(AGENT_KEY))
        except Exception:
            self._excuse("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is an agent's or lies in the trace of one."""
        try:
            # Private attributes of ReadableSpan: their public properties cost more than all the rest of this method.
            held: Any = span._attributes
            own = getattr(held, "_dict", held)
            scope = span._instrumentation_scope
            worker = self.worker
            if type(own) is not dict:
                if isinstance(held, Enriched):
                    worker.count("duplicate")  # the processor was added twice
                    return
                own = dict(own or _NONE)  # somebody else's mapping, or none
            if not speaks_agent("" if scope is None else scope.name, own):
                context = span._context
                if worker.traces and context is not None and context.trace_id in worker.traces:
                    self._end_other(span, own)
                return
            enriched = None
            if self.enriches:
                # The mapping is shared by the processors that follow. `attach` probes whether the SDK in use shows it.
                span._attributes = enriched = Enriched(own, worker)
            worker.put((span, own, enriched, True))
        except Exception:
            self._excuse("on_end")

    def _end_other(self, span: ReadableSpan, own: dict[str, Any]) -> None:
        """A span of nobody's that lies between an agent's spans, or is the root above them."""
        parent = span.parent
        enriched = None
        if self.enriches and (parent is None or parent.is_remote):
            enriched = Enriched(own, self.worker)
            span._attributes = enriched
        self.worker.put((span, own, enriched, False))

    def shutdown(self) -> None:
        """Judge what is there, hand it to the sinks and let go, within `exit_s`. A processor may be used again after it."""
        try:
            self.worker.close(self.settings.exit_s)
        except Exception:
            self._excuse("shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every finding known so far has left; False when that took longer."""
        try:
            return self.worker.flush(timeout_millis / 1000)
        except Exception:
            self._excuse("force_flush")
            return False

    def _excuse(self, hook: str) -> None:
        self.worker.count("hook_errors")
        if self.worker.counters["hook_errors"] == 1:
            LOG.warning("%s failed; the span is left as it is", hook, exc_info=True)

    def _after_fork(self) -> None:
        self.worker.after_fork()

    def __reduce__(self) -> str:
        raise TypeError("a TriageProcessor holds threads and open files: make a new one in the other process")
