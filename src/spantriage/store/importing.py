"""Recorded runs into a store: straight into Parquet, by the day on which spans began.

What is there already, from a former import or from the live program, is not taken in again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from spantriage.model import Step
from spantriage.sources.spans import RecordedSpan
from spantriage.store.columns import COLUMNS, PROMOTED
from spantriage.store.layout import create, look
from spantriage.store.lines import as_table
from spantriage.store.parquet import connect, write
from spantriage.store.relation import stored
from spantriage.store.rows import Row
from spantriage.store.spans import RecordedRows
from spantriage.store.target import StoreTarget

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Importer"]

ROWS: Final = 65_536  # in one file
CHUNK: Final = 2_048  # rows that are held as such, before they are an Arrow table
DAY_US: Final = 86_400_000_000


class Importer:
    """Takes spans and steps, each once. For one thread; `close` writes the rest.

    Raises StoreError when the store cannot be had, MissingExtra without DuckDB.
    """

    def __init__(self, target: StoreTarget) -> None:
        self.folder = create(target.folder)
        self.written = 0  # rows
        self._con = connect()
        self._rows = RecordedRows(content=target.content, redacts=True)
        self._held: dict[int, list[Row]] = {}  # by day since the epoch
        self._tables: dict[int, list[pa.Table]] = {}
        self._number = 0

    def add(self, piece: object) -> None:
        """Take in a piece of a recorded run; what is neither span nor step is nothing to keep."""
        if isinstance(piece, RecordedSpan):
            rows = self._rows.of(piece)
        elif isinstance(piece, Step):
            rows = self._rows.of_step(piece)
        else:
            return
        for row in rows:
            self._held.setdefault(row["start_timestamp"] // DAY_US, []).append(row)
            self._number += 1
        if self._number % CHUNK < len(rows):
            self._pack()
            if self._number >= ROWS:
                self._write()

    def close(self) -> None:
        """Write what is held."""
        self._pack()
        self._write()
        self._con.close()

    def _pack(self) -> None:
        held, self._held = self._held, {}
        for day, rows in held.items():
            self._tables.setdefault(day, []).append(as_table(rows))

    def _write(self) -> None:
        import pyarrow as pa

        tables, self._tables, self._number = self._tables, {}, 0
        for day, parts in sorted(tables.items()):
            self._write_day(day, pa.concat_tables(parts))

    def _write_day(self, day: int, table: pa.Table) -> None:
        name = blake2b(digest_size=10)
        for column in ("trace_id", "span_id"):
            for each in table[column].chunks:
                name.update(each.buffers()[2])
        odd = {str(key) for each in table["odd"].to_pylist() if each for key in each}
        used = [column for column in table.column_names if table[column].null_count < table.num_rows]
        self._con.register("given", table.select(used).sort_by([("start_timestamp", "ascending"), ("trace_id", "ascending")]))
        path = self.folder / "parquet" / f"date={_date(day)}" / f"import-{name.hexdigest()}.parquet"
        known = f"select span_id from {stored(look(self.folder))} where trace_id in (select trace_id from given)"
        self._con.execute(f"create or replace temp table known as {known}")
        relation = f"(select {_cells(used)} from given where span_id not in (select span_id from known))"
        if not self._con.execute(f"select count(*) from {relation}").fetchall()[0][0]:
            return
        self.written += write(self._con, relation, path, segments=[], promoted=sorted(set(PROMOTED) - odd))


def _cells(used: Container[str]) -> str:
    """All physical columns in SQL, those that are not `used` as nulls: to sort and hand over nothing is not free."""
    casts = {name: f"{name}::json" if kind == "JSON" else name for name, kind in COLUMNS.items()}
    return ", ".join(f"{cast if name in used else f'null::{COLUMNS[name]}'} as {name}" for name, cast in casts.items())


def _date(day: int) -> str:
    try:
        return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()
    except OverflowError:  # a clock beyond all calendars
        return "9999-12-31"
