"""Logfire: rows of its `records`, as the query API answers (rows, columns, JSON lines) or as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.sources import Piece, Source, times
from spantriage.sources.otlp_json import read_id
from spantriage.sources.spans import Event, Ids, Link, RecordedSpan, Resource, Scope, Status, scope_of
from spantriage.sources.talk import listed, mapping

COLUMNS: Final = (b"span_name", b"start_timestamp", b"trace_id")
_NAMED: Final = re.compile(rb'"span_name"\s*:\s*(?:"|null)|"name"\s*:\s*"span_name"')
WRAPPED: Final = ("data", "rows", "records")
PASSED_OVER: Final = ("pending_span", "span_event")  # the beginning of a span that comes again; a part of one
TRUE: Final = (True, "true", "True", "t", "1")


def sniff(head: bytes, name: str) -> bool:
    """Claims rows by the names of their columns."""
    if not all(column in head for column in COLUMNS):
        return False
    if head.lstrip()[:1] in (b"{", b"["):
        return _NAMED.search(head) is not None
    return all(column in head.partition(b"\n")[0] for column in COLUMNS)


def read(file: TraceFile) -> Iterator[Piece]:
    """The spans of the rows. `trace_id` and `span_id` must be among the columns; the more others, the more is found."""
    for line, row in _rows(file):
        if isinstance(row, Skip):
            yield row
        elif row.get("kind") not in PASSED_OVER:
            span = _span(row, file.path)
            yield span if span is not None else Skip(file.path, line, "a row without a valid trace_id and span_id")


def _rows(file: TraceFile) -> Iterator[tuple[int, Mapping[str, object] | Skip]]:
    if file.head.lstrip()[:1] not in (b"{", b"["):
        yield from _csv(file)
        return
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found.line, found
            continue
        value = mapping(found.value)
        columns = [mapping(each) for each in listed(value.get("columns"))]
        if columns and all("values" in column for column in columns):
            names = [str(column.get("name")) for column in columns]
            for number, cells in enumerate(zip_longest(*(listed(column["values"]) for column in columns)), 1):
                yield number, dict(zip(names, cells, strict=True))
            continue
        rows = next((value[key] for key in WRAPPED if isinstance(value.get(key), list)), [value])
        for row in listed(rows):
            yield found.line, mapping(row)


def _csv(file: TraceFile) -> Iterator[tuple[int, Mapping[str, object] | Skip]]:
    lines = (line[1].decode("utf-8", "replace").replace("\0", "") for line in file.lines() if not isinstance(line, Skip))
    header = next(lines, "")
    names = next(csv.reader(io.StringIO(header)), [])
    rows = csv.reader(lines)
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:  # a cell beyond the library's limit
            yield file.line, Skip(file.path, file.line, str(error))
            continue
        if cells is None:
            return
        yield file.line, {name: cell for name, cell in zip(names, cells, strict=False) if cell != ""}


def _span(row: Mapping[str, object], path: str) -> RecordedSpan | None:
    trace_id, span_id = read_id(row.get("trace_id"), 16), read_id(row.get("span_id"), 8)
    if trace_id is None or span_id is None:
        return None
    parent = read_id(row.get("parent_span_id"), 8)
    start, end = times.read(row.get("start_timestamp")), times.read(row.get("end_timestamp"))
    took = row.get("duration")
    if end is None and start is not None:
        seconds = text.number(float(took) if type(took) is str and took.replace(".", "", 1).isdecimal() else took)
        end = start + int((seconds or 0) * times.NS)
    events = [_event(event) for event in map(mapping, _list(row.get("otel_events")))]
    if row.get("is_exception") in TRUE and not any(event.name == "exception" for event in events):
        said = {"exception.type": row.get("exception_type"), "exception.message": row.get("exception_message")}
        events.append(Event("exception", said, end))
    attributes, scope = _attributes(row), text.string(row.get("otel_scope_name"))
    return RecordedSpan(
        text.string(row.get("span_name")) or "",
        Ids(trace_id, span_id),
        None if parent is None else Ids(trace_id, parent),
        start,
        end,
        attributes,
        events,
        [link for link in map(_link, map(mapping, _list(row.get("otel_links")))) if link is not None],
        Scope(scope, text.string(row.get("otel_scope_version"))) if scope is not None else scope_of(attributes),
        Resource({"service.name": row.get("service_name"), **_object(row.get("otel_resource_attributes"))}),
        Status(text.string(row.get("otel_status_message"))),
        row.get("otel_status_code") == "ERROR",
        path,
    )


def _attributes(row: Mapping[str, object]) -> dict[str, object]:
    found = {key: value for key, value in _object(row.get("attributes")).items() if value is not None}
    if type(row.get("kind")) is str:
        found.setdefault("logfire.span_type", row["kind"])
    if type(row.get("message")) is str:
        found.setdefault("logfire.msg", row["message"])
    return found


def _event(event: Mapping[str, object]) -> Event:
    name = event.get("event_name") or event.get("name")
    return Event(
        name if type(name) is str else "",
        _object(event.get("attributes")),
        times.read(event.get("event_timestamp", event.get("timestamp"))),
    )


def _link(link: Mapping[str, object]) -> Link | None:
    context = mapping(link.get("context")) or link
    trace_id, span_id = read_id(context.get("trace_id"), 16), read_id(context.get("span_id"), 8)
    return Link(Ids(trace_id, span_id)) if trace_id is not None and span_id is not None else None


def _object(value: object) -> dict[str, object]:
    return mapping(text.load(value))


def _list(value: object) -> list[object]:
    return listed(text.load(value))


SOURCE: Final = Source("logfire", sniff, read, rank=25)
