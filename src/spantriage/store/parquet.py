"""Rows packed: Parquet files that name what is in them, written beside their place and moved there when whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from spantriage.errors import MissingExtra
from spantriage.store.columns import COLUMNS, LAYOUT_VERSION
from spantriage.store.layout import FOOTER

if TYPE_CHECKING:
    import duckdb

__all__ = ["connect", "quoted", "write"]

ROW_GROUP: Final = 65_536
MEMORY: Final = "600MB"
STORED: Final = tuple(name for name in COLUMNS if name != "odd")


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB that packs. Raises MissingExtra."""
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("packing a store", "cli") from None
    con = duckdb.connect(config={"memory_limit": MEMORY, "preserve_insertion_order": "false"})
    con.execute("set TimeZone = 'UTC'")
    return con


def write(con: duckdb.DuckDBPyConnection, relation: str, path: Path, *, segments: list[str], promoted: list[str]) -> int:
    """Write a relation of physical columns as it is ordered, and say what is in it. Returns the number of rows.

    The file is there whole or not at all, whenever the process dies.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    about = orjson.dumps({"layout": LAYOUT_VERSION, "segments": segments, "promoted": promoted}).decode()
    try:
        counted = con.execute(
            f"copy (select {', '.join(STORED)} from {relation}) to {quoted(str(temporary))} "
            f"(format parquet, compression zstd, row_group_size {ROW_GROUP}, kv_metadata {{{FOOTER.decode()}: {quoted(about)}}})"
        ).fetchall()
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)
    return int(counted[0][0])


def quoted(text: str) -> str:
    """A text as SQL says it."""
    return "'" + text.replace("'", "''") + "'"


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
