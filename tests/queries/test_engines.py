"""The same question to DuckDB, ClickHouse and Logfire: the same rows."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from logfire_server import TOKEN, LogfireServer
from recorded import FILES, RUN, SQL, alike, documented, engine, shown, table

from spantriage import query
from spantriage.errors import MissingExtra, QueryError, RateLimited
from spantriage.finding import Finding
from spantriage.queries import asking, logfire
from spantriage.queries.catalogue import all_queries
from spantriage.queries.clickhouse import ClickHouse
from spantriage.queries.duck import Duck
from spantriage.sinks.otlp import attributes_of

PHANTOM = "01a1f9433a0c6d37d5353211a1990f22"
GIVEN = {"trace_id": RUN, "a": RUN, "b": PHANTOM, "file": "agents/tools.py"}
NAMES = sorted(all_queries())


FINDING = Finding(
    finding_id="f1", code="tool.error", category="tool_issue", kind="incident", severity="error", score=0.9, confidence="high",
    primary=True, trace_id=RUN, span_id="abcd000000000004", agent="agent_a", summary="It failed", time="2026-11-20T14:01:36+00:00",
)  # fmt: skip


def duck() -> Duck:
    """DuckDB with the run, and with a finding in it."""
    return Duck(table(), lambda: [FINDING])


def as_log(finding: Finding, second: int) -> dict[str, Any]:
    """A finding as the Collector's exporter keeps the log event that our sink sends."""
    texts = {key: value if isinstance(value, str) else orjson.dumps(value).decode() for key, value in attributes_of(finding).items()}
    place = {"TraceId": finding.trace_id, "SpanId": finding.span_id, "SeverityText": "", "Body": ""}
    return {"Timestamp": f"17951832{second}.000000000", "LogAttributes": texts, **place}


def asked(name: str) -> tuple[str, dict[str, Any]]:
    known = all_queries()[name]
    return known.sql, known.bind({p.name: GIVEN[p.name] for p in known.parameters if p.name in GIVEN})


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[ClickHouse]:
    pytest.importorskip("chdb")
    from chdb_table import Chdb

    server = Chdb(FILES)
    withdrawn = FINDING.model_copy(update={"finding_id": "f2", "severity": "info", "score": 0.0})
    earlier = FINDING.model_copy(update={"severity": "warning"})
    server.insert_logs([as_log(each, second) for second, each in enumerate((earlier, FINDING, withdrawn), 90)])
    found = ClickHouse(client=server)
    yield found
    found.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogfireServer]:
    pytest.importorskip("logfire.query_client")
    with LogfireServer(table()) as found:
        monkeypatch.setenv("LOGFIRE_READ_TOKEN", TOKEN)
        monkeypatch.setenv("LOGFIRE_BASE_URL", found.url)
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_a_named_question_has_the_same_rows_on_clickhouse(name: str, clickhouse: ClickHouse) -> None:
    sql, bound = asked(name)
    found = clickhouse.run(sql, bound)
    assert found.column_names == list(all_queries()[name].columns)
    assert alike(shown(duck().run(sql, bound)), shown(found))


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_a_documented_block_has_the_same_rows_on_clickhouse(path: Path, clickhouse: ClickHouse) -> None:
    for sql in documented(path):
        if "select * from" not in sql.lower() and "where start" not in sql.lower():  # its texts of attributes are another's
            assert alike(shown(engine().run(sql), sql), shown(clickhouse.run(sql), sql))


def test_whole_rows_have_the_same_columns_on_clickhouse(clickhouse: ClickHouse) -> None:
    sql = "with r as (select * from records where level >= 'error') select * from r order by start_timestamp, span_id"
    theirs, ours = clickhouse.run(sql), engine().run(sql)
    assert theirs.column_names == ours.column_names
    same = [name for name in ours.column_names if name not in ("attributes", "project_id", "otel_events", "attributes_json_schema", "tags")]
    assert theirs.num_rows == ours.num_rows > 3
    for mine, other in zip(ours.select(same).to_pylist(), theirs.select(same).to_pylist(), strict=True):
        assert {name for name in same if not alike([[plain(mine[name])]], [[plain(other[name])]])} <= {"otel_resource_attributes"}


def plain(value: Any) -> Any:
    """Without what engines do differently: whole numbers for truth, days as numbers, time zones."""
    return float(value) if isinstance(value, (bool, int)) else str(value)[:26] if isinstance(value, (dt.date, dt.datetime)) else value


def test_findings_are_read_from_the_logs_that_the_collector_has_written(clickhouse: ClickHouse) -> None:
    found = clickhouse.run("select code, severity, score, agent from findings").to_pylist()
    assert found == [{"code": "tool.error", "severity": "error", "score": 0.9, "agent": "agent_a"}], "of two the later, and none withdrawn"


def test_parameters_are_bound_and_never_said(clickhouse: ClickHouse, server: LogfireServer) -> None:
    hostile = "x' or '1'='1"
    for each in (clickhouse, engine(), logfire.Logfire()):
        assert each.run("select span_id from records where trace_id = :t", {"t": hostile}).num_rows == 0
        assert each.run("select :t as t from records limit 1", {"t": hostile}).to_pylist() == [{"t": hostile}]


def test_clickhouse_says_what_is_wrong_in_a_line(clickhouse: ClickHouse) -> None:
    with pytest.raises(QueryError, match=r"ClickHouse: .*duratoin"):
        clickhouse.run("select duratoin from records")
    with pytest.raises(QueryError, match="no ClickHouse is named: set CLICKHOUSE_DSN"):
        asking.open_engine("clickhouse")


def test_without_its_extra_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_connect", None)
    with pytest.raises(MissingExtra, match=r"spantriage\[clickhouse\]"):
        asking.open_engine("clickhouse:http://localhost:1/otel")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("findings")])
def test_a_named_question_has_the_same_rows_on_logfire(name: str, server: LogfireServer) -> None:
    sql, bound = asked(name)
    assert alike(shown(engine().run(sql, bound)), shown(logfire.Logfire().run(sql, bound)))
    assert server.asked[0]["limit"] == 10_000


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.stem)
def test_a_documented_block_has_the_same_rows_on_logfire(path: Path, server: LogfireServer) -> None:
    for sql in documented(path):
        assert alike(shown(engine().run(sql), sql), shown(logfire.Logfire().run(sql), sql))


def test_findings_are_read_from_logfires_log_events(server: LogfireServer) -> None:
    assert logfire.Logfire().run(*asked("findings_by_code")).num_rows == 0
    assert "gen_ai.evaluation.name" in server.asked[0]["sql"]


def test_a_rate_limit_is_waited_for_as_long_as_logfire_says(server: LogfireServer) -> None:
    slept: list[float] = []
    server.busy = ["2", None, "30"]
    found = logfire.Logfire(sleep=slept.append).run("select count(*) as n from records")
    assert found.to_pylist() == [{"n": 71}]
    assert slept == [2.0, 5.0, 30.0]


def test_a_rate_limit_is_not_waited_for_longer_than_a_minute(server: LogfireServer) -> None:
    slept: list[float] = []
    server.busy = ["61"]
    with pytest.raises(RateLimited, match="it asks to wait 61 s"):
        logfire.Logfire(sleep=slept.append).run("select 1 from records")
    server.busy = ["40", "40"]
    with pytest.raises(RateLimited):
        logfire.Logfire(sleep=slept.append).run("select 1 from records")
    assert slept == [40.0]


@pytest.mark.parametrize("direction", ["", " order by start_timestamp desc", " order by start_timestamp"])
def test_more_rows_than_a_page_are_read_page_by_page_each_once(
    server: LogfireServer, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    monkeypatch.setattr(logfire, "PAGE", 10)
    server.most = 10
    sql = f"select span_id, start_timestamp, span_name from records{direction}"
    found = logfire.Logfire().run(sql).to_pylist()
    assert len(found) == len({each["span_id"] for each in found}) == 71
    starts = [each["start_timestamp"] for each in found]
    assert starts == sorted(starts, reverse="desc" in direction)
    assert len(server.asked) == 1 + 8


def test_an_answer_that_cannot_be_read_on_is_refused_and_not_cut(server: LogfireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfire, "PAGE", 10)
    server.most = 10
    with pytest.raises(QueryError, match="gives no more at once: add a limit"):
        logfire.Logfire().run("select span_name from records")
    assert logfire.Logfire().run("select span_name from records limit 10").num_rows == 10


def test_without_a_read_token_the_way_out_is_told_or_taken(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("LOGFIRE_READ_TOKEN", raising=False)
    with pytest.raises(QueryError, match="set LOGFIRE_READ_TOKEN"):
        query("runs", "logfire")
    assert query("runs", ["logfire", *FILES]).num_rows == 2
    assert "asking" in caplog.text


def test_logfires_refusal_is_told_in_a_line_without_the_token(server: LogfireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match=r"Logfire: .*there is no column 'duratoin'"):
        logfire.Logfire().run("select duratoin from records")
    monkeypatch.setenv("LOGFIRE_READ_TOKEN", "pylf_v1_local_wrongwrongwrong")
    with pytest.raises(QueryError, match="401") as caught:
        logfire.Logfire().run("select 1 from records")
    assert "wrongwrong" not in str(caught.value)
