"""What is kept of a span from its end until the worker looks at it: a third of the three kilobytes that the SDK's object takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

    from spantriage.enrichment import Enriched

__all__ = ["Ended", "Entry", "keep"]

# Where the verdict goes (None: nowhere), the span's context and its parent's; of an agent's span also the other fields of an
# `Ended`. A plain tuple: it is made on the thread where the span ends, and takes half the time of a named one.
Entry = tuple[Any, ...]


class Ended(NamedTuple):
    """What an agent's span says."""

    context: SpanContext
    parent: SpanContext | None
    attributes: dict[str, Any]
    name: str
    start_time: int | None
    end_time: int | None
    events: Sequence[Event]
    links: Sequence[Link]
    instrumentation_scope: InstrumentationScope | None
    status: Status


def keep(span: ReadableSpan, attributes: dict[str, Any], enriched: Enriched | None) -> Entry:
    """An agent's span as the queue holds it.

    By private names: the public ones copy with each look. An empty list of the SDK's is not worth its lock.
    """
    return (
        enriched,
        span._context,
        span._parent,
        attributes,
        span._name,
        span._start_time,
        span._end_time,
        span._events or (),
        span._links or (),
        span._instrumentation_scope,
        span._status,
    )
