"""The OpenAI Agents SDK under Logfire: runs as they were recorded (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios, steps

from spantriage.model import Content, Step

FOLDER = "openai_agents"
EXPECTED = expected(FOLDER)


def made(template: str, **attributes: object) -> Step:
    return read("logfire.openai_agents", template, {"logfire.msg_template": template, **attributes})


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["chat.as_tool", "chat.handoff", "chat.stream", "responses.ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


def test_an_error_without_an_exception_is_told_by_the_sdks_own_words() -> None:
    (turn,) = [step for step in steps(FOLDER, "chat.unknowntool") if step.failed]
    assert (turn.kind, turn.agent, turn.sign, turn.error_message) == (
        "workflow",
        "weather_agent",
        "unknown_tool",
        "Tool not found: launch_rocket",
    )


def test_an_error_counts_where_the_status_does_not_say_it() -> None:
    error = json.dumps({"message": "Error running tool", "data": {"tool_name": "search", "error": "down"}})
    step = made("Function: {name}", name="search", output="null", error=error)
    assert (step.failed, step.sign, step.error_message, step.result) == (True, "error", "Error running tool: down", None)


def test_a_copy_of_a_span_that_is_still_open_is_no_call() -> None:
    assert made("Function: {name}", name="search", **{"logfire.span_type": "pending_span"}).kind == "other"


def test_an_agent_that_can_hand_over_has_more_tools_than_are_listed() -> None:
    boss = made("Agent run: {name!r}", name="boss", tools='["search"]', handoffs='["writer"]')
    writer = made("Agent run: {name!r}", name="writer", tools='["search"]', handoffs="[]")
    assert (boss.content, writer.content) == (Content(), Content(declared={"search": None}))


def test_the_group_of_a_trace_is_its_conversation() -> None:
    assert made("OpenAI Agents trace: {name}", group_id="chat-7").conversation == "chat-7"
    assert made("OpenAI Agents trace: {name}", group_id="null").conversation is None


def test_an_answer_cut_off_at_its_limit_is_told_by_the_reason_that_the_provider_gives() -> None:
    response = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}
    step = made("Responses API with {gen_ai.request.model!r}", response=json.dumps(response))
    assert (step.finish, step.sign) == ("length", "length")


def test_items_of_the_responses_api_are_read_like_messages() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "search", "arguments": '{"q": "x"}'}
    given = [{"role": "user", "content": "find x"}, call, {"type": "function_call_output", "call_id": "c1", "output": "3 hits"}]
    output = [{"type": "reasoning", "summary": []}, {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": "ls"}]
    response = json.dumps({"status": "completed", "output": output})
    content = made("Responses API", raw_input=json.dumps(given), response=response).content
    assert content is not None
    assert [(r.call_id, r.text, r.call.name if r.call else None) for r in content.results] == [("c1", "3 hits", "search")]
    assert [(c.name, c.call_id, c.arguments) for c in content.requested] == [("sh", "c2", '{"input":"ls"}')]


def test_a_refusal_in_a_part_of_a_message_is_one() -> None:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}]
    content = made("Responses API", response=json.dumps({"status": "completed", "output": output})).content
    assert content is not None
    assert content.refusal == "I cannot."
