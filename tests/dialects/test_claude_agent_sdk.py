"""The Claude Agent SDK through OpenInference: recorded over a scripted transport, against `facts.txt` beside the recordings."""

from __future__ import annotations

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

from spantriage.dialects import claude_agent_sdk
from spantriage.model import Step

FOLDER = "claude_agent_sdk"
EXPECTED = expected(FOLDER)


def made(name: str, kind: str, failed: str | None = None, **attributes: object) -> Step:
    keys = {key.replace("__", "."): value for key, value in attributes.items()}
    return read("openinference.instrumentation.claude_agent_sdk", name, {"openinference.span.kind": kind, **keys}, failed=failed)


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["ok", "subagent"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


def test_an_agent_without_calls_of_its_own_has_used_what_its_span_says() -> None:
    (judged,) = judge(FOLDER, "ok")
    record = judged.judgement.state.records["ClaudeAgentSDK"]
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (368, 60, 128)


def test_the_turns_of_a_conversation_add_up() -> None:
    turns = [made("ClaudeAgentSDK.query", "AGENT", llm__token_count__prompt=100, llm__cost__total=0.5) for _ in range(3)]
    claude_agent_sdk.settle(turns)
    assert [(turn.input_tokens, turn.cost_usd) for turn in turns] == [(100, 0.5), (200, 1.0), (300, 1.5)]


def test_the_providers_words_tell_what_a_result_error_was() -> None:
    step = made("ClaudeAgentSDK.query", "AGENT", "Result error: error_during_execution", output__value='["API Error: 529 overloaded"]')
    assert (step.sign, step.result) == ("provider_error", None)


def test_a_tools_parameters_are_its_arguments_and_its_result_is_no_json() -> None:
    step = made(
        "Read", "TOOL", tool__name="Read", tool__id="t1", tool__parameters='{"p": 1}', input__value='{"p": 1}', output__value='"text"'
    )
    assert (step.tool, step.call_id, step.arguments, step.result) == ("Read", "t1", '{"p": 1}', "text")
