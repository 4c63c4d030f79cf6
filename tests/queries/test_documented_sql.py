"""SQL that was written for Logfire runs here word for word."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from recorded import GOLDEN, RUN, SQL, alike, documented, engine, plain, shown, table

from spantriage.queries.duck import Duck

EXPECTED = json.loads(GOLDEN.read_text())


def test_every_block_of_the_document_is_here() -> None:
    assert len(SQL) == 17
    assert sum(len(documented(path)) for path in SQL) == 20


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_a_documented_block_answers_as_it_should(path: Path) -> None:
    asked = engine()
    for sql, expected in zip([sql for sql in documented(path) if "now()" not in sql], EXPECTED[path.stem], strict=True):
        answer = asked.run(sql)
        assert answer.column_names == expected["columns"]
        assert alike(shown(answer, sql), expected["rows"])


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_a_documented_block_answers_as_plain_json_does(path: Path) -> None:
    asked, simple = engine(), plain()
    for sql in documented(path):
        sql = sql.replace("::numeric", "::decimal(38, 9)")  # DuckDB's bare numeric has three digits, and rounds 1.7249 to 1.73
        whole = sql if "select" in sql.lower() else f"select * from records {sql}"
        assert alike(shown(asked.run(sql), sql), shown(simple.sql(whole).to_arrow_table(), sql))


def test_the_last_hour_is_asked_against_the_clock() -> None:
    rows = table()
    now = dt.datetime.now(dt.UTC)
    first = min(rows["start_timestamp"].to_pylist())
    shifted = [None if at is None else at - first + now for at in rows["start_timestamp"].to_pylist()]
    number = rows.column_names.index("start_timestamp")
    asked = Duck(rows.set_column(number, "start_timestamp", [shifted]))
    cte, _, _, where = documented(next(path for path in SQL if "tips" in path.stem))
    assert {row["is_exception"] for row in asked.run(cte).to_pylist()} == {True}
    assert asked.run(where).num_rows == rows.num_rows
    assert engine().run("select count(*) as n from records where start_timestamp > now() - interval '1 minute'").to_pylist() == [{"n": 0}]


def test_a_whole_row_has_the_columns_of_logfire_and_no_others() -> None:
    found = engine().run("with r as (select * from records) select * from r")
    assert found.num_columns == 44
    assert found.column_names[0] == "attributes"
    assert "content" not in found.column_names


def values(sql: str, **parameters: Any) -> list[Any]:
    return list(engine().run(sql, parameters).to_pylist()[0].values())


def test_numeric_rounds_once_and_floats_keep_their_digits() -> None:
    assert [float(value) for value in values("select round(1.2346::numeric, 2), round(0.0045::numeric, 2), round(1e15::numeric, 2)")] == [
        1.23,
        0.0,
        1e15,
    ]
    assert values("select '0.205396'::float, '0.205396'::real") == [0.205396, 0.205396]
    assert values(f"select sum((attributes->'massgen.usage.cost')::float) from records where trace_id = '{RUN}'") == [
        pytest.approx(1.6463, abs=1e-4)
    ]


def test_whole_numbers_divide_as_in_postgres() -> None:
    assert values("select 100 / 7 / 2, 7 / (7 / 2), -7 / 2") == [7, 2, -3]
    assert values("select 7 / 2, 7 / 2.0, count(*) / 2 from records where kind = 'log' and trace_id = :t", t=RUN)[:2] == [3, 3.5]


def test_levels_compare_with_their_names() -> None:
    failed = "select distinct level from records where level >= 'error'"
    assert engine().run(failed).to_pylist() == [{"level": 17}]
    assert engine().run("select 1 from records where level in ('info', 'error') and not level between 'warn' and 'fatal'").num_rows > 50


def test_levels_have_numbers_and_names() -> None:
    assert values("select level_num('warn'), level_name(17), level_name(3)") == [13, "error", None]


def test_logs_have_no_duration_and_span_events_are_rows() -> None:
    kinds = {row["kind"]: row for row in engine().run("select kind, count(*) n, count(duration) timed from records group by 1").to_pylist()}
    assert kinds["log"]["timed"] == 0
    assert kinds["span"]["timed"] == kinds["span"]["n"]
    assert kinds["span_event"]["n"] == 1
    event = (
        engine()
        .run("select span_name, parent_span_id, attributes->>'attempt' as attempt from records where kind = 'span_event'")
        .to_pylist()
    )
    assert event == [{"span_name": "retrying", "parent_span_id": "abcd000000000004", "attempt": "2"}]


def test_the_exception_is_the_first_one_of_a_span() -> None:
    found = (
        engine()
        .run("select exception_type, exception_message, is_exception from records where span_name = 'mcp.filesystem.read_file'")
        .to_pylist()
    )
    assert found == [{"exception_type": "McpError", "exception_message": "ENOENT: no such file", "is_exception": True}]
