"""Rows as text: a line of a spool file, or the cells of an Arrow table."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from spantriage.store.columns import COLUMNS
from spantriage.store.rows import Row
from spantriage.text import clean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["as_table", "json_text", "line"]

_JSON: Final = frozenset(name for name, kind in COLUMNS.items() if kind == "JSON")


def line(row: Row) -> bytes:
    """A row as one line of JSON, with its newline."""
    try:
        return orjson.dumps(row, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_mended(row), option=orjson.OPT_APPEND_NEWLINE)


def json_text(value: object) -> str:
    """A value of a span as JSON text, whatever it is."""
    try:
        return orjson.dumps(value, default=_plain).decode()
    except (TypeError, ValueError, RecursionError):
        return orjson.dumps(_mended(value)).decode()


def as_table(rows: Iterable[Row]) -> pa.Table:
    """Rows as an Arrow table of the physical columns; values of JSON columns become text."""
    import pyarrow as pa

    rows = list(rows)
    gets = [row.get for row in rows]
    used = frozenset[str]().union(*rows)  # most columns are empty in most runs
    texts: dict[int, tuple[object, str]] = {}  # of resources, which many rows share
    types = _arrow_types()
    arrays: list[pa.Array] = []
    for name, kind in types.items():
        if name not in used:
            arrays.append(pa.nulls(len(gets), kind))
            continue
        cells = [get(name) for get in gets]
        if name == "otel_resource_attributes":
            cells = [None if value is None else _shared_text(value, texts) for value in cells]
        elif name in _JSON:
            cells = [value if value is None or type(value) is str else json_text(value) for value in cells]
        arrays.append(_array(cells, kind))
    return pa.table(arrays, names=list(types))


def _shared_text(value: object, known: dict[int, tuple[object, str]]) -> str:
    found = known.get(id(value))
    if found is None:
        found = known[id(value)] = value, json_text(value)
    return found[1]


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(cells, kind)
    except (pa.ArrowInvalid, UnicodeEncodeError, OverflowError):
        return pa.array([_mended(cell) for cell in cells], kind)


def _arrow_types() -> dict[str, pa.DataType]:
    import pyarrow as pa

    known = {
        "JSON": pa.string(), "VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(), "VARCHAR[]": pa.list_(pa.string()), "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    return {name: known[kind] for name, kind in COLUMNS.items()}


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return str(value)


def _mended(value: Any, depth: int = 0) -> Any:
    """A value that every JSON reader takes: no lone surrogates, no number beyond 64 bits, nothing nested without end."""
    if isinstance(value, str):
        return clean(str.__str__(value))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > 50:
        return "..."
    if isinstance(value, Mapping):
        return {clean(str(key)): _mended(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(each, depth + 1) for each in value]
    return json.loads(json.dumps(_plain(value)))
