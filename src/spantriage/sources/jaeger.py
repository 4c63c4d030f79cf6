"""Jaeger: traces as its API and its page's download give them, and single spans as its stores keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.sources import Piece, Source
from spantriage.sources.otlp_json import read_id
from spantriage.sources.spans import Event, Ids, Link, RecordedSpan, Resource, Scope, Status
from spantriage.sources.talk import listed, mapping

MICRO: Final = 1_000
SCOPES: Final = ("otel.scope.name", "otel.library.name")
LATEST_US: Final = (1 << 63) // MICRO


def sniff(head: bytes, name: str) -> bool:
    """Claims spans by Jaeger's own spelling of trace id and name."""
    return b'"traceID"' in head and b'"operationName"' in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The spans in the order they are there."""
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        for span, processes in _spans(found.value):
            read = _span(span, processes, file.path)
            yield read if read is not None else Skip(file.path, found.line, "a span without a valid id")


def _spans(value: object) -> Iterator[tuple[Mapping[str, object], Mapping[str, object]]]:
    """Spans, each with its trace's processes: of a reply, of a trace, or alone."""
    found = mapping(value)
    for trace in map(mapping, listed(found.get("data"))):
        yield from _spans(trace)
    for span in map(mapping, listed(found.get("spans"))):
        yield span, mapping(found.get("processes"))
    if "spanID" in found:
        yield found, {}


def _span(span: Mapping[str, object], processes: Mapping[str, object], path: str) -> RecordedSpan | None:
    trace_id, span_id = read_id(span.get("traceID"), 16), read_id(span.get("spanID"), 8)
    if trace_id is None or span_id is None:
        return None
    attributes = _tags(span.get("tags")) or dict(mapping(span.get("tag")))
    process = mapping(processes.get(str(span.get("processID")))) or mapping(span.get("process"))
    resource = _tags(process.get("tags"))
    resource.setdefault("service.name", process.get("serviceName"))
    start, took = _micros(span.get("startTime")), _micros(span.get("duration"))
    parent, links = _references(span, trace_id)
    return RecordedSpan(
        text.string(span.get("operationName")) or "",
        Ids(trace_id, span_id),
        parent,
        start,
        None if start is None else start + (took or 0),
        attributes,
        [_event(log) for log in map(mapping, listed(span.get("logs")))],
        links,
        Scope(next((str(attributes[key]) for key in SCOPES if key in attributes), "")),
        Resource(resource),
        Status(text.string(attributes.get("otel.status_description"))),
        attributes.get("otel.status_code") == "ERROR" or attributes.get("error") in (True, "true"),
        path,
    )


def _references(span: Mapping[str, object], trace_id: int) -> tuple[Ids | None, list[Link]]:
    parent: Ids | None = None
    links: list[Link] = []
    for reference in map(mapping, listed(span.get("references"))):
        of_trace, of_span = read_id(reference.get("traceID"), 16), read_id(reference.get("spanID"), 8)
        if of_trace is None or of_span is None:
            continue
        if parent is None and of_trace == trace_id and reference.get("refType") == "CHILD_OF":
            parent = Ids(of_trace, of_span)
        else:
            links.append(Link(Ids(of_trace, of_span)))
    above = read_id(span.get("parentSpanID"), 8)
    return parent or (Ids(trace_id, above) if above is not None else None), links


def _tags(tags: object) -> dict[str, object]:
    """Typed tags as a plain dict; older stores write every value as a string."""
    return {key: _value(tag) for tag in map(mapping, listed(tags)) if type(key := tag.get("key")) is str}


def _value(tag: Mapping[str, object]) -> object:
    value, kind = tag.get("value"), tag.get("type")
    if type(value) is str and kind == "bool":
        return value == "true"
    if type(value) is str and kind in ("int64", "float64") and len(value) < 32:
        try:
            return int(value) if kind == "int64" else float(value)
        except ValueError:
            return None
    return value


def _event(log: Mapping[str, object]) -> Event:
    fields = _tags(log.get("fields"))
    name = fields.pop("event", None) or fields.pop("message", "")
    return Event(name if type(name) is str else "", fields, _micros(log.get("timestamp")))


def _micros(value: object) -> int | None:
    return value * MICRO if type(value) is int and 0 <= value < LATEST_US else None


SOURCE: Final = Source("jaeger", sniff, read, rank=20)
