"""OTLP as JSON values: export requests, ResourceSpans or single spans, camelCase or snake_case, into spans.

Nothing here raises on bad input: what cannot be read comes back as a sentence that says why, next to the spans that can.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from spantriage.sources.spans import NO_STATUS, Event, Ids, Link, RecordedSpan, Resource, Scope, Status

__all__ = ["MARKS", "REQUEST", "SCOPES", "read_attributes", "read_id", "read_span", "spans_of"]

REQUEST: Final = ("resourceSpans", "resource_spans", "batches")  # the last is Tempo's
SCOPES: Final = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
OTHER_SIGNALS: Final = ("resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics", "resourceProfiles")
TIMES: Final = ("startTimeUnixNano", "start_time_unix_nano")
# Keys that no other format has.
MARKS: Final = tuple(f'"{key}"'.encode() for key in (*REQUEST[:2], *SCOPES, *TIMES))
FAILED: Final = frozenset({2, "2", "STATUS_CODE_ERROR", "ERROR"})
NO_SCOPE: Final = Scope("")
NO_RESOURCE: Final = Resource({})
MAX_NS: Final = (1 << 64) - 1


def spans_of(value: object, source: str | None = None) -> Iterator[RecordedSpan | str]:
    """The spans of one JSON value, and a sentence for each piece that is none."""
    for part in value if isinstance(value, list) else (value,):
        if not isinstance(part, dict):
            yield "not a JSON object"
            continue
        batches = _first(part, REQUEST)
        if batches is not None:
            for batch in batches if isinstance(batches, list) else (batches,):
                yield from _spans_of_batch(batch, source)
        elif any(key in part for key in SCOPES):
            yield from _spans_of_batch(part, source)
        elif "traceId" in part or "trace_id" in part:
            yield read_span(part, NO_SCOPE, NO_RESOURCE, source)
        elif part and not any(key in part for key in OTHER_SIGNALS):
            yield "no spans in this JSON object"


def _spans_of_batch(batch: object, source: str | None) -> Iterator[RecordedSpan | str]:
    if not isinstance(batch, dict):
        yield "ResourceSpans is not an object"
        return
    found = batch.get("resource")
    pairs = found.get("attributes") if isinstance(found, dict) else None
    resource = Resource(read_attributes(pairs)) if pairs else NO_RESOURCE
    groups = _first(batch, SCOPES) or ()
    if not isinstance(groups, (list, tuple)):
        yield "scopeSpans is not a list"
        return
    for group in groups:
        spans = group.get("spans") if isinstance(group, dict) else ()
        if not isinstance(group, dict) or not isinstance(spans or (), (list, tuple)):
            yield "ScopeSpans is not an object with a list of spans"
            continue
        scope = _scope(group.get("scope") or group.get("instrumentationLibrary"))
        for span in spans or ():
            try:
                yield read_span(span, scope, resource, source)
            except RecursionError:
                yield "a span is nested too deeply"


def _scope(found: object) -> Scope:
    if not isinstance(found, dict):
        return NO_SCOPE
    name, version = found.get("name"), found.get("version")
    return Scope(name if type(name) is str else "", version if type(version) is str else None)


def read_span(span: object, scope: Scope, resource: Resource, source: str | None) -> RecordedSpan | str:
    """One span; a sentence when it has no usable ids. Other fields of the wrong type count as missing."""
    if type(span) is not dict:
        return "a span is not an object"
    get = span.get
    trace_id = read_id(get("traceId") or get("trace_id"), 16)
    span_id = read_id(get("spanId") or get("span_id"), 8)
    if trace_id is None or span_id is None:
        return f"a span without a valid {'trace' if trace_id is None else 'span'} id"
    parent = get("parentSpanId") or get("parent_span_id")
    parent_id = read_id(parent, 8) if parent else None
    name, status, events, links = get("name"), get("status"), get("events"), get("links")
    said, failed = NO_STATUS, False
    if status and isinstance(status, dict):
        code, message = status.get("code"), status.get("message")
        failed = type(code) in (int, str) and code in FAILED
        said = Status(message) if message and type(message) is str else NO_STATUS
    return RecordedSpan(
        name if type(name) is str else "",
        Ids(trace_id, span_id),
        None if parent_id is None else Ids(trace_id, parent_id),
        _time(get(TIMES[0]) or get(TIMES[1])),
        _time(get("endTimeUnixNano") or get("end_time_unix_nano")),
        read_attributes(get("attributes")),
        [e for e in map(_event, events) if e is not None] if type(events) is list else (),
        [e for e in map(_link, links) if e is not None] if type(links) is list else (),
        scope,
        resource,
        said,
        failed,
        source,
    )


def read_attributes(pairs: object) -> dict[str, object]:
    """A list of KeyValue as a plain dict; pairs that make no sense are left out. A plain object is taken as it is."""
    found: dict[str, object] = {}
    if type(pairs) is list:
        for pair in pairs:
            try:
                key = pair["key"]
                ((kind, raw),) = pair["value"].items()
            except (TypeError, KeyError, ValueError, AttributeError):
                _add_odd_pair(found, pair)
                continue
            if kind == "stringValue" and type(raw) is str and type(key) is str:
                found[key] = raw
            elif type(key) is str:
                found[key] = _value(kind, raw)
    elif isinstance(pairs, dict):
        found.update((key, value) for key, value in pairs.items() if type(key) is str)
    return found


def _add_odd_pair(found: dict[str, object], pair: object) -> None:
    if isinstance(pair, dict) and type(pair.get("key")) is str:
        found[pair["key"]] = _any_value(pair.get("value"))


def _any_value(value: object) -> object:
    """An AnyValue; a plain JSON value stands for itself, an empty object for none."""
    if not isinstance(value, dict):
        return value
    return next((_value(kind, raw) for kind, raw in value.items() if kind in KINDS), None)


def _value(kind: object, raw: object) -> object:
    read = KINDS.get(kind) if type(kind) is str else None
    return None if read is None else read(raw)


def _string(raw: object) -> object:
    return raw if type(raw) is str else None


def _bool(raw: object) -> object:
    return raw if type(raw) is bool else {"true": True, "false": False}.get(raw) if type(raw) is str else None


def _int(raw: object) -> object:
    if type(raw) is str and len(raw) <= 20:
        try:
            return int(raw)
        except ValueError:
            return None
    return raw if type(raw) is int else int(raw) if type(raw) is float and abs(raw) < 1 << 63 else None


def _double(raw: object) -> object:
    if type(raw) is str and len(raw) <= 400:
        try:
            return float(raw)  # "NaN" and "Infinity" too
        except ValueError:
            return None
    return raw if type(raw) in (int, float) else None


def _bytes(raw: object) -> object:
    try:
        return base64.b64decode(raw) if type(raw) is str else None
    except (binascii.Error, ValueError):
        return None


def _array(raw: object) -> object:
    values = raw.get("values") if isinstance(raw, dict) else raw
    return tuple([_any_value(value) for value in values]) if isinstance(values, (list, tuple)) else ()


def _kvlist(raw: object) -> object:
    return read_attributes(raw.get("values") if isinstance(raw, dict) else raw)


KINDS: Final[dict[str, Callable[[object], object]]] = {
    "stringValue": _string, "intValue": _int, "boolValue": _bool, "doubleValue": _double, "arrayValue": _array,
    "kvlistValue": _kvlist, "bytesValue": _bytes, "string_value": _string, "int_value": _int, "bool_value": _bool,
    "double_value": _double, "array_value": _array, "kvlist_value": _kvlist, "bytes_value": _bytes,
}  # fmt: skip


def read_id(text: object, size: int) -> int | None:
    """An id of `size` bytes: hex of either case, or base64. None when it is neither, or all zero."""
    if type(text) is not str or len(text) > size * 2:
        return None
    try:
        found = int(text, 16)
    except ValueError:
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        found = int.from_bytes(raw, "big") if len(raw) == size else 0
    return found if found > 0 else None


def _time(value: object) -> int | None:
    number = value if type(value) is int else _int(value)
    return number if type(number) is int and 0 < number <= MAX_NS else None


def _event(event: object) -> Event | None:
    if not isinstance(event, dict):
        return None
    name = event.get("name")
    when = event.get("timeUnixNano") or event.get("time_unix_nano")
    return Event(name if type(name) is str else "", read_attributes(event.get("attributes")), _time(when))


def _link(link: object) -> Link | None:
    if not isinstance(link, dict):
        return None
    trace_id = read_id(link.get("traceId") or link.get("trace_id"), 16)
    span_id = read_id(link.get("spanId") or link.get("span_id"), 8)
    return Link(Ids(trace_id, span_id)) if trace_id is not None and span_id is not None else None


def _first(value: Mapping[str, object], keys: tuple[str, ...]) -> object:
    return next((value[key] for key in keys if value.get(key) is not None), None)
