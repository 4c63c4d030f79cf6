"""What a question may say, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded import FILES, RUN, engine

from spantriage import query
from spantriage.errors import QueryError
from spantriage.queries.parsing import statements


def rows(sql: str, **parameters: Any) -> list[dict[str, Any]]:
    return list(engine().run(sql, parameters).to_pylist())


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select * from read_text('/etc/passwd')", "a function cannot stand in FROM"),
        ("select * from read_csv_auto('/etc/passwd')", "a function cannot stand in FROM"),
        ("select * from '/etc/passwd'", "there is no table"),
        ('select * from "x.parquet"', "there is no table"),
        ("select * from duckdb_settings()", "a function cannot stand in FROM"),
        ("select * from information_schema.tables", "there is no table"),
        ("select * from main.records", "there is no table"),
        ("select (select content from read_text('/etc/passwd'))", "a function cannot stand in FROM"),
        ("with r as (select * from glob('/*')) select * from r", "line 1, column 35: required keyword: 'this' missing near"),
        ("copy records to '/tmp/x'", "only SELECT"),
        ("copy (select 1) to '/tmp/x'", "only SELECT"),
        ("insert into findings select * from findings", "only SELECT"),
        ("drop table findings", "only SELECT"),
        ("create table x as select 1", "only SELECT"),
        ("set threads = 1", "only SELECT"),
        ("pragma version", "only SELECT|invalid|unexpected"),
        ("attach '/tmp/x.db'", "only SELECT|invalid|unexpected"),
        ("install httpfs", "only SELECT|invalid|unexpected|no column"),
        ("select 1; drop table findings", "one statement at a time"),
        ("select 1 into x", "only SELECT"),
        ("", "there is no statement"),
    ],
)
def test_only_our_relations_can_be_read(sql: str, why: str) -> None:
    with pytest.raises(QueryError, match=why):
        engine().run(sql)


def test_files_are_out_of_reach_even_past_the_parser(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    con = engine()._con
    for sql in (
        f"select * from read_text('{secret}')",
        f"copy (select 1) to '{tmp_path}/out'",
        "set enable_external_access = true",
        "load httpfs",
    ):
        with pytest.raises(Exception, match=r"disabled by configuration|locked|Permission|not be"):
            con.execute(sql).fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select duratoin from records", "line 1, column 8: there is no column 'duratoin'; did you mean 'duration'?"),
        ("select span_name,\n  step_modl\nfrom records", "line 2, column 3: there is no column 'step_modl'; did you mean 'step_model'?"),
        ("select r.trace from records r", "there is no column 'trace'"),
        ("select cuont(*) from records", "there is no function 'cuont'; did you mean 'count'?"),
        ("select 1 from recrods", "line 1, column 15: there is no table 'recrods'; did you mean 'records'?"),
        ("select 1 frm records x", "line 1, column"),
        ("select count( from records", "line 1, column"),
        ("select 'open from records", "line 1|open"),
        ("select severty from findings", "did you mean 'severity'?"),
        ("select 1 from records where level > 'loud'", "there is no level 'loud'; there are: trace, debug, info"),
        ("select 1 from records where trace_id = :t", "parameter 't' has no value"),
        ("select span_name::int from records", "Could not convert"),
    ],
)
def test_a_mistake_is_told_in_a_line_with_its_place_and_the_nearest_name(sql: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        engine().run(sql)
    assert any(part in str(caught.value) for part in said.split("|"))
    assert "\n" not in str(caught.value)


def test_values_are_bound_and_never_said() -> None:
    hostile = "x'; drop table findings; --"
    assert rows("select :v as v, count(*) as n from records where span_name = :v group by 1", v=hostile) == []
    assert rows("select :v as v", v=hostile) == [{"v": hostile}]
    assert rows("select span_name from records limit :n", n=2) != []


def test_hostile_keys_are_only_keys() -> None:
    for key in ("a'b", 'a"b', "a.b[0]", "$", "*", "$.x", "a\\b", "/x", ""):
        said = key.replace("'", "''")
        assert rows(f"select attributes->>'{said}' as v from records where attributes->>'{said}' is not null") == []


def test_a_key_is_found_whatever_stands_around_it() -> None:
    sql = """
      with r as (select *, row_number() over (order by start_timestamp, span_id) as place from records where trace_id = :t)
      select r.attributes->>'massgen.agent_id' as a, s.attributes->>'massgen.agent_id' as b, place
      from r join records as s on s.span_id = r.span_id
      where r.attributes ? 'massgen.agent_id' and (s.attributes->'massgen.round')::int = 1
        and exists (select 1 from records as x where x.span_id = r.span_id and x.attributes->>'massgen.outcome' is not null)
      order by place"""
    found = rows(sql, t=RUN)
    assert [row["a"] for row in found] == ["agent_b", "agent_a", "agent_a"]
    assert all(row["a"] == row["b"] for row in found)


def test_unions_and_subqueries_read_the_same_records() -> None:
    both = "select kind, count(*) as n from (select * from records union all select * from records) as r group by 1 order by 1"
    once = "select kind, 2 * count(*) as n from records group by 1 order by 1"
    assert rows(both) == rows(once)
    nested = "select count(*) as n from (select r.* from records as r where r.step_kind = 'model') as m where m.step_agent = 'agent_a'"
    flat = "select count(*) as n from records where span_name like 'llm.%' and attributes->>'massgen.agent_id' = 'agent_a'"
    assert rows(nested) == rows(flat) != [{"n": 0}]


def test_columns_without_a_name_are_named_by_what_was_asked() -> None:
    found = engine().run("select count(*), max(duration), attributes->>'x', kind as k from records group by 3, 4")
    assert found.column_names == ["count(*)", "max(duration)", "attributes ->> 'x'", "k"]


def test_statements_keep_their_places() -> None:
    parts = statements("-- one\nselect 1;\n\nselect ';' ;; where true -- end\n")
    assert [part.strip() for part in parts] == ["select 1", "select ';'", "where true -- end"]
    assert parts[1].count("\n") == 3
    assert statements(" \n-- nothing") == []


def test_a_condition_alone_asks_for_whole_rows() -> None:
    assert query("where level >= 'error' and kind = 'span'", FILES).num_columns == 44


def test_spans_in_memory_can_be_asked() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}).end()
    found = query("select step_kind, step_model from records", exporter.get_finished_spans())
    assert found.to_pylist() == [{"step_kind": "model", "step_model": "m"}]
