"""Where our processors go: first in the group of those that export. What is known of the SDK's insides, and of Logfire's, is here."""

from __future__ import annotations

import logging
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from spantriage.processor import TriageProcessor

__all__ = ["has_another", "place", "probe"]

LOG: Final = logging.getLogger("spantriage")


def place(provider: object, processor: SpanProcessor) -> tuple[object, bool]:
    """Prepend `processor` where the exporting processors are; (None, False) when there is no such place.

    Logfire hides an SDK provider behind a proxy, and its exporters behind wrappers that hand on a copy of the span:
    only a processor inside that group shares that copy with them.
    """
    provider, group = unwrap(provider)
    if group is None:
        return None, False
    home = group_below(group)
    if not isinstance(home, SynchronousMultiSpanProcessor):
        if isinstance(provider, TracerProvider):
            provider.add_span_processor(processor)  # a concurrent group has no order: watch only
            return group, False
        return None, False
    with home._lock:
        if processor not in home._span_processors:
            home._span_processors = (processor, *home._span_processors)
    return home, True


def has_another(provider: object, processor: SpanProcessor | None = None) -> bool:
    """Say whether a processor of ours, other than this one, is at work in `provider`."""
    _, group = unwrap(provider)
    found = getattr(group_below(group), "_span_processors", ())
    return any(isinstance(other, TriageProcessor) and other is not processor for other in found)


def unwrap(provider: object) -> tuple[object, object]:
    """The SDK's provider behind a proxy, and its group of processors; None where it has none."""
    while not hasattr(provider, "_active_span_processor") and hasattr(provider, "provider"):
        provider = provider.provider
    return provider, getattr(provider, "_active_span_processor", None)


def group_below(group: object) -> object:
    """The group of processors below the wrappers of the first wrapped one; a group's own members may wrap others still."""
    for processor in getattr(group, "_span_processors", ()):
        inner = processor
        while hasattr(inner, "processor"):
            inner = inner.processor
        if inner is not processor and hasattr(inner, "_span_processors"):
            return inner
    return group


def probe() -> bool:
    """Say whether this SDK shows a replaced attribute mapping to the processors that follow: tried on a span of our own."""

    class Writes(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            span._attributes = {**(span.attributes or {}), "triage.probe": True}

    class Reads(SpanProcessor):
        seen = False

        def on_end(self, span: ReadableSpan) -> None:
            self.seen = bool((span.attributes or {}).get("triage.probe"))

    reads = Reads()
    provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource.get_empty(), shutdown_on_exit=False)
    provider.add_span_processor(Writes())
    provider.add_span_processor(reads)
    try:
        provider.get_tracer("spantriage").start_span("probe", attributes={"a": 1}).end()
    except Exception:
        LOG.debug("the probe failed", exc_info=True)
        return False
    return reads.seen
