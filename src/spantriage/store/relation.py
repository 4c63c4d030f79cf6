"""The rows of a store as one relation of physical columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from spantriage.store.columns import COLUMNS
from spantriage.store.layout import Snapshot
from spantriage.store.parquet import STORED, quoted

__all__ = ["listed", "segments_relation", "stored"]

OBJECT_BYTES: Final = 8 << 20  # the longest line of a segment that is read
SPOOLED: Final = {**COLUMNS, "start_timestamp": "BIGINT", "end_timestamp": "BIGINT"}  # microseconds


def stored(snapshot: Snapshot) -> str:
    """The rows of Parquet files and of segments, as one relation of physical columns."""
    parts = []
    if snapshot.parquet:
        parts.append(
            f"select {', '.join(STORED)} from read_parquet({listed(snapshot.parquet)}, union_by_name = true, hive_partitioning = false)"
        )
    if snapshot.segments:
        parts.append(segments_relation(snapshot.segments))
    if not parts:
        empty = ", ".join(f"null::{COLUMNS[name]} as {name}" for name in STORED)
        parts.append(f"select {empty} where false")
    return "(" + " union all ".join(parts) + ")"


def segments_relation(paths: list[Path], columns: tuple[str, ...] = STORED) -> str:
    """A SELECT of the rows of segments. A torn or foreign line would be a row of nulls; each of ours has an end."""
    spoken = "{" + ", ".join(f"{name}: '{kind}'" for name, kind in SPOOLED.items()) + "}"
    times = {name: f"make_timestamptz({name})" for name in ("start_timestamp", "end_timestamp")}
    cells = ", ".join(f"{times[name]} as {name}" if name in times else name for name in columns)
    return (
        f"select {cells} from read_json({listed(paths)}, format = 'newline_delimited', columns = {spoken}, "
        f"ignore_errors = true, maximum_object_size = {OBJECT_BYTES}) where end_timestamp is not null"
    )


def listed(paths: Iterable[Path]) -> str:
    """Files as a list in SQL."""
    return "[" + ", ".join(quoted(str(path)) for path in paths) + "]"
