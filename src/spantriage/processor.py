"""The span processor: it sees spans end, queues them, and lets their attributes show the verdict when they are read.

`on_end` takes no lock, does no I/O, never raises, and costs a microsecond or two; the worker does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import SpanContext

from spantriage.config import Settings, configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.dialects import speaks_agent
from spantriage.ended import keep
from spantriage.enrichment import Enriched
from spantriage.excuses import excuse
from spantriage.open_spans import CAP as OPEN_CAP
from spantriage.worker import Worker

if TYPE_CHECKING:
    from spantriage.sinks import Sink

__all__ = ["TriageProcessor"]

AGENT_KEY: Final = "gen_ai.agent.name"
OPERATION_KEY: Final = "gen_ai.operation.name"
FLUSH_S: Final = 5.0
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
        self.yields = False  # to another processor of ours that comes before it

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Remember which agents are at work, so that what ends below them has a name before they end."""
        try:
            held: Any = span._attributes
            own = held._dict if type(held) is BoundedAttributes else _NONE
            if OPERATION_KEY in own or AGENT_KEY in own:
                context: Any = span._context
                worker = self.worker
                worker.opened[context[1]] = (context, own.get(AGENT_KEY), ref(span))
                if worker.asleep or len(worker.opened) > OPEN_CAP:
                    worker.attend()
        except Exception:
            self._excuse("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is an agent's or lies in the trace of one."""
        try:
            # Private attributes of ReadableSpan: their public properties cost more than all the rest of this method.
            held: Any = span._attributes
            worker = self.worker
            if type(held) is BoundedAttributes:
                own = held._dict
            elif type(held) is dict:
                own = held  # Logfire's copy of the span
            elif type(held) is Enriched:
                self._end_again(span, held)
                return
            else:
                own = dict(held or _NONE)  # somebody else's mapping, or none
            scope, context = span._instrumentation_scope, span._context
            if context is None:
                return  # made by hand, and part of no trace
            if not speaks_agent("" if scope is None else scope._name, own):
                # Of others' spans only the place in an agent's trace is kept. A context is a tuple: trace_id, span_id, is_remote, ...
                if worker.traces and context[0] in worker.traces:
                    parent = span._parent
                    if parent is None or parent[2]:
                        self._end_root(span, context, parent, own)
                    else:
                        worker.queue.append((None, context, parent))
                        if worker.asleep or len(worker.queue) > worker.cap:
                            worker.attend()
                return
            enriched = None
            if self.enriches:
                # The mapping is shared by the processors that follow. `attach` probes whether the SDK in use shows it.
                span._attributes = enriched = Enriched(own, worker, getattr(held, "dropped", 0))
            worker.queue.append(keep(span, own, enriched))
            if context[0] is not worker.newest:  # the spans of a trace share the number
                worker.remember(context[0])
            if worker.asleep or len(worker.queue) > worker.cap:
                worker.attend()
        except Exception:
            self._excuse("on_end")

    def _end_again(self, span: ReadableSpan, held: Enriched) -> None:
        """We were first, and are here twice; or another processor of ours was: what it shows stands, the findings are ours too."""
        if self.yields or held._worker is self.worker:
            self.worker.count("duplicate")
            return
        context, own, scope = span._context, held._dict, span._instrumentation_scope
        is_agents = speaks_agent("" if scope is None else scope.name, own)
        if context is not None and (is_agents or context.trace_id in self.worker.traces):
            self.worker.put(keep(span, own, None) if is_agents else (None, context, span._parent))

    def _end_root(self, span: ReadableSpan, context: SpanContext, parent: SpanContext | None, own: dict[str, Any]) -> None:
        """The root above agents' spans, itself nobody's: it shows what came to pass below it."""
        enriched = None
        if self.enriches:
            span._attributes = enriched = Enriched(own, self.worker, getattr(span._attributes, "dropped", 0))
        self.worker.put((enriched, context, parent))

    def shutdown(self) -> None:
        """Judge what is there, hand it to the sinks and let go, within `exit_s`. A processor may be used again after it."""
        try:
            self.worker.close(self.settings.exit_s)
        except Exception:
            self._excuse("shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every finding known so far has left, for at most half of the time, and 5 s.

        The other half is the exporters', who are asked after us; and True is the answer whatever happened, for some SDKs
        do not ask them at all after a False. Whether findings have left is what `Triage.flush` says.
        """
        try:
            if not self.worker.flush(min(FLUSH_S, timeout_millis / 2_000)):
                self.worker.count("flush_timeout")
        except Exception:
            self._excuse("force_flush")
        return True

    def _excuse(self, hook: str) -> None:
        excuse(self.worker.counters, "hook_errors", f"{hook} failed; the span is left as it is")

    def __reduce__(self) -> str:
        raise TypeError("a TriageProcessor holds threads and open files: make a new one in the other process")
