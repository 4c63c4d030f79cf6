"""A span as rows of `records`: itself, and each of its events that is no exception.

A row is a dict of physical columns (`columns.py`); what is missing is left out. Times are microseconds since the epoch in
`start_timestamp` and `end_timestamp`; `attributes`, `content`, `otel_events` and `otel_links` are still values, not text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from spantriage.redact import HIDDEN, is_secret_name
from spantriage.store.columns import PROMOTED, is_content
from spantriage.store.events import place_events
from spantriage.store.secrets import betrays, redacted, texts_in

__all__ = ["MOVED", "Row", "SpanFacts", "resource_row", "rows_of"]

Row = dict[str, Any]
PLACES_CAP: Final = 4_096  # attribute names whose place is remembered
MAX_INT: Final = 1 << 63
LEVELS: Final = {False: 9, True: 17}  # info; error for a span that failed

_RESOURCE: Final = {
    "service.name": "service_name", "service.version": "service_version", "service.namespace": "service_namespace",
    "service.instance.id": "service_instance_id", "telemetry.sdk.language": "telemetry_sdk_language",
    "telemetry.sdk.name": "telemetry_sdk_name", "telemetry.sdk.version": "telemetry_sdk_version",
    "deployment.environment.name": "deployment_environment", "deployment.environment": "deployment_environment",
}  # fmt: skip
# Attributes that have a column in Logfire too, and stay attributes ...
_COPIED: Final = {
    "http.request.method": "http_method", "http.method": "http_method", "http.route": "http_route", "url.full": "url_full",
    "http.url": "url_full", "url.path": "url_path", "url.query": "url_query",
}  # fmt: skip
_STATUS: Final = frozenset({"http.response.status_code", "http.status_code"})
# ... and those that leave the attributes.
MOVED: Final = frozenset({"logfire.msg", "logfire.tags", "logfire.level_num", "logfire.json_schema", "logfire.null_args"})
_PLAIN, _CONTENT, _ASIDE, _SECRET, _PROMOTED = range(5)


class SpanFacts(Protocol):
    """The part of an ended span, live or recorded, that rows are made of."""

    @property
    def name(self) -> str: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def events(self) -> Sequence[Any]: ...
    @property
    def links(self) -> Sequence[Any]: ...
    @property
    def instrumentation_scope(self) -> Any: ...


class Status(NamedTuple):
    """A span's status: "OK", "ERROR" or None, and its text."""

    code: str | None
    text: str | None


Place = tuple[int, str, type]  # where an attribute goes; for promoted ones also the column and the type of its values


class _Places(dict[str, Place]):
    """Where an attribute of a name goes; worked out once for each name."""

    def __missing__(self, key: str) -> Place:
        code, column = _PLAIN, ""
        python: type = object
        if key in PROMOTED:
            code, column, python = _PROMOTED, PROMOTED[key].column, PROMOTED[key].python
        elif key in MOVED or key in _COPIED or key in _STATUS:
            code = _ASIDE
        elif is_secret_name(key):
            code = _SECRET
        elif is_content(key):
            code = _CONTENT
        place = code, column, python
        if len(self) < PLACES_CAP:
            self[key] = place
        return place


_PLACES: Final = _Places()


def resource_row(attributes: Mapping[str, object]) -> Row:
    """The columns that the spans of one process share; made once for each resource."""
    row: Row = {"service_name": "unknown_service"}
    for key, column in _RESOURCE.items():
        value = attributes.get(key)
        if type(value) is str and (column not in row or column == "service_name"):
            row[column] = value
    pid = attributes.get("process.pid")
    if type(pid) is int and 0 <= pid < 1 << 31:
        row["process_pid"] = pid
    shown = {key: HIDDEN if _PLACES[key][0] == _SECRET else value for key, value in attributes.items()}
    row["otel_resource_attributes"] = redacted(shown)
    return row


def rows_of(
    span: SpanFacts,
    attributes: Mapping[str, Any],
    ids: tuple[int, int, int | None],
    status: Status,
    resource: Row,
    *,
    content: bool,
    redacts: bool = True,
) -> list[Row]:
    """The rows of a span with these `ids` (trace, span, parent); none for Logfire's notice that a span has begun.

    Without `content` what people and models said is left out; with `redacts` credentials are taken out of the rest.
    """
    kind = attributes.get("logfire.span_type")
    if kind == "pending_span":
        return []
    row = _head(span, ids, status, resource)
    if kind == "log":
        row["kind"], row["duration"] = "log", None
    said = _place_attributes(row, attributes, content)
    rows = [row]
    if span.events:
        rows += place_events(row, span.events, said, content)
    if span.links:
        row["otel_links"] = [{"span_id": f"{at.context.span_id:016x}", "trace_id": f"{at.context.trace_id:032x}"} for at in span.links]
    if redacts:
        said += (span.name, row["message"], status.text or "")
        if betrays(said):
            rows = [redacted(each) for each in rows]
    return rows


def _head(span: SpanFacts, ids: tuple[int, int, int | None], status: Status, resource: Row) -> Row:
    """A row without what its attributes, events and links tell."""
    trace_id, span_id, parent_id = ids
    start, end = span.start_time or span.end_time or 0, span.end_time or span.start_time or 0
    row: Row = {
        "trace_id": f"{trace_id:032x}",
        "span_id": f"{span_id:016x}",
        "span_name": span.name,
        "kind": "span",
        "start_timestamp": start // 1_000,
        "end_timestamp": end // 1_000,
        "duration": (end - start) / 1e9,
        "level": LEVELS[status.code == "ERROR"],
        "message": span.name,
        "is_exception": False,
        **resource,
    }
    if parent_id is not None:
        row["parent_span_id"] = f"{parent_id:016x}"
    if status.code is not None:
        row["otel_status_code"] = status.code
        if status.text:
            row["otel_status_message"] = status.text
    scope = span.instrumentation_scope
    if scope is not None and scope.name:
        row["otel_scope_name"] = scope.name
        if scope.version:
            row["otel_scope_version"] = scope.version
    return row


def _place_attributes(row: Row, attributes: Mapping[str, Any], content: bool) -> list[str]:
    """Put every attribute where it belongs; gives the texts among them."""
    slim: Row = {}
    said: Row = {}
    texts: list[str] = []
    places = _PLACES
    for key, value in attributes.items():
        place, column, python = places[key]
        kind = type(value)
        if place == _PROMOTED:
            if kind is python and (kind is str or _fits(value)):
                row[column] = value
            else:
                slim[key] = value
                row.setdefault("odd", []).append(key)
        elif place == _PLAIN:
            slim[key] = value
        elif place == _CONTENT:
            if not content:
                continue
            said[key] = value
        elif place == _ASIDE:
            _put_aside(row, slim, key, value)
        else:
            slim[key] = HIDDEN if kind is str else value
            continue
        if kind is str:
            texts.append(value)
        elif kind is tuple or kind is list or kind is dict:
            texts += texts_in(value)
    row["attributes"] = slim
    if said:
        row["content"] = said
    return texts


def _fits(value: object) -> bool:
    """Whether text and JSON hold the value exactly: no integer beyond 63 bits, no NaN."""
    return not (type(value) is int and not -MAX_INT <= value < MAX_INT) and value == value  # noqa: PLR0124  # NaN is not


def _put_aside(row: Row, slim: Row, key: str, value: Any) -> None:
    kind = type(value)
    if key == "logfire.msg" and kind is str:
        row["message"] = value
    elif key == "logfire.level_num" and kind is int and 0 <= value < 100:
        row["level"] = value
    elif key == "logfire.tags" and kind in (tuple, list):
        row["tags"] = [each for each in value if type(each) is str]
    elif key == "logfire.json_schema" and kind is str:
        row["attributes_json_schema"] = value
    elif key not in MOVED:
        slim[key] = value
        if key in _STATUS and kind is int and 0 <= value < 1_000:
            row["http_response_status_code"] = value
        elif key in _COPIED and kind is str:
            row[_COPIED[key]] = value
