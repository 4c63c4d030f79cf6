"""Libraries that keep to the GenAI conventions: AutoGen, openai-v2, and two instrumentations of one call."""

from __future__ import annotations

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

from spantriage.dialects import find

FOLDER = "genai"
EXPECTED = expected(FOLDER)
RUNTIME = "autogen SingleThreadedAgentRuntime"


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["autogen.ok", "openai_v2.ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings if f.severity != "info"] == []


def test_the_messages_between_autogens_agents_are_no_steps_but_tie_a_teams_traces_together() -> None:
    assert find(RUNTIME, {"messaging.operation": "publish", "messaging.destination": "topic"}, "autogen publish topic") is None
    (judged,) = judge(FOLDER, "autogen.team_http500")
    assert len({step.trace_id for step in judged.judgement.settled.sequence}) > 1


def test_a_call_that_two_instrumentations_recorded_is_counted_once() -> None:
    (judged,) = judge(FOLDER, "stacked.http500")
    assert judged.judgement.state.records["weather_agent"].model_calls == 1


def test_an_error_type_written_as_a_class_is_its_name() -> None:
    attributes = {"gen_ai.operation.name": "chat", "error.type": "<class 'openai.RateLimitError'>"}
    step = read("opentelemetry.util.genai.handler", "chat gpt-5", attributes, failed="Error code: 429")
    assert (step.error_type, step.sign) == ("RateLimitError", "rate_limited")
