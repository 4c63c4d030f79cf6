"""Answers for programs: JSON lines, CSV, Parquet. Texts of agents stay data in each of them."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from spantriage.text import clean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["to_csv", "to_json", "to_parquet"]

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would work out


def to_json(answer: pa.Table) -> str:
    """An object a line. JSON columns are JSON, times ISO 8601 in UTC."""
    columns = {name for name in answer.column_names if _is_json(answer, name)}
    lines = []
    for row in answer.to_pylist():
        said = {name: orjson.Fragment(value) if name in columns and value is not None else value for name, value in row.items()}
        lines.append(orjson.dumps(said, default=_plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z).decode())
    return "".join(lines)


def to_csv(answer: pa.Table) -> str:
    """With a line of names. A text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, answer.column_names))
    for row in answer.to_pylist():
        writer.writerow(map(_cell, row.values()))
    return text.getvalue()


def to_parquet(answer: pa.Table, out: Path | None) -> None:
    """Into a file, or onto stdout."""
    import pyarrow.parquet as pq

    if out is not None:
        pq.write_table(answer, out, compression="zstd")
        return
    buffer = io.BytesIO()
    pq.write_table(answer, buffer, compression="zstd")
    sys.stdout.buffer.write(buffer.getvalue())


def _is_json(answer: pa.Table, name: str) -> bool:
    kind = answer.schema.field(name)
    return b"arrow.json" in (kind.metadata or {}).values()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, Decimal)):
        return value
    if isinstance(value, dt.datetime):
        return value.isoformat()
    said = clean(value if isinstance(value, str) else orjson.dumps(value, default=_plain).decode())
    return f"'{said}" if said.startswith(FORMULA) else said


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
