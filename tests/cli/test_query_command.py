"""`spantriage query` and `spantriage pack`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spantriage.cli import main

DATA = Path(__file__).parents[1] / "data" / "queries"
ON = ["--on", str(DATA / "two_agents.jsonl"), "--on", str(DATA / "tools.jsonl")]
RUN = "01a1f9433a281fec09d7f7bd200e0a62"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    return int(caught.value.code or 0)


def test_the_list_names_every_question_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "list") == 0
    shown = capsys.readouterr().out
    assert "usage_by_agent" in shown
    assert "(instead of cost_by_agent)" in shown
    assert run("query", "list", "--format", "json") == 0
    found = {each["name"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    assert len(found) == 36
    assert found["runs"]["columns"]["duration"] == {"unit": "s", "meaning": "from the first beginning to the last end"}


def test_a_table_has_units_and_the_number_of_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "cost-by-agent", *ON, "--trace-id", "latest") == 0
    shown = capsys.readouterr().out
    assert "Tokens and cost by agent" in shown
    assert "84,318" in shown
    assert "$1.1552" in shown
    assert "2 rows" in shown


def test_a_run_is_shown_as_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "trace_tree", *ON, "--trace-id", "01a1f9433a28") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("coordination.session")
    assert any(line.startswith("│  │  └─ mcp.filesystem.write_file") for line in lines)
    assert any(line.startswith("   └─ Final answer from agent_a") for line in lines)


def test_a_run_is_shown_along_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "timeline", *ON, "--trace-id", RUN, "--param", "limit=5") == 0
    bars = [line.rstrip() for line in capsys.readouterr().out.splitlines()[2:7]]
    assert bars[0].endswith("█" * 48), "the whole run"
    assert not bars[2].endswith("█" * 2), "31 ms of it"


def test_answers_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["query", "--sql", "select span_name, duration, attributes, start_timestamp from records where kind = 'span_event'", *ON]
    assert run(*asked, "--format", "json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["attributes"] == {"attempt": 2}
    assert (row["span_name"], row["duration"], row["start_timestamp"]) == ("retrying", None, "2026-11-20T14:01:35.318432Z")
    assert run(*asked, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[0] == "span_name,duration,attributes,start_timestamp"
    assert run(*asked, "--format", "parquet", "--out", str(tmp_path / "a.parquet")) == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 1
    assert run(*asked, "--out", str(tmp_path / "a.jsonl")) == 0
    assert json.loads((tmp_path / "a.jsonl").read_text()) == row


def test_agent_text_is_inert_in_every_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = '=HYPERLINK("http://evil")\u001b[31m\u202ered[bold]x[/bold]\nnext'
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "name": name, "startTimeUnixNano": "1", "endTimeUnixNano": "2000000000"}
    path = tmp_path / "hostile.jsonl"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    for form in ("table", "csv", "json"):
        assert run("query", "--sql", "select span_name from records", "--on", str(path), "--format", form) == 0
        shown = capsys.readouterr().out
        assert "\u001b" not in shown
        assert "\u202e" not in shown or form == "json"
        assert "[bold]x[/bold]" in shown
        if form == "csv":
            assert shown.splitlines()[1].startswith("\"'=HYPERLINK")
        if form == "json":
            assert json.loads(shown)["span_name"] == name, "JSON keeps it, escaped"


def test_statements_can_be_given_several_at_a_time_and_from_stdin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("select 1 as a from records limit 1;\nselect 2 as a from records limit 1"))
    assert run("query", "--sql", "-", *ON, "--format", "json") == 0
    assert capsys.readouterr().out == '{"a":1}\n{"a":2}\n'


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["query"], "give the name of a question, or --sql"),
        (["query", "runns"], "no query is called 'runns'; did you mean runs?"),
        (["query", "trace_tree", *ON], "query trace_tree needs trace_id: the run"),
        (["query", "runs", *ON, "--param", "limit"], "--param is name=value"),
        (["query", "trace_tree", *ON, "--trace-id", "ffff"], "no run begins with 'ffff'"),
        (["query", "trace_tree", *ON, "--trace-id", "01a1"], "more than one run begins with '01a1'"),
        (
            ["query", "--sql", "select duratoin from records", *ON],
            "line 1, column 8: there is no column 'duratoin'; did you mean 'duration'?",
        ),
        (["query", "runs", "--on", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["query", "runs", "--on", "logfire"], "set LOGFIRE_READ_TOKEN"),
        (["pack", "nowhere"], "nowhere is no store"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOGFIRE_READ_TOKEN", raising=False)
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_without_a_store_the_default_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("query", "runs") == 2
    assert "there is no store at .spantriage/store" in capsys.readouterr().err


def test_what_cannot_be_read_is_told_and_the_rest_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_text((DATA / "tools.jsonl").read_text() + '{"resourceSpans": [{"scope\n')
    assert run("query", "--sql", "select count(*) as n from records", "--on", str(path), "--format", "json") == 0
    done = capsys.readouterr()
    assert json.loads(done.out) == {"n": 6}
    assert f"{path}:2: not JSON" in done.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_scan_fills_a_store_that_can_be_asked_and_packed(workers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    files = [str(DATA / "two_agents.jsonl"), str(DATA / "tools.jsonl")]
    for _ in range(2):  # the second time nothing is new
        assert run("scan", *files, "--store", store, "--workers", workers) == 0
    capsys.readouterr()
    assert run("query", "--sql", "select count(*) as n from records", "--on", store, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"n": 71}
    assert run("query", "findings_by_code", "--on", store, "--format", "json") == 0
    assert "flow.workflow_violation" in capsys.readouterr().out
    assert (
        run("query", "--sql", "select attributes->>'massgen.task' as t from records where attributes ? 'massgen.task'", "--on", store) == 0
    )
    assert "0 rows" in capsys.readouterr().out, "what was said is not kept unless it is asked for"
    assert run("pack", store) == 0
    assert "packed" in capsys.readouterr().out


def test_following_shows_rows_as_spans_arrive(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from spantriage.store.live import StoreProcessor

    store = StoreProcessor(tmp_path)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(store)
    tracer = provider.get_tracer("t")
    tracer.start_span("first").end()
    store.force_flush()
    words = ["query", "--sql", "select span_name from records", "--on", str(tmp_path), "--format", "json", "--follow"]
    process = subprocess.Popen([sys.executable, "-m", "spantriage", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"span_name": "first"}
        began = time.monotonic()
        tracer.start_span("second").end()
        assert json.loads(process.stdout.readline()) == {"span_name": "second"}
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.communicate()
        store.shutdown()


def test_the_schema_and_a_link_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("query", "schema") == 0
    assert len(json.loads(capsys.readouterr().out)["records"]) == 44
    assert run("query", "link", "--trace-id", RUN, "--on", "store") == 0
    assert capsys.readouterr().out == f"spantriage query trace_tree --trace-id {RUN} --on store\n"
