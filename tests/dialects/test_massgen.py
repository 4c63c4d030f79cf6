"""MassGen: runs as it recorded them (ids and times as they were, texts cut), against its own account of the same runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from spantriage import dialects
from spantriage.cause import severity_of
from spantriage.detectors import all_detectors
from spantriage.engine import Engine, Judgement, select
from spantriage.run import Run
from spantriage.sources.otlp_json import spans_of
from spantriage.sources.spans import NO_STATUS, Ids, RecordedSpan, Resource, Scope

DATA = Path(__file__).parents[1] / "data" / "massgen"
STATUS = json.loads((DATA / "status.json").read_text())
AGENTS = [(run, name) for run, told in STATUS.items() for name in told["agents"]]
CALLS = {
    "ok": {"agent_a": 3, "agent_b": 2}, "badvote": {"agent_a": 4, "agent_b": 4}, "drop": {"agent_a": 4, "agent_b": 3},
    "unknowntool": {"agent_a": 5, "agent_b": 3}, "two_agents": {"agent_a": 7, "agent_b": 5},
}  # fmt: skip
SECOND = 1_000_000_000


def spans(run: str) -> list[RecordedSpan]:
    found = [s for line in (DATA / f"{run}.jsonl").read_text().splitlines() for s in spans_of(json.loads(line))]
    assert all(isinstance(s, RecordedSpan) for s in found)
    return [s for s in found if isinstance(s, RecordedSpan)]


def runs_of(given: Iterable[RecordedSpan]) -> dict[int, Run]:
    runs: dict[int, Run] = {}
    for one in given:
        run = runs.setdefault(one.context.trace_id, Run(one.context.trace_id))
        step = dialects.read(one, one.attributes, one.instrumentation_scope.name, one.failed)
        if step is None:
            run.pass_through(one.context.span_id, one.parent.span_id if one.parent is not None else None)
        else:
            dialects.read_content(step, one, one.attributes, run.history)
            run.add(step, cap=10_000)
    return {trace_id: run for trace_id, run in runs.items() if run.steps}


def judge(given: Iterable[RecordedSpan], *codes: str) -> Judgement:
    (run,) = runs_of(given).values()
    engine = Engine(select([d for d in all_detectors() if not codes or d.code in codes]))
    judgement = engine.judge(run)
    assert not engine.errors
    return judgement


def told_by(judgement: Judgement) -> tuple[list[object], dict[str, object]]:
    verdicts: list[object] = [(v.code, v.step.span_id, v.summary) for v in judgement.verdicts]
    return verdicts, {name: record.as_dict() for name, record in judgement.state.records.items()}


def made(name: str, start_s: float, end_s: float, /, scope: str = "logfire", **attributes: object) -> RecordedSpan:
    """A span as MassGen 0.1.97 writes it; `_` stands for the dots in its attributes' names."""
    keys = {key.replace("__", "."): value for key, value in attributes.items()}
    ids = Ids(1, crc32(f"{name} {start_s} {end_s}".encode()) + 1_000)
    parent = None if name == "coordination.session" else Ids(1, 7)
    return RecordedSpan(
        name, ids, parent, int(start_s * SECOND), int(end_s * SECOND), keys, (), (), Scope(scope), Resource({}), NO_STATUS, False
    )  # fmt: skip


def round_(start_s: float, end_s: float, **attributes: object) -> RecordedSpan:
    return made("agent.ann.round_0", start_s, end_s, massgen__agent_id="ann", massgen__round=0, **attributes)


@pytest.mark.parametrize(("run", "name"), AGENTS)
def test_an_agents_calls_and_usage_are_what_massgen_counted(run: str, name: str) -> None:
    record = judge(spans(run)).state.records[name]

    told = STATUS[run]["agents"][name]["token_usage"]
    assert record.model_calls == CALLS[run][name]
    assert (record.input_tokens, record.output_tokens) == (told["input_tokens"], told["output_tokens"])
    assert (record.cached_tokens, record.reasoning_tokens) == (told["cached_input_tokens"], told["reasoning_tokens"])


@pytest.mark.parametrize(("run", "name"), AGENTS)
def test_without_usage_of_single_calls_the_last_running_total_counts(run: str, name: str) -> None:
    silent = [s for s in spans(run) if not s.name.startswith("streaming response")]
    record = judge(silent).state.records[name]

    told = STATUS[run]["agents"][name]["token_usage"]
    assert (record.input_tokens, record.output_tokens) == (told["input_tokens"], told["output_tokens"])
    assert (record.cached_tokens, record.reasoning_tokens) == (told["cached_input_tokens"], told["reasoning_tokens"])


@pytest.mark.parametrize(("run", "name"), AGENTS)
def test_enforcement_is_inferred_as_massgen_recorded_it(run: str, name: str) -> None:
    told = STATUS[run]["agents"][name]["reliability"]
    record = judge(spans(run), "flow.workflow_violation").state.records[name]

    keys = ("round", "attempt", "max_attempts", "reason", "tool_calls", "buffer_preview", "buffer_chars")
    expected = [[one[key] for key in keys] for one in told["enforcement_attempts"]]
    if (run, name) == ("two_agents", "agent_b"):  # after a failed call MassGen counts "no_tool_calls" for the same attempt
        assert expected.pop()[3] == "no_tool_calls"
    assert [[one[key] for key in keys] for one in record.enforcement_attempts] == expected
    assert record.workflow_errors == told["workflow_errors"]
    assert record.total_buffer_chars_lost == told["total_buffer_chars_lost"]


@pytest.mark.parametrize(("run", "name"), AGENTS)
def test_an_agent_that_massgen_gave_up_has_failed(run: str, name: str) -> None:
    record = judge(spans(run)).state.records[name]

    assert record.outcome == ("failed" if STATUS[run]["agents"][name]["status"] == "error" else "ok")


def test_the_last_attempt_of_an_agent_is_the_error_and_those_before_are_warnings() -> None:
    verdicts = judge(spans("badvote"), "flow.workflow_violation").verdicts

    assert [(severity_of(v), v.reason, v.agent or v.step.agent) for v in verdicts] == [
        ("warning", "invalid_vote_id", "agent_b"),
        ("warning", "invalid_vote_id", "agent_b"),
        ("error", "invalid_vote_id", "agent_b"),
    ]


def test_a_healthy_run_with_restarts_is_quiet() -> None:
    judgement = judge(spans("ok"))

    assert [(v.code, v.summary) for v in judgement.verdicts if severity_of(v) != "info"] == []
    assert judgement.outcome == "ok"


@pytest.mark.parametrize("run", STATUS)
def test_the_root_that_was_never_used_is_no_run(run: str) -> None:
    phantom = [s for s in spans(run) if s.name == "coordination.session" and not s.attributes["massgen.task"]]

    assert [s.failed for s in phantom] == [True]
    assert runs_of(phantom) == {}
    assert len(runs_of(spans(run))) == 1


@pytest.mark.parametrize("run", STATUS)
def test_each_streamed_reply_is_one_model_call_of_the_right_round(run: str) -> None:
    settled = judge(spans(run)).settled

    for step in (s for s in settled.sequence if s.kind == "model"):
        at = settled.steps[step.agent_span_id or 0]
        assert (at.kind, at.agent) == ("agent", step.agent)
        assert at.start_ns <= step.start_ns <= at.end_ns
        if not step.failed:
            assert step.content is not None
            assert step.content.replied
            assert (step.finish, step.input_tokens is not None) in (("tool_calls", True), ("stop", True))
            assert bool(step.content.requested) == (step.finish == "tool_calls")
    assert not any(s.streamed and s.kind == "event" for s in settled.sequence)


@pytest.mark.parametrize("run", STATUS)
def test_the_order_of_arrival_changes_nothing(run: str) -> None:
    given = spans(run)
    first = told_by(judge(given))
    for seed in range(5):
        Random(seed).shuffle(given)
        assert told_by(judge(given)) == first


def test_notices_of_enforcement_are_no_tool_calls() -> None:
    records = judge(spans("unknowntool")).state.records

    assert [(r.tool_calls, r.silent_failures) for r in records.values()] == [(0, 0)] * 3


def test_a_wrapper_the_call_and_its_rows_are_one_tool_call() -> None:
    own = {"massgen__agent_id": "ann", "tool__name": "mcp__files__read", "tool__type": "mcp"}
    row = {"agent_id": "ann", "tool_name": "mcp__files__read", "tool_type": "mcp", "success": True, "logfire__span_type": "log"}
    settled = judge([
        made("coordination.session", 0, 20, massgen__task="t", massgen__num_agents=1),
        round_(1, 19),
        made("mcp_tool.mcp__files__read", 2, 4, **own),
        made("mcp.files.read", 2.5, 3.5, **own, tool__input_preview='{"p":1}', tool__output_preview="a", tool__success=True),
        made("Tool execution: mcp__files__read", 4, 4, **row, execution_time_ms=1500.0, arguments_preview='{"p":1}', output_preview="a"),
        made("Tool execution: mcp__files__read", 9, 9, **row, execution_time_ms=500.0, arguments_preview='{"p":2}', output_preview="b"),
    ]).settled  # fmt: skip

    found = [(s.tool, s.arguments, s.result, s.agent) for s in settled.sequence if s.kind == "tool"]
    assert found == [("mcp__files__read", '{"p":1}', "a", "ann"), ("mcp__files__read", '{"p":2}', "b", "ann")]


@pytest.mark.parametrize(("code", "told"), [
    ("tool.silent_failure", {"output_preview": "Error calling tool 'read': no such file", "success": True}),
    ("tool.error", {"error_message": "disk on fire", "success": False}),
])  # fmt: skip
def test_a_tool_failure_is_found_by_what_was_said_or_by_its_flag(code: str, told: dict[str, object]) -> None:
    row = made("Tool execution: mcp__files__read", 4, 4, agent_id="ann", tool_name="mcp__files__read", execution_time_ms=1.0, **told)
    judgement = judge([made("coordination.session", 0, 9, massgen__task="t", massgen__num_agents=1), round_(1, 8), row])

    assert (code, "ann") in [(v.code, v.step.agent) for v in judgement.verdicts]


def test_arguments_that_were_cut_equal_no_others() -> None:
    row = {"agent_id": "ann", "tool_name": "write", "success": True, "arguments_preview": '{"text": "aaa', "input_chars": 900}
    (run,) = runs_of([round_(1, 20), *(made("Tool execution: write", at, at, **row) for at in (3, 6, 9))]).values()

    assert {s.arguments_digest for s in run.steps.values() if s.kind == "tool"} == {None}
    assert not [v for v in Engine(select(all_detectors())).judge(run).verdicts if v.code.startswith("loop.")]


@pytest.mark.parametrize(("name", "attributes"), [
    ("agent.run", {"user": "u"}),
    ("llm.cache", {}),
    ("Agent smith", {"agent_id": "x"}),
    ("agent.ann.round_0", {"massgen.agent_id": "ann", "logfire.span_type": "pending_span"}),
])  # fmt: skip
def test_other_programs_spans_and_pending_ones_are_left_alone(name: str, attributes: dict[str, object]) -> None:
    assert dialects.find("logfire", attributes, name) is None


def test_an_agent_called_null_is_nobody() -> None:
    (run,) = runs_of([made("Coordination event: started", 1, 1, event_type="started", agent_id="null")]).values()

    assert [s.agent for s in run.steps.values()] == [None]


def test_a_round_that_ended_in_an_error_has_failed() -> None:
    judgement = judge([round_(1, 5, massgen__outcome="error", massgen__error_message="Connection reset by peer")])

    assert judgement.state.records["ann"].outcome == "error"
