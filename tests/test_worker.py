"""The worker: queue, threads, sinks, and what it owes to those who wait."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from faulty_sink import FaultySink
from live import FOUND, Exported, Kept, call, ended, exporting, make_provider, own, watching
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from programs.agent import run

from spantriage import intake, runs
from spantriage.config import Settings
from spantriage.detectors import Detector
from spantriage.errors import ConfigError, SinkError
from spantriage.worker import Worker


class Waits(Detector):
    """Holds up whoever judges a tool call, until it is let go."""

    code = "test.waits"
    category = "tool_issue"
    speaks_of = frozenset({"tool"})
    entered = threading.Event()
    released = threading.Event()

    def check(self, step: Any, agent: Any) -> Any:
        type(self).entered.set()
        assert type(self).released.wait(10)
        return iter(())


@pytest.fixture
def held_up() -> Iterator[type[Waits]]:
    Waits.entered, Waits.released = threading.Event(), threading.Event()
    yield Waits
    Waits.released.set()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "spantriage"]


def no_more_than(number: int) -> bool:
    """Threads that were told to end take a moment."""
    deadline = time.monotonic() + 5
    while len(threads()) > number and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return len(threads()) <= number


def span() -> ReadableSpan:
    return ended(call)[0]


def test_a_full_queue_drops_the_oldest_and_counts_it() -> None:
    sink = FaultySink("hang")
    watcher = watching(sink, queue_size=10)
    exporter = InMemorySpanExporter()
    provider = make_provider(watcher, exporting("batch", exporter))
    tracer = provider.get_tracer("test")
    call(tracer, "first")
    assert sink.entered.wait(10)

    for number in range(100):
        call(tracer, f"tool {number}")

    accounts = watcher.worker.accounts()
    assert (accounts["received"], accounts["dropped.queue_full"], accounts["queued"]) == (101, 90, 10)
    sink.mend()
    assert watcher.force_flush()
    provider.force_flush()
    told = {finding.evidence[0].name for finding in sink.taken if finding.code == "tool.silent_failure"}
    assert told == {"execute_tool first", *(f"execute_tool tool {number}" for number in range(90, 100))}
    shown = {span.name: (span.attributes or {}).get("triage.codes") for span in exporter.get_finished_spans()}
    assert shown["execute_tool tool 0"] is None
    assert shown["execute_tool tool 99"] == ["tool.silent_failure"]
    provider.shutdown()


def test_reading_a_dropped_span_waits_for_nobody(held_up: type[Waits]) -> None:
    watcher = watching(Kept(), queue_size=1)
    watcher.worker = Worker(watcher.settings, (held_up(),), [])
    exporter = InMemorySpanExporter()
    provider = make_provider(watcher, exporting("batch", exporter))
    for number in range(4):
        call(provider.get_tracer("test"), f"tool {number}")
        assert held_up.entered.wait(10)

    provider.force_flush(1_000)  # half of it is spent on the worker
    began = time.monotonic()
    dropped = [s for s in exporter.get_finished_spans() if s.name in ("execute_tool tool 1", "execute_tool tool 2")]
    for each in dropped:
        assert own(each.attributes) == each.attributes
    took = time.monotonic() - began

    assert len(dropped) == 2
    assert took < intake.PATIENCE_S
    held_up.released.set()
    provider.shutdown()


def test_a_reader_waits_a_moment_for_a_busy_worker_and_then_goes_without(held_up: type[Waits]) -> None:
    watcher = watching(Kept())
    watcher.worker = Worker(watcher.settings, (held_up(),), [])
    exporter = InMemorySpanExporter()
    provider = make_provider(watcher, exporting("batch", exporter))
    call(provider.get_tracer("test"), "slow")
    assert held_up.entered.wait(10)
    call(provider.get_tracer("test"), "next")

    provider.force_flush(10)
    began = time.monotonic()
    shown = {each.name: dict(each.attributes or {}) for each in exporter.get_finished_spans()}
    took = time.monotonic() - began

    assert shown["execute_tool next"] == own(shown["execute_tool next"])
    assert len(shown["execute_tool next"]) == 4
    assert took < 10 * intake.PATIENCE_S
    assert watcher.worker.accounts()["enrich_timeout"] == 2
    held_up.released.set()
    provider.shutdown()


def test_a_reader_does_the_work_that_was_there_when_it_came_and_no_more() -> None:
    watcher = watching(Kept(), queue_size=100_000)
    waiting = [span() for _ in range(20)]
    for each in waiting:
        watcher.on_end(each)
    busy = threading.Event()

    def feed() -> None:
        while not busy.wait(0.0):
            watcher.on_end(ReadableSpan("more", waiting[0].context, attributes=own(waiting[0].attributes)))

    feeders = [threading.Thread(target=feed) for _ in range(2)]
    for feeder in feeders:
        feeder.start()
    try:
        for each in waiting:
            began = time.monotonic()
            assert own(each.attributes)
            assert time.monotonic() - began < 2
    finally:
        busy.set()
        for feeder in feeders:
            feeder.join()


def test_one_thread_serves_however_many_begin_at_once() -> None:
    before = sys.getswitchinterval()
    spans = [span() for _ in range(16)]
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            watcher, gate = watching(Kept()), threading.Barrier(16)

            def end(each: ReadableSpan, watcher: Any = watcher, gate: Any = gate) -> None:
                gate.wait()
                watcher.on_end(each)

            already = set(threads())
            enders = [threading.Thread(target=end, args=(copy_of(each),)) for each in spans]
            for ender in enders:
                ender.start()
            for ender in enders:
                ender.join()
            assert len(set(threads()) - already) == 1
            watcher.shutdown()
    finally:
        sys.setswitchinterval(before)


def copy_of(each: ReadableSpan) -> ReadableSpan:
    """The same span, not seen by anybody yet."""
    return ReadableSpan(each.name, each.context, attributes=own(each.attributes), start_time=each.start_time, end_time=each.end_time)


def test_a_closed_worker_leaves_no_thread_behind_and_begins_again_with_the_next_span() -> None:
    sink = Kept()
    before = len(threads())
    watcher = watching(sink)
    provider = make_provider(watcher)
    run(provider.get_tracer("test"))
    watcher.shutdown()
    assert no_more_than(before)

    call(provider.get_tracer("test"), "again")

    sink.wait_for(lambda findings: any(f.evidence[0].name == "execute_tool again" for f in findings))
    provider.shutdown()
    assert no_more_than(before)


def test_a_worker_that_is_let_go_is_collected() -> None:
    import weakref

    watcher = watching(Kept())
    run(make_provider(watcher).get_tracer("test"))
    watcher.shutdown()
    gone = weakref.ref(watcher)

    del watcher
    for _ in range(3):
        gc.collect()

    assert gone() is None


def test_a_worker_with_nothing_to_do_sleeps_until_the_next_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LINGER_S", 0.0)
    sink = Kept()
    watcher = watching(sink, grace_s=0.0)
    provider = make_provider(watcher)
    call(provider.get_tracer("test"))
    sink.wait_for(bool)
    deadline = time.monotonic() + 10
    while not watcher.worker.asleep and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert watcher.worker.asleep

    call(provider.get_tracer("test"), "later")

    sink.wait_for(lambda findings: any(f.evidence[0].name == "execute_tool later" for f in findings))
    provider.shutdown()


def test_a_finding_does_not_wait_for_its_run_to_end() -> None:
    sink = Kept()
    provider = make_provider(watching(sink, grace_s=600.0, idle_s=600.0))
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "boss"}):
        tracer.start_span("t", attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "Error: not today"}).end()
        sink.wait_for(bool)

    assert (sink.findings[0].code, sink.findings[0].agent) == ("tool.silent_failure", "boss")
    provider.shutdown()


@pytest.mark.parametrize("mode", ["hang", "slow"])
def test_flush_and_close_keep_to_their_time_whatever_a_sink_does(mode: Any) -> None:
    sink = FaultySink(mode, delay_s=5.0)
    watcher = watching(sink)
    call(make_provider(watcher).get_tracer("test"))

    took = []
    for finish in (lambda: watcher.worker.flush(0.3), lambda: watcher.worker.close(0.3)):
        began = time.monotonic()
        assert not finish()
        took.append(time.monotonic() - began)

    assert max(took) < 0.3 + 0.5
    assert watcher.worker.accounts()["shutdown_timeout"] == 1
    sink.mend()


def test_a_sink_that_hangs_holds_up_neither_ending_spans_nor_their_verdicts() -> None:
    sink = FaultySink("hang")
    exporter = InMemorySpanExporter()
    provider = make_provider(watching(sink), exporting("simple", exporter))
    call(provider.get_tracer("test"), "first")
    assert sink.entered.wait(10)

    began = time.monotonic()
    run(provider.get_tracer("test"))
    took = time.monotonic() - began

    assert took < 1.0
    shown = {each.name: (each.attributes or {}).get("triage.codes") for each in exporter.get_finished_spans()}
    assert shown["execute_tool weather"] == ["tool.silent_failure"]
    sink.mend()
    provider.shutdown()


def test_one_broken_sink_does_not_take_findings_from_the_others() -> None:
    first, last = Kept(), Kept()
    watcher = watching(first)
    for sink in (FaultySink("raise"), FaultySink("short"), last):
        watcher.worker.add_sink(sink)
    provider = make_provider(watcher)

    run(provider.get_tracer("test"))
    watcher.force_flush()

    assert first.findings == last.findings
    assert last.codes >= FOUND
    assert watcher.worker.accounts()["sink_errors.faulty_sink"] >= 2
    provider.shutdown()


def test_a_sink_that_was_asked_for_and_cannot_be_had_is_an_error(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SinkError, match="jsonl"):
        Worker(Settings(), (), [f"jsonl:{tmp_path}/file/findings.jsonl"])
    with pytest.raises(ConfigError, match="carrier_pigeon"):
        Worker(Settings(), (), ["carrier_pigeon"])


def test_a_sink_of_the_settings_that_cannot_be_had_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    made = Worker(Settings(sinks=("carrier_pigeon", "console")), (), None)

    assert len(made.delivery.sinks) == 1
    assert made.accounts()["sinks_left_out"] == 1
    assert caplog.records[0].getMessage().startswith("sink carrier_pigeon is left out")


def test_status_is_up_to_date_with_every_span_that_has_ended() -> None:
    watcher = watching(Kept())
    tracer = make_provider(watcher).get_tracer("test")

    for number in range(1, 4):
        run(tracer)
        status = watcher.worker.status()
        assert status["agents"]["bot"]["tool_calls"] == 4 * number
        assert status["runs"]["live"] == number
        assert status["self"]["received"] == status["self"]["processed"] == 6 * number


def test_a_run_that_cannot_be_judged_does_not_keep_the_others_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from spantriage.engine import Engine

    sink, judge = Kept(), Engine.judge
    poisoned: list[int] = []

    def judge_or_fail(self: Engine, run: Any, **more: Any) -> Any:
        if run.trace_id in poisoned:
            raise RuntimeError("poison")
        return judge(self, run, **more)

    monkeypatch.setattr(Engine, "judge", judge_or_fail)
    watcher = watching(sink, grace_s=0.0, max_runs=3)
    tracer = make_provider(watcher).get_tracer("test")
    with tracer.start_as_current_span("poison", attributes={"gen_ai.operation.name": "chat"}) as first:
        poisoned.append(first.get_span_context().trace_id)
    for number in range(10):
        run(tracer, f"agent {number}")
        watcher.force_flush()

    assert {f.agent for f in sink.findings if f.code == "loop.repeated_call"} == {f"agent {n}" for n in range(10)}
    accounts = watcher.worker.accounts()
    assert accounts["judge_errors"] in (1, 2)  # once by the thread, once by the flush
    assert accounts["processed"] == 61
    assert not {key for key in accounts if key.startswith(("step_errors", "worker_errors", "hook_errors"))}
    watcher.shutdown()


def test_a_detector_that_fails_is_named_in_the_accounts() -> None:
    class Raises(Detector):
        code = "test.raises"
        category = "tool_issue"
        speaks_of = frozenset({"tool"})

        def check(self, step: Any, agent: Any) -> Any:
            raise ValueError

    watcher = watching(Kept())
    watcher.worker = Worker(watcher.settings, (Raises(),), [])
    run(make_provider(watcher).get_tracer("test"))
    watcher.force_flush()

    assert watcher.worker.accounts()["detector_errors.test.raises"] == 8


class Finalised:
    """Ends a span when it is collected, as an abandoned generator does."""

    def __init__(self, work: Any) -> None:
        self.work, self.me = work, self

    def __del__(self) -> None:
        self.work()


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_spans_that_the_collector_ends_anywhere_in_our_code_neither_block_nor_break_it(kind: str) -> None:
    exporter = Exported()
    watcher = watching(Kept(), grace_s=0.0)
    provider = make_provider(watcher, exporting(kind, exporter))
    tracer = provider.get_tracer("test")
    ends: list[None] = []

    def end() -> None:
        call(tracer, "collected")
        ends.append(None)

    thresholds = gc.get_threshold()
    gc.set_threshold(17)
    try:
        for _ in range(150):
            Finalised(end)
            run(tracer)
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
    watcher.force_flush()
    provider.force_flush()

    assert len(ends) == 150
    assert len(exporter.spans) == 150 * 7
    accounts = watcher.worker.accounts()
    assert accounts["processed"] + accounts["dropped.queue_full"] == 150 * 7
    assert not {key for key in accounts if "errors" in key}
    provider.shutdown()


def test_a_sink_may_end_spans_itself() -> None:
    class Ends(Kept):
        def write(self, findings: Sequence[Any]) -> None:
            super().write(findings)
            if len(self.findings) < 20:
                call(tracer, "of the sink")

    sink = Ends()
    watcher = watching(sink)
    tracer = make_provider(watcher).get_tracer("test")

    call(tracer)
    sink.wait_for(lambda findings: len(findings) >= 20)

    watcher.force_flush()


def test_a_callback_may_ask_for_the_status_and_flush() -> None:
    asked: list[Any] = []

    class Asks(Kept):
        def write(self, findings: Sequence[Any]) -> None:
            super().write(findings)
            asked.append((watcher.worker.status(), watcher.force_flush(100)))

    sink = Asks()
    watcher = watching(sink)
    call(make_provider(watcher).get_tracer("test"))
    sink.wait_for(bool)

    watcher.force_flush()
    assert asked
