"""A span read from a file: the part of the SDK's `ReadableSpan` that dialects look at, without the SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["BESIDE", "NO_STATUS", "Event", "Ids", "Link", "RecordedSpan", "Resource", "Scope", "Status", "scope_of"]


@dataclass(slots=True)
class Ids:
    """Trace and span id as integers, as in the SDK's `SpanContext`."""

    trace_id: int
    span_id: int


@dataclass(slots=True)
class Resource:
    """What the spans of one process share, such as `service.name`."""

    attributes: Mapping[str, object]


@dataclass(slots=True)
class Scope:
    """The library that wrote the span."""

    name: str
    version: str | None = None


@dataclass(slots=True)
class Status:
    """The status text; whether it is an error stands in `RecordedSpan.failed`."""

    description: str | None = None


@dataclass(slots=True)
class Event:
    """A span event, such as `exception`."""

    name: str
    attributes: Mapping[str, object]
    timestamp: int | None = None  # ns since the epoch


@dataclass(slots=True)
class Link:
    """A link to another span."""

    context: Ids


BESIDE: Final = "beside_spans"  # in the note of a step that says what spans do not; other steps stand in for spans that are not there
NO_STATUS: Final = Status()
NO_SCOPE: Final = Scope("")
CLIENT: Final = Scope("logfire.openai")
_CLIENT_KEYS: Final = frozenset({"logfire.msg_template", "request_data"})


def scope_of(attributes: Mapping[str, object]) -> Scope:
    """The scope of a span that was recorded without one, where the attributes leave no doubt and dialects go by it."""
    return CLIENT if attributes.keys() >= _CLIENT_KEYS else NO_SCOPE


@dataclass(slots=True)
class RecordedSpan:
    """A span as it was exported. Times are ns since the epoch; None where the file has none."""

    name: str
    context: Ids
    parent: Ids | None
    start_time: int | None
    end_time: int | None
    attributes: Mapping[str, object]
    events: Sequence[Event]
    links: Sequence[Link]
    instrumentation_scope: Scope
    resource: Resource
    status: Status
    failed: bool
    source: str | None = None  # the file
