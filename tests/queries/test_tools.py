"""The tools for coding agents, by themselves and through the protocol."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded import FILES, RUN

from spantriage.errors import QueryError
from spantriage.queries.tools import CELL, ROWS, Tools


def test_any_question_is_answered_with_rows_and_their_number() -> None:
    tools = Tools(FILES)
    assert tools.query("select kind, count(*) as n from records where trace_id = :t group by kind order by kind", {"t": RUN}) == {
        "columns": ["kind", "n"],
        "rows": [{"kind": "log", "n": 34}, {"kind": "span", "n": 35}, {"kind": "span_event", "n": 1}],
        "row_count": 3,
        "complete": True,
    }
    named = tools.query("usage_by_agent", {"trace_id": RUN})
    assert named["units"]["cost_usd"] == "USD"
    assert named["row_count"] == 2


def test_answers_are_bounded() -> None:
    many = Tools(FILES).query("select a.span_id, repeat('x', 9000) as long from records a, records b")
    assert many["row_count"] == 71 * 71
    assert len(many["rows"]) == ROWS
    assert many["complete"] is False
    assert len(many["rows"][0]["long"]) < CELL + 50


def test_the_schema_names_every_column_and_question() -> None:
    schema = Tools(FILES).schema()
    assert len(schema["records"]) == 44
    assert "step_model" in schema["records, worked out"]
    assert "primary" in schema["findings"]
    assert schema["named questions"]["cost_by_agent"]["parameters"] == {"trace_id": "the run"}


def test_exceptions_in_a_file_are_found_by_the_end_of_its_path() -> None:
    found = Tools(FILES).exceptions_in_file("agents/tools.py")
    assert [row["exception_type"] for row in found["rows"]] == ["McpError"]
    assert Tools(FILES).exceptions_in_file("other/tools.py")["rows"] == []
    assert Tools(FILES).exceptions_in_file("%")["rows"] == [], "a wildcard is a letter like others"


def test_a_link_leads_to_a_report_or_is_the_command_that_shows_the_run(tmp_path: Path) -> None:
    assert Tools("my store").link(RUN) == f"spantriage query trace_tree --trace-id {RUN} --on 'my store'"
    (tmp_path / "report.html").write_text("")
    assert Tools(tmp_path).link(RUN) == f"{tmp_path.as_uri()}/report.html#{RUN}"
    with pytest.raises(QueryError, match="32 hex digits"):
        Tools(tmp_path).link("'; rm -rf /")


def test_a_link_to_logfire_names_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("logfire.query_client")
    from spantriage.queries import logfire

    monkeypatch.setenv("LOGFIRE_READ_TOKEN", "pylf_v1_us_x")
    monkeypatch.setattr(
        logfire.Logfire, "about", lambda self: {"organization_name": "o", "project_name": "p q", "base_url": "https://l.dev"}
    )
    assert Tools("logfire").link(RUN) == f"https://l.dev/o/p%20q?q=trace_id%3D%27{RUN}%27"


def call(server: Any, name: str, arguments: dict[str, Any]) -> tuple[bool, str]:
    from mcp import Client

    async def ask() -> tuple[bool, str]:
        async with Client(server) as client:
            answer = await client.call_tool(name, arguments)
            return bool(answer.is_error), "".join(getattr(part, "text", "") for part in answer.content)

    return asyncio.run(ask())


@pytest.fixture
def server() -> Any:
    pytest.importorskip("mcp")
    from spantriage.cli.mcp import make_server

    return make_server(FILES)


def test_the_server_has_the_four_tools(server: Any) -> None:
    from mcp import Client

    async def ask() -> list[str]:
        async with Client(server) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert asyncio.run(ask()) == ["arbitrary_query", "schema_reference", "find_exceptions_in_file", "trace_link"]


def test_the_server_answers(server: Any) -> None:
    failed, said = call(server, "arbitrary_query", {"query": "select count(*) as n from records"})
    assert not failed
    assert json.loads(said)["rows"] == [{"n": 71}]
    assert "usage_by_agent" in call(server, "schema_reference", {})[1]
    assert "McpError" in call(server, "find_exceptions_in_file", {"filepath": "tools.py"})[1]
    assert "trace_tree" in call(server, "trace_link", {"trace_id": RUN})[1]


def test_the_server_says_what_is_wrong_with_a_question_and_goes_on(server: Any) -> None:
    failed, said = call(server, "arbitrary_query", {"query": "select duratoin from records"})
    assert failed
    assert "did you mean 'duration'" in said
    assert call(server, "arbitrary_query", {"query": "select * from read_text('/etc/passwd')"})[0]
    assert call(server, "arbitrary_query", {"query": "runs"})[0] is False


def test_the_command_serves_over_stdin_and_stdout() -> None:
    pytest.importorskip("mcp")
    from mcp import Client, StdioServerParameters

    arguments = ["-m", "spantriage", "mcp", *(word for path in FILES for word in ("--on", str(path)))]

    async def ask() -> str:
        async with Client(StdioServerParameters(command=sys.executable, args=arguments)) as client:
            answer = await client.call_tool("arbitrary_query", {"query": "find_trace"})
            return "".join(getattr(part, "text", "") for part in answer.content)

    assert RUN in asyncio.run(ask())
