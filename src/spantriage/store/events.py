"""Events of a span: exceptions tell about the span itself, all others are rows of their own below it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from spantriage.store.columns import is_content
from spantriage.store.secrets import texts_in

__all__ = ["place_events"]

Row = dict[str, Any]
_EXCEPTION: Final = ("exception.type", "exception.message", "exception.stacktrace")


def place_events(row: Row, events: Sequence[Any], texts: list[str], content: bool) -> list[Row]:
    """Put the events into a row, and the first exception into columns; gives the rows of those that are none, and their texts."""
    told: list[Row] = []
    rows: list[Row] = []
    for number, event in enumerate(events):
        kept = {key: value for key, value in (event.attributes or {}).items() if content or not is_content(key)}
        texts += texts_in(kept)
        at = (event.timestamp or 0) // 1_000 or row["end_timestamp"]
        told.append({"event_name": event.name, "event_timestamp": at, "attributes": kept})
        if event.name != "exception":
            rows.append(_event_row(row, event.name, at, kept, number))
        elif not row["is_exception"]:
            row["is_exception"] = True
            for key in _EXCEPTION:
                if type(kept.get(key)) is str:
                    row[key.replace(".", "_")] = kept[key]
    row["otel_events"] = told
    return rows


def _event_row(row: Row, name: str, at: int, attributes: Row, number: int) -> Row:
    """An event as a row of its own, below its span; its id is made of the span's, so that it is always the same."""
    made = sha256(f"{row['trace_id']}{row['span_id']}{number}".encode()).hexdigest()[:16]
    kept = ("service_name", "service_version", "service_namespace", "service_instance_id", "process_pid", "deployment_environment",
            "telemetry_sdk_language", "telemetry_sdk_name", "telemetry_sdk_version", "otel_resource_attributes", "otel_scope_name",
            "otel_scope_version", "trace_id")  # fmt: skip
    return {
        **{column: row[column] for column in kept if column in row},
        "span_id": made, "parent_span_id": row["span_id"], "span_name": name, "message": name, "kind": "span_event", "level": 9,
        "is_exception": False, "start_timestamp": at, "end_timestamp": at,
        "attributes": {key: value for key, value in attributes.items() if not is_content(key)},
        "content": {key: value for key, value in attributes.items() if is_content(key)} or None,
    }  # fmt: skip
