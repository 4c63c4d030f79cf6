"""Which requests no tool can answer, and which are answered elsewhere."""

from __future__ import annotations

import pytest

from spantriage.detectors.example import asks, build, calls, fails, span
from spantriage.model import Step, ToolCall
from spantriage.record import Record
from spantriage.requested import Request, Requests, asked_by, is_undeclared, runs_elsewhere, unknown_tool
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


def _agent(*declared: str) -> AgentState:
    return AgentState("agent", RunState(1), Record(), declared=dict.fromkeys(declared))


@pytest.mark.parametrize(
    "name",
    ["web_search", "web_search_preview_20250311", "code_interpreter", "computer_use_preview", "transfer_to_billing", "handoff_to_billing",
     "transfer_back_to_boss", "delegate_task_to_coworker", "final_result", "final_result_Weather"],
)  # fmt: skip
def test_tools_of_the_provider_handovers_and_answers_run_elsewhere(name: str) -> None:
    assert runs_elsewhere(name)
    assert not is_undeclared(name, _agent("get_weather"))


@pytest.mark.parametrize("name", ["web_scraper", "execute_command", "search", "computer_shop", "transfer_money", "finalize_order"])
def test_names_that_only_sound_alike_do_not(name: str) -> None:
    assert not runs_elsewhere(name)
    assert is_undeclared(name, _agent("get_weather"))


def test_without_declared_tools_nothing_is_undeclared() -> None:
    assert not is_undeclared("launch_rocket", _agent())


def test_a_namespace_does_not_make_a_tool_unknown() -> None:
    assert not is_undeclared("mcp__files__read", _agent("read"))
    assert not is_undeclared("functions.read", _agent("files.read"))


def test_another_agent_may_be_called_like_a_tool() -> None:
    agent = _agent("get_weather")
    agent.run.agents["researcher", 7] = agent
    assert not is_undeclared("researcher", agent)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("Unknown tool launch_rocket, should be one of: get_weather, final_answer.", "launch_rocket"),
        ("Unknown tool name: 'launch_rocket'. Available tools: 'get_weather'", "launch_rocket"),
        ("Error: launch_rocket is not a valid tool, try one of [get_weather].", "launch_rocket"),
        ("Tool launch_rocket not found. Please select a tool", "launch_rocket"),
        ("Tool not found", ""),
    ],
)
def test_an_error_names_the_unknown_tool_where_it_can(message: str, named: str) -> None:
    assert unknown_tool(fails(span("workflow", "Step 1"), "ToolError", message), _agent()) == named


def test_an_error_about_something_else_is_no_unknown_tool() -> None:
    bash = fails(calls("bash"), "ToolError", "Function deploy not found")
    assert bash.sign == "unknown_tool"
    assert unknown_tool(bash, _agent()) is None
    assert unknown_tool(fails(calls("bash"), "ToolError", "Tool not found"), _agent("bash")) is None


def _requests(*steps: Step) -> tuple[Requests, list[Step]]:
    settled = Settled.of(build(steps))
    return Requests.of(settled), settled.sequence


def test_a_request_is_matched_by_id_before_name() -> None:
    asked = asks(ToolCall("search", "c1", "{}", True), ToolCall("search", "c2", "{}", True))
    requests, (_, model, first, second) = _requests(asked, calls("search", call_id="c2"), calls("search", call_id="c1"))
    assert [step is second for step in requests.answers(Request(asked.content.requested[0], model))] == [True]  # type: ignore[union-attr]  # asks() fills it
    behind = requests.behind(first)
    assert behind is not None
    assert behind.call.call_id == "c2"


def test_a_request_without_an_id_is_matched_by_name_and_time() -> None:
    requests, (_, early, model, late) = _requests(calls("search"), asks(ToolCall("search", None, "{}", True)), calls("search"))
    assert list(requests.answers(Request(ToolCall("search"), model))) == [late]
    assert requests.behind(early) is None


def test_a_live_failure_finds_the_model_call_that_asked() -> None:
    agent = _agent()
    model, tool = asks("search"), fails(calls("search"), "ValueError", "down")
    tool.start_ns = 5
    agent.add(model)
    found = asked_by(tool, agent)
    assert found is not None
    assert found.step is model
