"""Arize Phoenix: spans as its API, its client and its data frames give them, as JSON or JSON lines.

Attributes come nested, or flat under `attributes.`; they are spread into OpenInference's dotted keys again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.sources import Piece, Source, times
from spantriage.sources.otlp_json import read_id
from spantriage.sources.spans import Event, Ids, RecordedSpan, Resource, Scope, Status
from spantriage.sources.talk import listed, mapping

FLAT: Final = ("context.trace_id", "context.span_id")
PREFIX: Final = "attributes."
KIND: Final = "openinference.span.kind"
DEPTH: Final = 12
WHOLE: Final = frozenset({"metadata", "value", "json_schema", "parameters", "arguments"})  # what is one value, however it looks
KEYS: Final = 20_000  # of one span
NO_SCOPE: Final = Scope("")
NO_RESOURCE: Final = Resource({})


def sniff(head: bytes, name: str) -> bool:
    """Claims spans with Phoenix's `span_kind` beside a context, nested or flat."""
    return b'"span_kind"' in head and (b'"context"' in head or b'"context.span_id"' in head) and b'"SpanKind.' not in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The spans in the order they are there."""
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        pages = listed(mapping(found.value).get("data")) or [found.value]
        for span in map(mapping, pages):
            read = _span(span, file.path)
            yield read if read is not None else Skip(file.path, found.line, "a span without a valid id")


def _span(span: Mapping[str, object], path: str) -> RecordedSpan | None:
    context = mapping(span.get("context"))
    trace_id = read_id(context.get("trace_id", span.get(FLAT[0])), 16)
    span_id = read_id(context.get("span_id", span.get(FLAT[1])), 8)
    if trace_id is None or span_id is None:
        return None
    attributes: dict[str, object] = {}
    _spread(attributes, "", mapping(span.get("attributes")), 0)
    for key, value in span.items():
        if key.startswith(PREFIX):
            _spread(attributes, key.removeprefix(PREFIX), value, 0)
    attributes.setdefault(KIND, span.get("span_kind"))
    parent = read_id(span.get("parent_id"), 8)
    return RecordedSpan(
        text.string(span.get("name")) or "",
        Ids(trace_id, span_id),
        None if parent is None else Ids(trace_id, parent),
        times.read(span.get("start_time")),
        times.read(span.get("end_time")),
        attributes,
        [
            Event(text.string(event.get("name")) or "", _event_attributes(event), times.read(event.get("timestamp")))
            for event in map(mapping, listed(span.get("events")))
        ],
        (),
        NO_SCOPE,
        NO_RESOURCE,
        Status(text.string(span.get("status_message"))),
        span.get("status_code") == "ERROR",
        path,
    )


def _event_attributes(event: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    _spread(found, "", mapping(event.get("attributes")), 0)
    return found


def _spread(into: dict[str, object], key: str, value: object, depth: int) -> None:
    """Put a nested value under dotted keys, lists of objects by their numbers; None is nothing."""
    if value is None or len(into) >= KEYS or depth > DEPTH:
        return
    pairs: list[tuple[str, object]] = []
    if key.rpartition(".")[2] in WHOLE and isinstance(value, (dict, list)):
        into[key] = text.plain(value)
    elif isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        pairs = [(str(number), each) for number, each in enumerate(value)]
    else:
        into[key] = value
    for name, inner in pairs:
        _spread(into, f"{key}.{name}" if key else name, inner, depth + 1)


SOURCE: Final = Source("phoenix", sniff, read, rank=20)
