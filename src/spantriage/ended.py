"""What is kept of a span from its end until the worker looks at it: no lock and no empty list of the SDK's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, Status

__all__ = ["Ended", "keep"]


class Ended(NamedTuple):
    """What an agent's span says, in a third of the three kilobytes that the SDK's object takes."""

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


def keep(span: ReadableSpan, attributes: dict[str, Any]) -> Ended:
    """Take what is read later from a span with these attributes. By private names: the public ones copy with each look."""
    events, links = span._events, span._links
    return tuple.__new__(  # what Ended(...) does, in half the time
        Ended,
        (
            span._context,
            span._parent,
            attributes,
            span._name,
            span._start_time,
            span._end_time,
            tuple(events) if events else (),
            tuple(links) if links else (),
            span._instrumentation_scope,
            span._status,
        ),
    )
