"""MCP: spans of fastmcp 4.1.2 and the `mcp` SDK 2.3.0 under an agent's that were built by the GenAI conventions."""

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, told

from spantriage.sources.spans import RecordedSpan

AGENT = "weather_agent"
SAID = {
    "ok": ([], "ok"),
    "two_calls": ([], "ok"),
    "no_outer_span": ([], "ok"),
    "server_only": ([], "ok"),
    "tool_error": ([("warning", "tool.error", AGENT)], "ok"),
    "unknown_tool": ([("warning", "tool.unknown", AGENT)], "ok"),
}
CALL = {"mcp.method.name": "tools/call"}


def execute(number: int, start_s: float, end_s: float, tool: str, **more: object) -> RecordedSpan:
    """An agent's own span around a call."""
    told_by = {"call_id": "gen_ai.tool.call.id", "result": "gen_ai.tool.call.result"}
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, **{told_by[k]: v for k, v in more.items()}}
    return made(number, 1, f"execute_tool {tool}", start_s, end_s, attributes)


def agent() -> RecordedSpan:
    return made(1, None, "invoke_agent ann", 0, 100, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "ann"})


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"mcp/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"mcp/{run}"), 3))) == SAID[run][0]


@pytest.mark.parametrize(
    ("run", "number"), [("ok", 1), ("two_calls", 2), ("no_outer_span", 1), ("server_only", 1), ("tool_error", 1), ("unknown_tool", 1)]
)
def test_a_call_is_counted_once_however_many_spans_it_has(run: str, number: int) -> None:
    judgement = judge(f"mcp/{run}")

    assert sum(record.tool_calls for record in judgement.state.records.values()) == number
    assert len(steps(judgement, "tool")) == number


@pytest.mark.parametrize("run", ["ok", "no_outer_span"])
def test_the_innermost_span_knows_what_those_around_it_know(run: str) -> None:
    (tool,) = steps(judge(f"mcp/{run}"), "tool")

    assert (tool.tool, tool.call_id, tool.arguments, tool.result, tool.agent) == (
        "weather_get_weather", "c0", tool.arguments, "sunny", AGENT,
    )  # fmt: skip
    assert (tool.arguments or "").replace(" ", "") == '{"city":"Paris"}'


def test_a_failure_in_a_result_is_the_calls_failure_and_points_at_the_server() -> None:
    judgement = judge("mcp/tool_error")

    (tool,) = steps(judgement, "tool")
    (verdict,) = (v for v in judgement.verdicts if v.code == "tool.error")
    assert (tool.failed, tool.error_type, tool.error_message) == (True, "ToolError", "Error calling tool 'get_weather': no such city")
    assert verdict.step.span_id == tool.span_id


def test_an_error_type_is_a_failure_whatever_the_status_says() -> None:
    attributes = {**CALL, "gen_ai.tool.name": "get_weather", "error.type": "tool_error"}
    (run,) = runs_of([made(1, None, "tools/call get_weather", 0, 1, attributes)]).values()

    assert [(step.failed, step.error_type, step.sign) for step in run.steps.values()] == [(True, "tool_error", "error")]


def test_the_text_of_a_silent_result_says_why_the_call_inside_failed() -> None:
    outer = execute(2, 1, 5, "get_weather", call_id="c1", result="Permission denied for city Paris")
    inner = made(3, 2, "tools/call get_weather", 2, 4, {**CALL, "error.type": "tool_error"})
    (judgement,) = judged([agent(), outer, inner])
    (tool,) = steps(judgement, "tool")

    assert (tool.span_id, tool.failed, tool.sign, tool.call_id) == (3, True, "permission_denied", "c1")


def test_a_failure_of_the_agents_own_span_stays_its_own() -> None:
    outer = execute(2, 1, 5, "get_weather")
    outer.failed = True
    inner = made(3, 2, "tools/call get_weather", 2, 4, {**CALL, "gen_ai.tool.call.result": "sunny"})
    (judgement,) = judged([agent(), outer, inner])

    assert [(s.span_id, s.failed) for s in steps(judgement, "tool")] == [(2, True)]


def test_a_tool_that_uses_other_tools_through_mcp_is_a_call_of_its_own() -> None:
    inner = [made(n, 2, "tools/call get_weather", n, n + 1, {**CALL, "gen_ai.tool.name": "get_weather"}) for n in (3, 5)]
    (judgement,) = judged([agent(), execute(2, 1, 9, "plan_trip"), *inner])

    assert [s.tool for s in steps(judgement, "tool")] == ["plan_trip", "get_weather", "get_weather"]


def test_calls_of_an_agent_inside_a_tool_are_not_the_tools_own() -> None:
    other = made(3, 2, "invoke_agent bob", 2, 8, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bob"})
    inner = made(4, 3, "tools/call ask", 3, 4, {**CALL, "gen_ai.tool.name": "ask"})
    (judgement,) = judged([agent(), execute(2, 1, 9, "ask"), other, inner])

    assert [(s.tool, s.agent) for s in steps(judgement, "tool")] == [("ask", "ann"), ("ask", "bob")]


def test_a_call_tried_again_inside_one_span_is_two_calls_and_the_last_has_the_id() -> None:
    inner = [made(n, 2, "tools/call ask", n, n + 1, dict(CALL)) for n in (3, 5)]
    (judgement,) = judged([agent(), execute(2, 1, 9, "srv.ask", call_id="c1", result="fine"), *inner])

    assert [(s.tool, s.call_id, s.result) for s in steps(judgement, "tool")] == [("ask", None, None), ("srv.ask", "c1", "fine")]


def test_one_span_with_the_attributes_of_both_is_one_call() -> None:
    attributes = {**CALL, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask", "gen_ai.tool.call.id": "c1"}
    (run,) = runs_of([made(2, None, "execute_tool ask", 0, 1, attributes)]).values()

    assert [(step.kind, step.tool, step.call_id) for step in run.steps.values()] == [("tool", "ask", "c1")]


@pytest.mark.parametrize(
    ("method", "kind"),
    [("tools/list", "setup"), ("initialize", "setup"), ("resources/read", "retrieval"), ("new/thing", "setup"), (7, "setup")],
)
def test_a_method_says_what_a_span_is(method: object, kind: str) -> None:
    (run,) = runs_of([made(1, None, str(method), 0, 1, {"mcp.method.name": method})]).values()

    assert [step.kind for step in run.steps.values()] == [kind]


def test_a_connection_without_any_call_is_no_run() -> None:
    (judgement,) = judged([made(1, None, "initialize", 0, 1, {"mcp.method.name": "initialize"})])

    assert (told(judgement), judgement.outcome) == ([], "ok")
