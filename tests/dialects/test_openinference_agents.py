"""The OpenAI Agents SDK through OpenInference: runs as they were recorded (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios, steps

from spantriage.model import Step

FOLDER = "openinference_agents"
EXPECTED = expected(FOLDER)


def made(name: str, kind: str, **attributes: object) -> Step:
    keys = {key.replace("__", "."): value for key, value in attributes.items()}
    return read("openinference.instrumentation.openai_agents", name, {"openinference.span.kind": kind, **keys})


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["chat.handoff", "chat.ok", "chat.stream", "responses.ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


def test_the_span_around_the_agents_is_none_of_them_whatever_it_is_called() -> None:
    assert [made(name, "AGENT").kind for name in ("Agent workflow", "nightly report")] == ["workflow", "workflow"]
    assert made("boss", "AGENT", agent__name="boss").agent == "boss"


def test_a_handoff_is_no_tool_call() -> None:
    assert {step.kind for step in steps(FOLDER, "chat.handoff") if step.name.startswith("handoff")} == {"workflow"}


def test_a_response_with_calls_ended_to_make_them() -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "search", "arguments": "{}"}
    output = json.dumps({"object": "response", "status": "completed", "output": [call], "tools": [{"type": "function", "name": "search"}]})
    step = made("response", "LLM", output__value=output)
    assert (step.finish, step.sign) == ("tool_calls", "tool_calls")
    assert step.content is not None
    assert list(step.content.declared or ()) == ["search"]


def test_a_stream_that_began_and_never_ended_keeps_its_name() -> None:
    assert made("generation", "LLM", output__value="not JSON").sign == "ok"
