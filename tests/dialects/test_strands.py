"""Strands Agents: runs as they were recorded with old and new conventions (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

from spantriage.model import Step

FOLDER = "strands"
EXPECTED = expected(FOLDER)
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "c1"}


def made(name: str, attributes: dict[str, object], *events: tuple[str, dict[str, object]], failed: str | None = None) -> Step:
    return read("strands.telemetry.tracer", name, attributes, events=events, failed=failed)


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["graph", "latest.ok", "ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


@pytest.mark.parametrize("scenario", ["latest.ok", "ok"])
def test_an_agents_totals_repeat_its_calls_and_are_not_added(scenario: str) -> None:
    (judged,) = judge(FOLDER, scenario)
    record = judged.judgement.state.records["weather_agent"]
    assert (record.model_calls, record.input_tokens, record.output_tokens, record.cached_tokens) == (2, 240, 60, 128)


def test_a_tools_own_status_counts_where_the_spans_says_nothing() -> None:
    answer = ("gen_ai.choice", {"message": '[{"text": "no such page"}]', "id": "c1"})
    step = made("execute_tool search", {**TOOL, "gen_ai.tool.status": "error"}, answer)
    assert (step.failed, step.sign, step.error_message, step.result) == (True, "error", "no such page", "no such page")


def test_arguments_and_results_are_told_apart_by_their_events() -> None:
    given, taken = ("gen_ai.tool.message", {"content": '{"q": "x"}', "id": "c1"}), ("gen_ai.choice", {"message": '[{"json": {"hits": 3}}]'})
    one, two = (made("execute_tool search", TOOL, given, taken) for _ in range(2))
    assert (one.arguments, one.result, one.sign) == ('{"q": "x"}', '{"hits":3}', "ok")
    assert one.arguments_digest is not None
    assert (one.arguments_digest, one.result_digest) == (two.arguments_digest, two.result_digest)


def test_blocks_of_every_kind_are_read() -> None:
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"text": "Let me see."},
        {"toolUse": {"toolUseId": "c1", "name": "search", "input": {"q": "x"}}},
    ]
    results = [{"toolResult": {"toolUseId": "c0", "status": "error", "content": [{"text": "down"}]}}]
    step = made(
        "chat",
        {"gen_ai.operation.name": "chat"},
        ("gen_ai.user.message", {"content": '[{"text": "find x"}]'}),
        ("gen_ai.tool.message", {"content": json.dumps(results)}),
        ("gen_ai.choice", {"message": json.dumps(blocks), "finish_reason": "tool_use"}),
    )
    assert step.content is not None
    assert (step.content.text, step.content.task, step.finish, step.sign) == ("Let me see.", "find x", "tool_calls", "tool_calls")
    assert [(c.name, c.call_id, c.arguments) for c in step.content.requested] == [("search", "c1", '{"q":"x"}')]
    assert [(r.call_id, r.text, r.failed) for r in step.content.results] == [("c0", "down", True)]


def test_messages_on_the_span_itself_are_read_when_events_are_switched_off() -> None:
    said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "sunny"}], "finish_reason": "end_turn"}])
    step = made("chat", {"gen_ai.operation.name": "chat", "gen_ai.output.messages": said})
    assert (step.content.text if step.content else None, step.finish) == ("sunny", "stop")


def test_without_events_nothing_is_claimed_to_be_known() -> None:
    step = made("chat", {"gen_ai.operation.name": "chat"})
    assert step.content is not None
    assert (step.content.captured, step.content.replied) == (False, False)


def test_a_graph_of_agents_is_no_agent_itself() -> None:
    assert made("invoke_graph", {"gen_ai.operation.name": "invoke_graph"}).kind == "workflow"
