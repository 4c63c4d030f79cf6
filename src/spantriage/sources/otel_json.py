"""Spans as the SDK's console exporter writes them: `span.to_json()`, a line each or spread over lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.sources import Piece, Source, times
from spantriage.sources.otlp_json import read_id
from spantriage.sources.spans import Event, Ids, Link, RecordedSpan, Resource, Scope, Status, scope_of
from spantriage.sources.talk import listed, mapping


def sniff(head: bytes, name: str) -> bool:
    """Claims spans by their context beside a kind that is spelled as in Python."""
    return b'"SpanKind.' in head and b'"context"' in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The spans in the order they are there. Most are written without their scope; dialects then go by attributes."""
    for found in values.read(file):
        span = _span(mapping(found.value), file.path) if not isinstance(found, Skip) else None
        if isinstance(found, Skip):
            yield found
        else:
            yield span if span is not None else Skip(file.path, found.line, "a span without a valid id")


def _span(span: Mapping[str, object], path: str) -> RecordedSpan | None:
    context = _ids(span.get("context"))
    if context is None:
        return None
    parent, status = _hex(span.get("parent_id"), 8), mapping(span.get("status"))
    attributes, scope = mapping(span.get("attributes")), mapping(span.get("instrumentation_scope") or span.get("scope"))
    return RecordedSpan(
        text.string(span.get("name")) or "",
        context,
        None if parent is None else Ids(context.trace_id, parent),
        times.read(span.get("start_time")),
        times.read(span.get("end_time")),
        attributes,
        [
            Event(text.string(event.get("name")) or "", mapping(event.get("attributes")), times.read(event.get("timestamp")))
            for event in map(mapping, listed(span.get("events")))
        ],
        [Link(linked) for link in map(mapping, listed(span.get("links"))) if (linked := _ids(link.get("context"))) is not None],
        Scope(name, text.string(scope.get("version"))) if (name := text.string(scope.get("name"))) else scope_of(attributes),
        Resource(mapping(mapping(span.get("resource")).get("attributes"))),
        Status(text.string(status.get("description"))),
        status.get("status_code") == "ERROR",
        path,
    )


def _ids(context: object) -> Ids | None:
    trace_id, span_id = (_hex(mapping(context).get(key), size) for key, size in (("trace_id", 16), ("span_id", 8)))
    return Ids(trace_id, span_id) if trace_id is not None and span_id is not None else None


def _hex(said: object, size: int) -> int | None:
    return read_id(said.removeprefix("0x"), size) if type(said) is str else None


SOURCE: Final = Source("otel-json", sniff, read, rank=20)
