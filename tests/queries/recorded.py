"""Recordings to ask about, and a plain table of the same rows to hold answers against."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from spantriage.queries.duck import Duck
from spantriage.queries.parsing import statements
from spantriage.queries.reading import read_files

DATA = Path(__file__).parents[1] / "data"
FILES = [DATA / "queries" / "two_agents.jsonl", DATA / "queries" / "tools.jsonl"]
RUN = "01a1f9433a281fec09d7f7bd200e0a62"
SQL = sorted((DATA / "sql").glob("*.sql"))
GOLDEN = DATA / "sql" / "expected.json"


@cache
def table() -> pa.Table:
    """A run of two agents, with tool calls."""
    skips: list[Any] = []
    found = read_files(FILES, skips)
    assert not skips
    return found


def engine() -> Duck:
    """DuckDB with that run."""
    return Duck(table())


def plain() -> duckdb.DuckDBPyConnection:
    """DuckDB as it is: one table with the attributes as one JSON text, no view, no second spelling."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    rows = engine().run("select * from records")
    con.register("given", rows)
    con.execute("create table records as select * replace (attributes::json as attributes) from given")
    return con


def documented(path: Path, run: str = RUN) -> list[str]:
    """The statements of a block, verbatim but for the trace id that it asks to fill in."""
    return statements(re.sub(r"\[\w*trace_id\w*\]", run, path.read_text(), flags=re.IGNORECASE))


def shown(found: pa.Table, sql: str = "order by") -> list[list[Any]]:
    """Rows as JSON values; sorted where the statement does not say how."""
    rows = [[_shown(value) for value in row.values()] for row in found.to_pylist()]
    return rows if "order by" in sql.lower() else sorted(rows, key=repr)


def alike(rows: list[list[Any]], others: list[list[Any]]) -> bool:
    """The same rows, but for the last digits of fractions."""
    return len(rows) == len(others) and all(
        len(row) == len(other) and all(_alike(*pair) for pair in zip(row, other, strict=True))
        for row, other in zip(rows, others, strict=True)
    )


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    return bool(one == other)


def _shown(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, (dt.datetime, dt.date)) else value


def answers() -> dict[str, Any]:
    """What every documented block answers, apart from statements about the last hour."""
    asked = engine()
    return {
        path.stem: [
            {"columns": (found := asked.run(sql)).column_names, "rows": shown(found, sql)} for sql in documented(path) if "now()" not in sql
        ]
        for path in SQL
    }


if __name__ == "__main__":
    if "--write" in sys.argv:
        GOLDEN.write_text(json.dumps(answers(), indent=1, ensure_ascii=False) + "\n")
