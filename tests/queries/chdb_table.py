"""A ClickHouse inside this process, with the table that the Collector's exporter makes, filled with recorded spans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from chdb import session

from spantriage.queries.reading import spans_in

TABLE = """
create table otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String), ScopeName String, ScopeVersion String,
    SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String), StatusMessage String,
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
) engine = MergeTree order by (ServiceName, SpanName, toDateTime(Timestamp))
"""
LOGS = """
create table otel_logs (
    Timestamp DateTime64(9), TraceId String, SpanId String, SeverityText String, Body String,
    LogAttributes Map(LowCardinality(String), String)
) engine = MergeTree order by Timestamp
"""


class Chdb:
    """What clickhouse-connect's client does, without a server."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._session = session.Session()
        self._session.query("create database otel")
        self._session.query("use otel")
        for table in (TABLE, LOGS):
            self._session.query(table)
        lines = "\n".join(json.dumps(_row(span)) for span in spans_in(paths, []))
        self._session.query(f"insert into otel_traces settings input_format_import_nested_json=1 format JSONEachRow {lines}")

    def query_arrow(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], use_strings: bool) -> pa.Table:
        said = ", ".join(f"{name} = {value}" for name, value in settings.items() if name != "readonly")
        bound = {name: "\\N" if value is None else str(value) for name, value in parameters.items()}
        answer = self._session.query(f"{query} settings {said}, output_format_arrow_string_as_string = 1", "Arrow", params=bound)
        return pa.ipc.open_file(pa.py_buffer(answer.bytes())).read_all() if answer.bytes() else pa.table({})

    def insert_logs(self, rows: list[dict[str, Any]]) -> None:
        self._session.query("insert into otel_logs format JSONEachRow " + "\n".join(json.dumps(row) for row in rows))

    def close(self) -> None:
        self._session.close()


def _row(span: Any) -> dict[str, Any]:
    return {
        "Timestamp": _time(span.start_time),
        "TraceId": f"{span.context.trace_id:032x}",
        "SpanId": f"{span.context.span_id:016x}",
        "ParentSpanId": "" if span.parent is None else f"{span.parent.span_id:016x}",
        "SpanName": span.name,
        "ServiceName": span.resource.attributes.get("service.name", ""),
        "ResourceAttributes": _map(span.resource.attributes),
        "ScopeName": span.instrumentation_scope.name,
        "ScopeVersion": span.instrumentation_scope.version or "",
        "SpanAttributes": _map(span.attributes),
        "Duration": max(0, span.end_time - span.start_time),
        "StatusCode": "Error" if span.failed else "Unset",
        "StatusMessage": span.status.description or "",
        "Events.Timestamp": [_time(event.timestamp) for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [_map(event.attributes) for event in span.events],
    }


def _map(attributes: Any) -> dict[str, str]:
    """As the exporter does it: everything becomes text."""
    return {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in attributes.items()}


def _time(at_ns: int) -> str:
    return re.sub(r"(\d{9})$", r".\1", str(at_ns))
