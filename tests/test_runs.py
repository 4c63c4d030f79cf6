"""Live runs: when they are judged, what becomes of them, and that the judgement is the one a recording would get."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from live import FOUND, Kept, ended, make_provider, own, watching
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Status, StatusCode, Tracer
from programs.agent import run

from spantriage import runs, totals
from spantriage.config import Settings
from spantriage.detectors import all_detectors
from spantriage.dialects import speaks_agent
from spantriage.ended import Ended, keep
from spantriage.engine import Engine, select
from spantriage.finding import Finding
from spantriage.replay import Replay
from spantriage.runs import Runs

S = 1_000_000_000
FOREVER = float("inf")


class Clock:
    """Live runs at a time of our choosing."""

    def __init__(self, **settings: Any) -> None:
        self.counters: Counter[str] = Counter()
        self.traces: OrderedDict[int, None] = OrderedDict()
        self.runs = Runs(Settings(**settings), select(all_detectors()), self.counters, self.traces)
        self.now_s = 1_000.0
        self.findings: list[Finding] = []

    def take(self, *spans: ReadableSpan) -> None:
        for span in spans:
            scope = span.instrumentation_scope
            is_agents = speaks_agent("" if scope is None else scope.name, dict(span.attributes or {}))
            self.traces[span.context.trace_id] = None
            kept = Ended._make(keep(span, dict(span.attributes or {}), None)[1:]) if is_agents else None
            self.runs.take(span.context, span.parent, None, kept, int(self.now_s * S))
        self.findings += self.runs.take_findings()

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        now_ns = int(self.now_s * S)
        for live, version in self.runs.due(now_ns):
            self.runs.conclude(live, self.runs.judge(live), version)
        self.runs.forget(now_ns)
        self.findings += self.runs.take_findings()

    def end(self) -> None:
        assert self.runs.settle_all(FOREVER)
        self.findings += self.runs.take_findings()

    @property
    def judged(self) -> int:
        return sum(1 for live in self.runs.live.values() if live.judgement is not None)

    @property
    def held(self) -> dict[str, Finding]:
        """What holds in the end: the last line of each finding, without those taken back."""
        return {f.finding_id: f for f in {f.finding_id: f for f in self.findings}.values() if not f.withdrawn}


def claims(findings: Iterable[Finding]) -> list[tuple[object, ...]]:
    """Everything that a finding says, except which file it was read from."""
    said = [f.model_dump(exclude={"source"}) for f in findings]
    return sorted(tuple(map(str, each.values())) for each in said)


def calls(tool: str, results: Iterable[str], agent: str = "bot") -> Callable[[Tracer], None]:
    def work(tracer: Tracer) -> None:
        above = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
        with tracer.start_as_current_span(f"invoke_agent {agent}", attributes=above):
            for result in results:
                attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.call.arguments": "{}"}
                tracer.start_span(f"execute_tool {tool}", attributes={**attributes, "gen_ai.tool.call.result": result}).end()

    return work


class Word(StrEnum):
    """Names and values as Microsoft's Agent Framework gives them to its spans."""

    OPERATION = "gen_ai.operation.name"
    REASONS = "gen_ai.response.finish_reasons"
    CHAT = "chat"
    LENGTH = "length"


def test_names_and_values_that_are_members_of_an_enum_are_read_as_the_strings_they_are() -> None:
    def work(tracer: Tracer) -> None:
        tracer.start_span("chat m", attributes={Word.OPERATION: Word.CHAT, Word.REASONS: (Word.LENGTH,)}).end()

    clock = Clock(grace_s=2.0)
    clock.take(*ended(work))
    clock.wait(2.1)

    assert "model.truncated_output" in {finding.code for finding in clock.held.values()}


# -- when a run is complete -----------------------------------------------------------------------------------------------


def test_a_run_is_judged_when_its_root_has_ended_and_the_grace_has_passed() -> None:
    clock = Clock(grace_s=2.0)
    clock.take(*ended(run))

    clock.wait(1.9)
    assert clock.judged == 0
    clock.wait(0.2)
    assert clock.judged == 1


def test_each_late_span_grants_the_grace_anew() -> None:
    clock = Clock(grace_s=2.0)
    *children, root = ended(run)
    clock.take(root)
    for child in children:
        clock.wait(1.9)
        clock.take(child)

    clock.wait(1.9)
    assert clock.judged == 0
    clock.wait(0.2)
    assert clock.judged == 1


def test_a_run_without_an_ended_root_is_judged_when_nothing_came_for_long() -> None:
    clock = Clock(grace_s=2.0, idle_s=60.0)
    *children, _ = ended(run)
    clock.take(*children)

    clock.wait(59.0)
    assert clock.judged == 0
    clock.wait(2.0)
    assert clock.judged == 1
    assert {f.code for f in clock.held.values()} >= FOUND


def test_a_judged_run_waits_for_late_spans_and_is_let_go_when_none_come() -> None:
    clock = Clock(grace_s=2.0)
    clock.take(*ended(run))
    clock.wait(2.1)
    assert len(clock.runs.live) == 1

    clock.wait(runs.LINGER_S)

    assert not clock.runs.live
    assert not clock.traces
    assert clock.counters == {"runs_ended.root": 1}
    assert dict(clock.runs.records())["bot"].tool_calls == 4


@pytest.mark.parametrize("order", ["children first", "root first", "shuffled"])
def test_the_order_in_which_spans_end_changes_nothing(order: str) -> None:
    spans = ended(run)
    expected = Clock()
    expected.take(*spans)
    expected.end()
    arranged = {"children first": spans, "root first": spans[::-1], "shuffled": random.Random(3).sample(spans, len(spans))}[order]

    clock = Clock(grace_s=2.0)
    for span in arranged:
        clock.take(span)
        clock.wait(0.5)
    clock.wait(10.0)
    clock.end()

    assert claims(clock.held.values()) == claims(expected.held.values())
    assert {f.code for f in clock.held.values()} >= FOUND


def test_spans_that_come_twice_count_once() -> None:
    once, twice = Clock(), Clock()
    spans = ended(run)
    once.take(*spans)
    twice.take(*spans, *spans)
    once.end()
    twice.end()

    assert claims(once.held.values()) == claims(twice.held.values())
    assert twice.counters["duplicate"] == 6
    assert dict(twice.runs.records())["bot"].tool_calls == 4


# -- amended and withdrawn ------------------------------------------------------------------------------------------------


def test_a_late_span_amends_the_findings_of_a_judged_run_under_the_same_ids() -> None:
    def fails(tracer: Tracer) -> None:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "boss"}
        with tracer.start_as_current_span("invoke_agent boss", attributes=attributes) as boss:
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "pay"}
            span = tracer.start_span("execute_tool pay", attributes=tool)
            span.record_exception(OSError("no route to the bank"))
            span.set_status(Status(StatusCode.ERROR, "OSError: no route to the bank"))
            span.end()
            boss.set_status(Status(StatusCode.ERROR, "OSError: no route to the bank"))

    clock = Clock(grace_s=1.0)
    tool, boss = ended(fails)
    clock.take(tool)
    clock.wait(61.0)
    before = {f.finding_id: f for f in clock.findings if f.code == "tool.error"}

    clock.take(boss)
    clock.wait(2.0)
    after = {f.finding_id: f for f in clock.findings if f.code == "tool.error"}

    assert len(before) == 1
    assert before.keys() == after.keys()
    ((early, late),) = zip(before.values(), after.values(), strict=True)
    assert (early.severity, early.agent) == ("warning", "execute_tool pay") or early.agent is None
    assert (late.severity, late.agent, late.primary) == ("error", "boss", True)


def test_a_span_of_a_run_that_was_let_go_opens_it_again_and_breaks_nothing() -> None:
    clock = Clock(grace_s=0.0)
    *others, late = ended(run)[::-1]
    clock.take(*others)
    clock.wait(runs.LINGER_S + 1)
    assert not clock.runs.live

    clock.take(late)
    clock.wait(100.0)

    assert clock.judged == 1
    assert {f.code for f in clock.held.values()} >= FOUND


def test_an_agent_that_waits_for_longer_than_the_idle_time_is_still_one_run() -> None:
    spans = ended(calls("status", ["pending"] * 3))
    expected = Clock()
    expected.take(*spans)
    expected.end()

    clock = Clock(idle_s=60.0)
    for span in spans:
        clock.take(span)
        clock.wait(600.0)
    clock.end()

    assert claims(clock.held.values()) == claims(expected.held.values())
    assert "loop.repeated_call" in {f.code for f in clock.held.values()}


def test_a_run_whose_root_never_ends_is_let_go_in_the_end() -> None:
    clock = Clock(idle_s=60.0)
    *children, _ = ended(run)
    clock.take(*children)
    clock.wait(61.0)

    clock.wait(runs.ABANDONED_S)

    assert not clock.runs.live
    assert clock.counters == {"runs_ended.idle": 1}


def test_a_poll_that_changes_after_three_equal_answers_is_taken_back() -> None:
    clock = Clock(grace_s=1.0)
    spans = ended(calls("status", ["pending"] * 3 + ["done"]))
    clock.take(*spans[:3])
    (loud,) = [f for f in clock.findings if f.code == "loop.repeated_call"]
    assert not loud.withdrawn

    clock.take(*spans[3:])
    clock.wait(2.0)

    last = [f for f in clock.findings if f.finding_id == loud.finding_id][-1]
    assert (last.withdrawn, last.severity, last.score) == (True, "info", 0.0)
    assert last.summary.startswith("Withdrawn: ")
    assert loud.finding_id not in clock.held


def test_what_was_taken_back_is_taken_back_once_and_given_again_when_it_holds_after_all() -> None:
    clock = Clock(grace_s=1.0)
    spans = ended(calls("status", ["pending"] * 3 + ["done"] + ["pending"] * 3))
    *tools, root = spans
    clock.take(*tools[:4], root)
    for _ in range(3):
        clock.wait(2.0)
        clock.take(tools[4])
    taken_back = [f for f in clock.findings if f.withdrawn]
    assert len(taken_back) == 1

    clock.take(*tools[5:])
    clock.wait(2.0)

    assert [f.code for f in clock.held.values()].count("loop.repeated_call") == 1


def test_a_finding_is_said_again_only_when_something_about_it_has_changed() -> None:
    clock = Clock(grace_s=1.0)
    clock.take(*ended(run))
    for _ in range(5):
        clock.wait(1.5)
    clock.end()

    said = Counter(f.model_dump_json() for f in clock.findings)
    assert max(said.values()) == 1


# -- bounds -----------------------------------------------------------------------------------------------------------------


def test_of_too_many_runs_the_one_idle_for_longest_is_judged_counted_and_let_go() -> None:
    clock = Clock(max_runs=3)
    for number in range(10):
        *children, _ = ended(lambda tracer, number=number: run(tracer, f"agent {number}"))
        clock.take(*children)
        assert len(clock.runs.live) <= 3

    assert clock.counters["runs_ended.evicted"] == 7
    found = {(f.agent, f.code) for f in clock.findings if f.code in FOUND}
    assert found >= {(f"agent {number}", code) for number in range(7) for code in FOUND}
    clock.end()
    assert dict(clock.runs.records())["agent 0"].tool_calls == 4
    assert len(dict(clock.runs.records())) == 10


def test_judged_runs_that_wait_for_late_spans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEPT_SETTLED", 5)
    clock = Clock(grace_s=0.0)
    for _ in range(20):
        clock.take(*ended(run))
        clock.wait(0.001)

    assert len(clock.runs.live) <= 6
    assert dict(clock.runs.records())["bot"].tool_calls == 80


def test_names_of_agents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MAX_AGENTS", 5)
    clock = Clock()
    for number in range(20):
        clock.take(*ended(calls("t", ["ok"], f"agent {number}")))
    clock.end()

    assert len(clock.runs.totals) == 5
    assert clock.counters["agents_forgotten"] == 15


def test_steps_beyond_the_cap_are_counted_and_the_run_is_still_judged() -> None:
    clock = Clock(max_steps=4)
    clock.take(*ended(run))
    clock.end()

    assert clock.counters["dropped.span_limit"] == 2
    assert "tool.silent_failure" in {f.code for f in clock.held.values()}


def test_nothing_is_left_of_runs_that_are_over() -> None:
    clock = Clock(grace_s=0.0)
    for number in range(50):
        clock.take(*ended(lambda tracer, number=number: run(tracer, f"agent {number % 3}")))
    clock.wait(1.0)
    clock.wait(runs.LINGER_S + 1)

    assert not clock.runs.live
    assert not clock.traces
    assert not clock.runs.open.spans
    assert not clock.runs.take_findings()
    assert len(clock.runs.totals) == 3


def test_judging_ends_when_the_time_is_up_and_goes_on_later() -> None:
    clock = Clock()
    for _ in range(3):
        clock.take(*ended(run))

    assert not clock.runs.settle_rooted(0.0)
    assert clock.judged == 0
    assert not clock.runs.settle_all(0.0)
    assert len(clock.runs.live) == 3
    assert clock.runs.settle_rooted(FOREVER)
    assert clock.judged == 3


def test_a_run_that_grows_while_it_is_judged_is_judged_again() -> None:
    clock = Clock(grace_s=1.0)
    *children, root = ended(run)
    clock.take(root, *children[:-1])
    clock.now_s += 2
    ((live, version),) = clock.runs.due(int(clock.now_s * S))
    judgement = clock.runs.judge(live)
    clock.take(children[-1])
    clock.runs.conclude(live, judgement, version)

    assert clock.judged == 0
    clock.wait(2.0)
    assert clock.judged == 1
    assert {f.code for f in clock.held.values()} >= FOUND


# -- calls that belong together -------------------------------------------------------------------------------------------


def bare_calls(tracer: Tracer) -> None:
    """A program without a framework: each model call is a trace of its own."""
    asked = '{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}'
    user = '{"role": "user", "parts": [{"type": "text", "content": "weather in Paris?"}]}'
    answer = '{"type": "tool_call_response", "id": "c1", "response": "Error: weather service unavailable (503)"}'
    first = {"gen_ai.input.messages": f"[{user}]", "gen_ai.output.messages": f'[{{"role": "assistant", "parts": [{asked}]}}]'}
    history = f'[{user}, {{"role": "assistant", "parts": [{asked}]}}, {{"role": "tool", "parts": [{answer}]}}]'
    said = '[{"role": "assistant", "parts": [{"type": "text", "content": "I could not find out."}]}]'
    for messages in (first, {"gen_ai.input.messages": history, "gen_ai.output.messages": said}):
        tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "small", **messages}).end()


def linked(tracer: Tracer) -> None:
    """A second trace that links to the first."""
    with tracer.start_as_current_span("invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}) as first:
        pass
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "pay", "gen_ai.tool.call.result": "Error: card declined"}
    tracer.start_span("execute_tool pay", attributes=attributes, links=[Link(first.get_span_context())]).end()


@pytest.mark.parametrize("work", [bare_calls, linked])
def test_traces_that_belong_together_are_one_run(work: Callable[[Tracer], None]) -> None:
    clock = Clock()
    clock.take(*ended(work))

    assert len(clock.runs.live) == 1
    clock.end()
    assert "tool.silent_failure" in {f.code for f in clock.held.values()}
    assert not clock.traces


# -- live as recorded -------------------------------------------------------------------------------------------------------


def crowd(tracer: Tracer) -> None:
    """Agents that fail in many ways, below each other and beside each other, some of them in the same trace."""
    chance = random.Random(11)
    for number in range(12):
        with tracer.start_as_current_span("GET /"):
            run(tracer, f"agent {number}")
            calls("status", chance.choices(["pending", "done", "Error: no route", '{"success": false}'], k=9), f"poller {number}")(tracer)
            with tracer.start_as_current_span("invoke_agent boss", attributes={"gen_ai.operation.name": "invoke_agent"}) as boss:
                chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small", "gen_ai.usage.input_tokens": number}
                span = tracer.start_span("chat small", attributes=chat)
                if number % 3 == 0:
                    span.record_exception(TimeoutError("Request timed out"))
                    span.set_status(Status(StatusCode.ERROR, "TimeoutError: Request timed out"))
                    boss.set_status(Status(StatusCode.ERROR, "TimeoutError: Request timed out"))
                else:
                    span.set_attribute("gen_ai.response.finish_reasons", ["length" if number % 2 else "stop"])
                span.end()
        bare_calls(tracer)
        linked(tracer)


def replayed(spans: list[ReadableSpan], path: Path) -> list[Finding]:
    path.write_bytes(encode_spans(spans).SerializeToString())
    replay = Replay(Engine(select(all_detectors())))
    return [finding for judged in replay.scan([path]) for finding in judged.findings]


def shuffled(spans: list[ReadableSpan], seed: int) -> list[ReadableSpan]:
    """Any order, except that calls without a span around them end one after the other, for the later shows the earlier."""
    mixed = random.Random(seed).sample(spans, len(spans))
    bare = iter([span for span in spans if span.name == "chat"])
    return [next(bare) if span.name == "chat" else span for span in mixed]


@pytest.mark.parametrize("work", [run, bare_calls, linked, crowd])
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_the_same_spans_give_the_same_findings_live_and_recorded(work: Callable[[Tracer], None], seed: int | None, tmp_path: Path) -> None:
    spans = ended(work)
    recorded = replayed(spans, tmp_path / "trace.pb")
    spans = spans if seed is None else shuffled(spans, seed)

    clock = Clock(grace_s=0.5)
    for number, span in enumerate(spans):
        clock.take(span)
        if number % 30 == 0:
            clock.wait(0.6)
    clock.wait(5.0)
    clock.end()

    assert claims(clock.held.values()) == claims(recorded)
    assert recorded


def test_the_whole_live_path_gives_what_a_recording_gives(tmp_path: Path) -> None:
    class Same(RandomIdGenerator):
        def __init__(self) -> None:
            self.chance = random.Random(5)

        def generate_span_id(self) -> int:
            return self.chance.getrandbits(64) or 1

        def generate_trace_id(self) -> int:
            return self.chance.getrandbits(128) or 1

    sink = Kept()
    provider = make_provider(watching(sink), id_generator=Same())
    crowd(provider.get_tracer("test"))
    provider.shutdown()
    recorded = replayed(ended(crowd, id_generator=Same()), tmp_path / "trace.pb")

    def about(findings: Iterable[Finding]) -> set[tuple[object, ...]]:  # without what two runs of a program take different times for
        return {(f.finding_id, f.code, f.severity, f.score, f.agent, f.summary) for f in findings if not f.withdrawn}

    assert about(sink.last.values()) == about(recorded)


def test_own_attributes_are_all_that_is_looked_at() -> None:
    spans = ended(run)
    plain, enriched = Clock(), Clock()
    plain.take(*spans)
    enriched.take(*[with_ours(span) for span in spans])
    plain.end()
    enriched.end()

    assert claims(plain.held.values()) == claims(enriched.held.values())


def with_ours(span: ReadableSpan) -> ReadableSpan:
    """The span as another process of ours has enriched it."""
    return ReadableSpan(
        span.name, span.context, span.parent, span.resource, {**own(span.attributes), "triage.codes": ["x"], "triage.agent.steps": 9},
        span.events, span.links, span.kind, None, span.status, span.start_time, span.end_time, span.instrumentation_scope,
    )  # fmt: skip
