"""LlamaIndex through OpenInference: runs as they were recorded (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

from spantriage.dialects import openinference_llama_index
from spantriage.model import Step

FOLDER = "openinference_llama_index"
EXPECTED = expected(FOLDER)


def made(name: str, kind: str, **attributes: object) -> Step:
    keys = {key.replace("__", "."): value for key, value in attributes.items()}
    return read("openinference.instrumentation.llama_index", name, {"openinference.span.kind": kind, **keys})


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["handoff", "ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


def test_preparing_a_call_is_no_call() -> None:
    (judged,) = judge(FOLDER, "ok")
    assert judged.judgement.state.records["weather_agent"].model_calls == 2


def test_calls_belong_to_the_agent_that_was_at_work() -> None:
    names = [("AgentWorkflow.run", "CHAIN"), ("AgentWorkflow.run_agent_step", "CHAIN"), ("x.astream_chat", "LLM")]
    names += [("AgentWorkflow.run_agent_step", "CHAIN"), ("x.astream_chat", "LLM")]
    works = [None, "boss", None, "writer", None]
    given = [
        made(name, kind, **({"input__value": f"AgentSetup(current_agent_name='{work}')"} if work else {}))
        for (name, kind), work in zip(names, works, strict=True)
    ]
    for number, (step, parent) in enumerate(zip(given, (None, 0, 1, 0, 3), strict=True)):
        step.span_id, step.parent_id = number, parent
    openinference_llama_index.settle(given)
    assert [step.agent for step in given] == ["boss", "boss", "boss", "writer", "writer"]


def test_a_workflow_that_is_no_agents_stays_one() -> None:
    assert [made(name, "CHAIN").kind for name in ("MyFlow.run", "ReActAgent.run")] == ["workflow", "agent"]


@pytest.mark.parametrize(("failed", "result", "sign"), [(False, "down", "ok"), (True, "Error: down", "silent_failure")])
def test_a_tools_record_is_read_to_its_result(failed: bool, result: str, sign: str) -> None:
    record = json.dumps({"blocks": [{"text": "down"}], "tool_name": "search", "raw_output": "down", "is_error": failed})
    step = made("FunctionTool.acall", "TOOL", tool__name="search", input__value='{"kwargs": {"q": "x"}}', output__value=record)
    assert (step.tool, step.arguments, step.result, step.sign) == ("search", '{"q":"x"}', result, sign)


def test_arguments_that_hold_more_than_keywords_stay_as_they_are() -> None:
    given = '{"kwargs": {"q": "x"}, "limit": 3}'
    assert made("FunctionTool.acall", "TOOL", tool__name="search", input__value=given).arguments == given
