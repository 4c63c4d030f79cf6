"""The status file of live programs: what it says, when it is written, what happens to it in forks and on full disks."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live import call, make_provider, watching
from opentelemetry.sdk.trace import TracerProvider

from spantriage import TriageProcessor
from spantriage.errors import SinkError
from spantriage.finding import Finding
from spantriage.progress import Progress
from spantriage.sinks import Survey, open_sink
from spantriage.sinks.status_json import StatusJsonSink

RELIABILITY = [
    "enforcement_attempts", "by_round", "unknown_tools", "workflow_errors", "total_enforcement_retries", "total_buffer_chars_lost",
    "outcome",
]  # fmt: skip
AGENT = {"gen_ai.operation.name": "invoke_agent"}


class Watched:
    """A provider with a processor that has a status sink, and the file."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        self.sink = StatusJsonSink(path, every_s=0.02)
        self.watcher: TriageProcessor = watching(self.sink, **settings)
        self.provider: TracerProvider = make_provider(self.watcher)
        self.tracer = self.provider.get_tracer("test")

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def wait_for(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        while True:
            told = self.read() if self.path.exists() else {}
            if told and condition(told):
                return told
            assert time.monotonic() < deadline, told
            threading.Event().wait(0.01)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "deep" / "status.json")
    yield made
    made.provider.shutdown()
    made.sink.close(1)


def agent(tracer: Any, name: str) -> Any:
    return tracer.start_as_current_span(f"invoke_agent {name}", attributes={**AGENT, "gen_ai.agent.name": name})


def test_the_file_follows_a_run_from_its_first_step_to_its_end(watched: Watched) -> None:
    with agent(watched.tracer, "writer"):
        call(watched.tracer)
        told = watched.wait_for(lambda told: told["agents"].get("writer"))
        assert told["agents"]["writer"]["status"] == "streaming"
        assert told["agents"]["writer"]["error"] is None
        assert told["coordination"] == {"phase": None, "completion_percentage": None}
        assert told["results"] == {"winner": None}
        assert told["is_complete"] is False
    told = watched.wait_for(lambda told: told["agents"]["writer"]["status"] != "streaming")
    assert told["agents"]["writer"]["status"] == "answered"
    assert list(told["agents"]["writer"]["reliability"]) == RELIABILITY
    assert told["agents"]["writer"]["reliability"]["outcome"] == "ok"
    assert told["agents"]["bot"]["tool_metrics"] == {"total_calls": 1, "total_failures": 1}
    assert told["coordination"]["completion_percentage"] == 100
    assert told["is_complete"] is True
    assert abs(told["meta"]["last_updated"] - time.time()) < 60
    assert told["meta"]["pid"] == os.getpid()


def test_an_agent_whose_span_failed_is_in_error_with_its_words(watched: Watched) -> None:
    with pytest.raises(RuntimeError), agent(watched.tracer, "writer"):
        call(watched.tracer)
        raise RuntimeError("no ink, password=hunter2hunter2")
    told = watched.wait_for(lambda told: told["agents"].get("writer", {}).get("error"))
    error = told["agents"]["writer"]["error"]
    assert told["agents"]["writer"]["status"] == "error"
    assert "no ink" in error["message"]
    assert "hunter2" not in watched.path.read_text()
    assert told["agents"]["writer"]["reliability"]["outcome"] == "error"


def test_what_is_known_of_a_run_that_was_let_go_stays(watched: Watched) -> None:
    for number in range(3):
        with agent(watched.tracer, f"writer {number}"):
            call(watched.tracer)
    watched.watcher.shutdown()
    told = watched.read()
    assert {told["agents"][f"writer {n}"]["status"] for n in range(3)} == {"answered"}
    assert told["coordination"]["completion_percentage"] == 100


def test_the_file_is_written_only_when_something_changed(watched: Watched) -> None:
    call(watched.tracer)
    assert watched.watcher.force_flush()
    watched.wait_for(lambda told: told["is_complete"])
    written = [watched.sink.written]
    while written[-1:] * 10 != written[-10:]:
        threading.Event().wait(0.02)
        written.append(watched.sink.written)
    assert written[-1] < 20


def test_the_file_is_its_owners_alone_and_never_half_written(watched: Watched) -> None:
    stop, broken = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                json.loads(watched.path.read_text())
            except FileNotFoundError:
                pass
            except ValueError as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        call(watched.tracer, f"tool {number}", **{"gen_ai.agent.name": f"agent {number}"})
        watched.sink.flush(1)
    stop.set()
    reader.join()
    assert not broken
    assert watched.sink.written > 3
    assert stat.S_IMODE(watched.path.stat().st_mode) == 0o600
    assert not [name for name in os.listdir(watched.path.parent) if name.endswith(".tmp")]


def test_hostile_names_stay_inside_their_strings(watched: Watched) -> None:
    name = 'x"},"results":{"winner":"me"},"\x1b[31m \u202e '
    with agent(watched.tracer, name):
        call(watched.tracer, tool=name)
    watched.watcher.force_flush()
    told = watched.wait_for(lambda told: any("winner" in name for name in told["agents"]))
    assert told["results"]["winner"] is None
    assert "\\u001b" not in watched.path.read_text()


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "status.json").symlink_to(other)
    watched = Watched(tmp_path / "status.json")
    call(watched.tracer)
    watched.watcher.force_flush()
    watched.sink.flush(5)
    assert other.read_text() == "mine"
    assert not watched.path.is_symlink()
    watched.provider.shutdown()
    watched.sink.close(1)


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "status.json"):
        with pytest.raises(SinkError, match="cannot write"):
            open_sink(f"status_json:{path}")


def test_a_folder_that_goes_away_is_counted_and_the_file_comes_back(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    call(watched.tracer)
    watched.wait_for(lambda told: told["agents"])
    folder, away = watched.path.parent, watched.path.parent.with_name("away")
    folder.rename(away)
    with caplog.at_level(logging.WARNING, "spantriage"):
        call(watched.tracer, tool="second")
        call(watched.tracer, tool="third")
        deadline = time.monotonic() + 5
        while not watched.sink.failures:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
    away.rename(folder)
    watched.wait_for(lambda told: told["agents"]["bot"]["tool_metrics"]["total_calls"] == 3)
    assert len([r for r in caplog.records if "status" in r.message]) == 1


class Stuck:
    """A survey that does not come back until it is let."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def mark(self) -> object:
        return object()

    def take(self) -> Progress | None:
        self.entered.set()
        self.released.wait(10)
        return None


def test_a_look_that_takes_long_blocks_neither_writing_nor_flushing(tmp_path: Path) -> None:
    sink, survey = StatusJsonSink(tmp_path / "status.json", every_s=0.01), Stuck()
    kind: Survey = survey
    sink.watch(kind)
    assert survey.entered.wait(5)
    began = time.monotonic()
    sink.write([])
    assert not sink.flush(0.05)
    sink.close(0.05)
    assert time.monotonic() - began < 1
    survey.released.set()


def test_one_thread_which_ends_with_the_sink_and_comes_back_with_the_next_span(watched: Watched) -> None:
    def threads() -> int:
        return sum(thread.name == "spantriage-status" and thread is watched.sink._thread for thread in threading.enumerate())

    assert watched.sink._thread is None
    call(watched.tracer)
    watched.wait_for(lambda told: told["agents"] and threads() == 1)
    assert watched.sink._thread is not None
    assert watched.sink._thread.daemon
    watched.watcher.shutdown()
    watched.sink.close(1)
    thread = watched.sink._thread
    thread.join(5)
    assert not thread.is_alive()
    call(watched.tracer, tool="again")
    watched.wait_for(lambda told: told["agents"]["bot"]["tool_metrics"]["total_calls"] == 2 and threads() == 1)


FORKING = """
import json, os, sys, time
from opentelemetry.sdk.trace import TracerProvider
from live import call, watching
from spantriage.sinks.status_json import StatusJsonSink
path = sys.argv[1]
sink = StatusJsonSink(path, every_s=0.02)
watcher = watching(sink)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(watcher)
tracer = provider.get_tracer("test")
if sys.argv[2] == "before":
    call(tracer, "parent's")
    watcher.force_flush()
    assert sink.flush(5)
pid = os.fork()
if not pid:
    call(tracer, "child's", **{"gen_ai.agent.name": "child"})
    watcher.force_flush()
    os._exit(0 if sink.flush(5) else 1)
assert os.waitpid(pid, 0)[1] == 0
call(tracer, "parent's")
watcher.shutdown()
sink.close(1)
print(json.dumps(pid))
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_forked_child_keeps_away_from_its_parents_file(tmp_path: Path, order: str) -> None:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), *sys.path]), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", FORKING, str(tmp_path / "status.json"), order]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    pid = json.loads(ended.stdout)
    parent = json.loads((tmp_path / "status.json").read_text())
    assert set(parent["agents"]) == {"bot"}
    if order == "before":  # the parent owned the file when the child came
        child = json.loads((tmp_path / f"status.{pid}.json").read_text())
        assert set(child["agents"]) == {"child"}
        assert child["meta"]["pid"] == pid


def test_findings_alone_write_nothing(tmp_path: Path) -> None:
    sink = open_sink(f"status_json:{tmp_path / 'status.json'}")
    findings: list[Finding] = []
    sink.write(findings)
    assert sink.flush(1)
    sink.close(1)
    sink.close(1)
    assert os.listdir(tmp_path) == []


def test_looking_while_spans_end_loses_and_breaks_nothing(watched: Watched) -> None:
    def work(name: str) -> None:
        with agent(watched.tracer, name):
            for number in range(300):
                call(watched.tracer, f"tool {number}", **{"gen_ai.agent.name": name})
                if number % 20 == 0:
                    assert watched.watcher.worker.survey.mark()
                    watched.sink.flush(5)

    threads = [threading.Thread(target=work, args=(f"agent {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watched.watcher.shutdown()
    told = watched.read()
    accounts = watched.watcher.worker.accounts()
    assert {told["agents"][f"agent {n}"]["tool_metrics"]["total_calls"] for n in range(3)} == {300}
    assert accounts["received"] == accounts["processed"] == 903
    assert "survey_errors" not in accounts
    assert watched.sink.failures == 0
