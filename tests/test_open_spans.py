"""Spans that hang, and processes that die while agents are at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from weakref import ref

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from spantriage import intake, processor
from spantriage.attachment import Triage, attach
from spantriage.finding import Finding
from spantriage.journal import SIZE, Journal, crashed
from spantriage.model import Step

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "big"}
NEVER = "flow.never_ended"


class Heard:
    """Findings as they come, and a way to wait for one."""

    def __init__(self, triage: Triage) -> None:
        self.findings: list[Finding] = []
        self._came = threading.Condition()
        triage.on_finding(self._hear)

    def _hear(self, finding: Finding) -> None:
        with self._came:
            self.findings.append(finding)
            self._came.notify_all()

    def wait(self, code: str, *, withdrawn: bool = False, timeout_s: float = 15) -> Finding:
        def found() -> Finding | None:
            return next((f for f in self.findings if f.code == code and f.withdrawn is withdrawn), None)

        with self._came:
            assert self._came.wait_for(lambda: found() is not None, timeout_s)
            finding = found()
        assert finding is not None
        return finding


@pytest.fixture
def watched() -> Iterator[tuple[Triage, Tracer, Heard]]:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[], detectors={NEVER: {"open_s": 0.2}})
    yield triage, provider.get_tracer("test"), Heard(triage)
    triage.detach()


def test_a_model_call_that_hangs_is_told_while_it_hangs_and_taken_back_when_it_ends(watched: tuple[Triage, Tracer, Heard]) -> None:
    _, tracer, heard = watched
    with tracer.start_as_current_span("invoke_agent bot", attributes=AGENT):
        with tracer.start_as_current_span("chat big", attributes=CHAT) as span:
            finding = heard.wait(NEVER)
            assert finding.span_id == f"{span.get_span_context().span_id:016x}"
            assert "chat big" in finding.summary
        assert heard.wait(NEVER, withdrawn=True).finding_id == finding.finding_id


def test_nothing_is_said_while_something_ends_in_the_run() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[], detectors={NEVER: {"open_s": 3.0}})
    heard, tracer = Heard(triage), provider.get_tracer("test")
    with tracer.start_as_current_span("invoke_agent bot", attributes=AGENT), tracer.start_as_current_span("GET"):
        for _ in range(30):
            with tracer.start_as_current_span("chat big", attributes=CHAT):
                pass
        triage.flush()
    triage.detach()
    assert [f.code for f in heard.findings if f.code == NEVER] == []


def test_a_span_that_was_dropped_from_a_full_queue_does_not_hang() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[], queue_size=1, detectors={NEVER: {"open_s": 0.01}})
    heard, tracer = Heard(triage), provider.get_tracer("test")
    for _ in range(20):
        with tracer.start_as_current_span("chat big", attributes=CHAT):
            pass
    worker = triage.processor.worker
    assert worker.runs.open.all() == []
    triage.detach()
    assert [f for f in heard.findings if f.code == NEVER and not f.withdrawn] == []


def test_a_span_is_not_kept_for_having_been_open() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[])
    worker, tracer = triage.processor.worker, provider.get_tracer("test")
    with worker._gate:  # the worker cannot come to it
        span = tracer.start_span("chat big", attributes=CHAT)
        gone = ref(span)
        span.end()
        assert len(worker.runs.open.spans) == 1
        del span
        assert gone() is None
        assert worker.runs.open.all() == []
    triage.detach()


def test_a_span_that_nobody_can_end_any_more_does_not_hang(watched: tuple[Triage, Tracer, Heard]) -> None:
    triage, tracer, _ = watched
    registry = triage.processor.worker.runs.open
    span = tracer.start_span("chat big", attributes=CHAT)
    assert [each.span_id for each in registry.all()] == [span.get_span_context().span_id]
    del span
    assert registry.all() == []


def test_of_too_many_open_spans_the_oldest_is_forgotten_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (intake, processor):
        monkeypatch.setattr(module, "OPEN_CAP", 3)
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[])
    spans = [provider.get_tracer("test").start_span(f"chat {n}", attributes=CHAT) for n in range(5)]
    worker = triage.processor.worker
    assert [each.span_id for each in worker.runs.open.all()] == [span.get_span_context().span_id for span in spans[2:]]
    assert worker.accounts()["open_forgotten"] == 2
    for span in spans:
        span.end()
    triage.detach()


@pytest.mark.parametrize("name", [7, ("bot",), True])
def test_an_agents_name_that_is_none_names_nobody(name: object, watched: tuple[Triage, Tracer, Heard]) -> None:
    triage, tracer, _ = watched
    span = tracer.start_span("invoke_agent", attributes={**AGENT, "gen_ai.agent.name": name})
    registry = triage.processor.worker.runs.open
    assert registry.agents() == {}
    assert registry.at_work(span.get_span_context().trace_id) == set()
    assert [each.agent for each in registry.all()] == [None]
    span.end()


def test_other_spans_are_not_remembered(watched: tuple[Triage, Tracer, Heard]) -> None:
    triage, tracer, _ = watched
    span = tracer.start_span("GET", attributes={"http.request.method": "GET"})
    assert not triage.processor.worker.runs.open.spans
    span.end()


PROGRAM = """
import os, sys, time
from opentelemetry.sdk.trace import TracerProvider
import spantriage
provider = TracerProvider()
triage = spantriage.attach(provider=provider, sinks=["jsonl:out/findings.jsonl"])
tracer = provider.get_tracer("test")
agent = tracer.start_span("invoke_agent bot", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"})
from opentelemetry import trace
with trace.use_span(agent), tracer.start_as_current_span("chat big", attributes={"gen_ai.operation.name": "chat"}):
    while not list(__import__("pathlib").Path("out").glob("journal-*.jsonl")) or "chat big" not in next(
        __import__("pathlib").Path("out").glob("journal-*.jsonl")).read_text():
        time.sleep(0.01)
    print("at work", flush=True)
    if sys.argv[1] == "hang":
        time.sleep(60)
if sys.argv[1] == "end":
    agent.end()
"""


def start(folder: Path, how: str) -> subprocess.Popen[str]:
    source = str(Path(__file__).parents[1] / "src")
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how], cwd=folder, env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "at work\n"
    return program


def codes(folder: Path) -> list[tuple[str, str | None]]:
    lines = (folder / "out" / "findings.jsonl").read_text().splitlines()
    return [(line["code"], line["agent"]) for line in map(json.loads, lines) if line["code"] == "flow.crashed"]


pytestmark = pytest.mark.skipif(os.name == "nt", reason="journals need file locks")


def test_the_next_start_tells_of_an_agent_whose_process_was_killed(tmp_path: Path) -> None:
    program = start(tmp_path, "hang")
    program.send_signal(signal.SIGKILL)
    program.communicate()
    start(tmp_path, "end").communicate(timeout=30)
    assert codes(tmp_path) == [("flow.crashed", "bot")]
    start(tmp_path, "end").communicate(timeout=30)
    assert codes(tmp_path) == [("flow.crashed", "bot")]
    assert list((tmp_path / "out").glob("journal-*")) == []


def test_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    living = start(tmp_path, "hang")
    (journal,) = (tmp_path / "out").glob("journal-*.jsonl")
    steps = list(crashed(tmp_path / "out"))
    assert (steps, journal.exists()) == ([], True)
    living.kill()
    living.communicate()
    (step,) = crashed(tmp_path / "out")
    assert (step.agent, step.sign, step.note) == ("bot", "crashed", {"doing": "chat big"})
    assert list(crashed(tmp_path / "out")) == []


def open_step(span_id: int, **fields: object) -> Step:
    step = Step(1, span_id, None, span_id, span_id, "agent", f"invoke_agent {span_id}", "live", agent=f"a{span_id}")
    for name, value in fields.items():
        setattr(step, name, value)
    return step


def write(journal: Journal, steps: dict[int, Step]) -> None:
    journal.write(steps, steps.__getitem__)


def left_behind(folder: Path, steps: dict[int, Step]) -> Path:
    """A journal as a process that died leaves it."""
    journal = Journal(folder)
    write(journal, steps)
    journal.close()
    (path,) = folder.glob("journal-*.jsonl")
    return path


def test_a_journal_whose_last_line_is_torn_is_read_up_to_it(tmp_path: Path) -> None:
    path = left_behind(tmp_path, {n: open_step(n) for n in (1, 2, 3)})
    path.write_bytes(path.read_bytes()[:-20] + b"\n\xff\x00garbage\n[1, 2\n" + b'{"end": "zz"}\n{"end": "0000000000000001"}\n')
    assert [step.agent for step in crashed(tmp_path)] == ["a2"]


@pytest.mark.parametrize("raw", [b"", b"\n", b"not json\n", b'{"journal": 99}\n{"span": "1"}\n', b"[]\n", b"\x00" * 100])
def test_a_file_that_is_no_journal_of_ours_is_left_alone(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "journal-x.jsonl"
    path.write_bytes(raw)
    assert list(crashed(tmp_path)) == []
    assert path.exists()


def test_a_huge_journal_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = left_behind(tmp_path, {1: open_step(1)})
    with path.open("ab") as file:
        file.write(b"x" * (SIZE + 10))
    assert [step.agent for step in crashed(tmp_path)] == ["a1"]


def test_a_journal_does_not_grow_with_the_number_of_spans(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(1, 8_000):
        write(journal, {0: open_step(9_999), number: open_step(number)})
    (path,) = tmp_path.glob("journal-*.jsonl")
    assert path.stat().st_size < 1 << 20
    write(journal, {})
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_two_starts_at_the_same_time_tell_of_a_crash_once(tmp_path: Path) -> None:
    left_behind(tmp_path, {n: open_step(n) for n in range(1, 50)})
    found: list[Step] = []
    threads = [threading.Thread(target=lambda: found.extend(crashed(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 49


def test_a_journal_is_for_its_owner_alone_and_gone_while_nothing_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new")
    write(journal, {1: open_step(1)})
    (path,) = (tmp_path / "new").glob("journal-*.jsonl")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    journal.rest()
    assert path.exists()
    write(journal, {})
    journal.rest()
    assert not path.exists()
    write(journal, {2: open_step(2)})
    assert path.exists()
    journal.close()
    assert [step.agent for step in crashed(tmp_path / "new")] == ["a2"]


def test_a_closed_provider_leaves_no_journal_and_no_crash_behind(tmp_path: Path) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    attach(provider=provider, sinks=[], journal=str(tmp_path))
    written = threading.Event()
    with provider.get_tracer("test").start_as_current_span("invoke_agent bot", attributes=AGENT):
        for _ in range(1_000):
            if list(tmp_path.glob("journal-*.jsonl")) or written.wait(0.01):
                break
        assert list(tmp_path.glob("journal-*.jsonl"))
    provider.shutdown()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_touch_its_parents_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    write(journal, {1: open_step(1)})
    child = os.fork()
    if child == 0:
        journal.after_fork()
        journal.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert list(crashed(tmp_path)) == []
    write(journal, {})
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_costs_the_journal_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[], journal=str(tmp_path / "file" / "journal"))
    with provider.get_tracer("test").start_as_current_span("invoke_agent bot", attributes=AGENT):
        triage.processor.worker.heartbeat.rest()
    assert triage.flush()
    assert triage.status()["self"]["journal_errors"] == 1
    triage.detach()
