"""Spans into a store while the program runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Status, StatusCode

import spantriage
from spantriage import query
from spantriage.errors import ConfigError, StoreError
from spantriage.store.live import StoreProcessor

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "probe", "gen_ai.tool.call.result": "Error: probe"}
BOOKS = ("written", "unsuitable", "dropped.queue_full", "dropped.not_written", "queued")


def balanced(status: dict[str, int]) -> bool:
    return status["received"] == sum(status.get(name, 0) for name in BOOKS)


def provider_with(processor: StoreProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def rows(folder: Path, columns: str = "span_name, attributes") -> list[dict[str, Any]]:
    return list(query(f"select {columns} from records order by start_timestamp, span_id", folder).to_pylist())


def wait(claim: Callable[[], bool], timeout_s: float = 10.0) -> float:
    """Until the claim holds; how long that took."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < timeout_s
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_span_can_be_asked_for_within_a_second_of_its_end_with_its_verdict_and_finding(tmp_path: Path) -> None:
    query("select 1 from records", [Path(__file__).parents[1] / "data" / "queries" / "tools.jsonl"])  # everything is imported
    provider = TracerProvider(shutdown_on_exit=False)
    triage = spantriage.attach(provider=provider, sinks=[], store=tmp_path)
    provider.get_tracer("t").start_span("execute_tool probe", attributes=TOOL).end()
    took = wait(lambda: len(rows(tmp_path)) == 1)
    assert took < 1.0
    said = orjson.loads(rows(tmp_path)[0]["attributes"])
    assert said["triage.codes"] == ["tool.silent_failure"]
    assert triage.flush()
    assert [each["code"] for each in query("select code from findings", tmp_path).to_pylist()] == ["tool.silent_failure"]
    assert balanced(triage.status()["store"])
    triage.detach()
    provider.get_tracer("t").start_span("later").end()
    assert len(rows(tmp_path)) == 1, "detached"


def test_what_was_said_stays_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    for name, content in (("without", False), ("with", True)):
        store = StoreProcessor(tmp_path / name, content=content)
        provider_with(store).get_tracer("t").start_span("execute_tool probe", attributes=TOOL).end()
        store.shutdown()
    kept = [
        rows(tmp_path / name, "attributes->>'gen_ai.tool.call.result' as r, attributes->>'gen_ai.tool.name' as t")[0]
        for name in ("without", "with")
    ]
    assert kept == [{"r": None, "t": "probe"}, {"r": "Error: probe", "t": "probe"}]


def test_no_credential_reaches_the_disk(tmp_path: Path) -> None:
    key = "sk-" + "a1B2" * 8
    store = StoreProcessor(tmp_path, content=True)
    span = (
        provider_with(store)
        .get_tracer("t")
        .start_span(
            f"calls with {key}",
            attributes={
                "api_key": "hunter2hunter2",
                "http.request.header.authorization": "Bearer abcdefghijklmnop",
                "note": [f"key {key}"],
                "gen_ai.prompt": key,
            },
        )
    )
    span.record_exception(ValueError(f"refused {key}"))
    span.set_status(Status(StatusCode.ERROR, f"refused {key}"))
    span.end()
    store.shutdown()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
    assert key.encode() not in written
    assert b"hunter2" not in written
    assert b"abcdefghijklmnop" not in written
    assert written.count(b"[redacted]") >= 6


def test_the_columns_of_a_live_span(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path)
    tracer = provider_with(store).get_tracer("scope", "1.2")
    with tracer.start_as_current_span("above") as above:
        tracer.start_span(
            "log", attributes={"logfire.span_type": "log", "logfire.msg": "said", "logfire.level_num": 13, "logfire.tags": ("a", "b")}
        ).end()
        tracer.start_span("notice", attributes={"logfire.span_type": "pending_span"}).end()
        above.add_event("cached", {"n": 1})
        above.set_status(Status(StatusCode.OK))
    store.shutdown()
    columns = (
        "span_name, kind, message, level, tags, duration is null as untimed, otel_status_code as status, parent_span_id is null as top"
    )
    found = {each.pop("span_name"): tuple(each.values()) for each in rows(tmp_path, columns)}
    assert found == {
        "above": ("span", "above", 9, None, False, "OK", True),
        "log": ("log", "said", 13, ["a", "b"], True, None, False),
        "cached": ("span_event", "cached", 9, None, True, None, False),
    }
    assert (
        rows(tmp_path, "distinct on (otel_scope_name) otel_scope_name, otel_scope_version, start_timestamp, span_id")[0][
            "otel_scope_version"
        ]
        == "1.2"
    )
    assert store.status()["unsuitable"] == 1


def test_spans_that_were_not_sampled_are_not_stored(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(store)
    provider.get_tracer("t").start_span("unseen").end()
    store.shutdown()
    assert rows(tmp_path) == []


def test_a_full_queue_drops_the_oldest_and_counts_it(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path, queue_size=10)
    tracer = provider_with(store).get_tracer("t")
    with store._writing:  # the thread has to wait
        for number in range(50):
            tracer.start_span(f"span {number}").end()
        status = store.status()
    assert balanced(status)
    assert status["dropped.queue_full"] >= 30
    store.shutdown()
    assert balanced(store.status())
    assert len(rows(tmp_path)) == store.status()["written"]
    assert rows(tmp_path)[-1]["span_name"] == "span 49"


def test_a_folder_that_goes_away_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path / "s")
    tracer = provider_with(store).get_tracer("t")
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "s").write_text("in the way")
    tracer.start_span("kept back").end()
    wait(lambda: store.counters["errors"] > 0)
    assert balanced(store.status())
    (tmp_path / "s").unlink()
    tracer.start_span("afterwards").end()
    wait(lambda: store.status().get("written") == 2)
    store.shutdown()
    assert balanced(store.status())
    assert len(list((tmp_path / "s" / "spool").iterdir())) == 1


def test_a_disk_that_stays_away_is_given_up_at_the_end_and_counted(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    (tmp_path / "s").write_text("in the way")
    provider_with(store).get_tracer("t").start_span("lost").end()
    began = time.monotonic()
    store.shutdown()
    assert time.monotonic() - began < 2.5
    assert store.status()["dropped.not_written"] == 1
    assert balanced(store.status())


def test_values_that_no_json_holds_are_written_all_the_same(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path)
    tracer = provider_with(store).get_tracer("t")
    tracer.start_span(
        "odd \ud800 name", attributes={"big": 1 << 80, "nan": float("nan"), "raw": b"\xff", "text": "a\ud800\0b", "huge": "x" * (9 << 20)}
    ).end()
    tracer.start_span("plain").end()
    store.shutdown()
    assert balanced(store.status())
    assert [each["span_name"] for each in rows(tmp_path)][-1] == "plain"
    assert len(rows(tmp_path)) == 2


def test_a_forked_child_writes_its_own_spans_into_a_file_of_its_own(tmp_path: Path) -> None:
    store = StoreProcessor(tmp_path)
    tracer = provider_with(store).get_tracer("t")
    tracer.start_span("before").end()
    child = os.fork()
    if child == 0:
        tracer.start_span("in the child").end()
        store.shutdown()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    tracer.start_span("after").end()
    store.shutdown()
    assert sorted(each["span_name"] for each in rows(tmp_path)) == ["after", "before", "in the child"]
    assert balanced(store.status())


def test_a_store_that_cannot_be_had_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        spantriage.attach(provider=TracerProvider(), sinks=[], store=tmp_path / "file")
    with pytest.raises(ConfigError, match="unknown option 'day'"):
        spantriage.attach(provider=TracerProvider(), sinks=[], store=f"{tmp_path}/s?day=3")


PROGRAM = """
import spantriage.auto
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("program")
with tracer.start_as_current_span("invoke_agent boss", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "boss"}):
    tracer.start_span("execute_tool probe", attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "probe",
        "gen_ai.tool.call.result": "Error: probe"}).end()
"""
UNDER_LOGFIRE = """
import logfire
logfire.configure(send_to_logfire=False, console=False, service_name="under-logfire", inspect_arguments=False)
import spantriage
triage = spantriage.attach(sinks=[], store=__import__("sys").argv[1])
with logfire.span("work {x}", x=1, _tags=["t"]):
    logfire.info("said {y}", y=2)
"""


def test_a_variable_is_enough_and_the_end_of_the_program_loses_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "SPANTRIAGE_STORE": str(tmp_path / "s"), "SPANTRIAGE_SINKS": ""}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "s", "span_name, attributes->>'triage.severity' as severity")
    assert found == [{"span_name": "invoke_agent boss", "severity": None}, {"span_name": "execute_tool probe", "severity": "warning"}]
    assert query("select count(*) as n from findings", tmp_path / "s").to_pylist() == [{"n": 1}]


def test_under_logfire_rows_are_as_logfire_would_have_them(tmp_path: Path) -> None:
    pytest.importorskip("logfire")
    command = [sys.executable, "-c", UNDER_LOGFIRE, str(tmp_path / "s")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "s", "span_name, kind, message, level, tags, service_name, duration is null as untimed")
    assert [tuple(each.values()) for each in found] == [
        ("work {x}", "span", "work 1", 9, ["t"], "under-logfire", False),
        ("said {y}", "log", "said 2", 9, None, "under-logfire", True),
    ]


def test_the_program_loads_no_engine_to_keep_its_spans(tmp_path: Path) -> None:
    program = (
        "import sys, spantriage; from opentelemetry.sdk.trace import TracerProvider; p = TracerProvider(); "
        "t = spantriage.attach(provider=p, sinks=[], store=sys.argv[1]); p.get_tracer('t').start_span('s').end(); t.flush(); "
        "print([name for name in ('duckdb', 'pyarrow', 'sqlglot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
    assert len(rows(tmp_path)) == 1
