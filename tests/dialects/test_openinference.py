"""OpenInference's instrumentations of Agno, CrewAI and smolagents: recorded runs (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

from spantriage.model import Step

FOLDER = "openinference"
EXPECTED = expected(FOLDER)


def made(name: str, kind: str, attributes: dict[str, object]) -> Step:
    return read("openinference.instrumentation.agno", name, {"openinference.span.kind": kind, **attributes})


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["agno.ok", "agno.stream", "agno.team", "crewai.ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


@pytest.mark.parametrize("scenario", ["agno.ok", "crewai.ok"])
def test_a_tool_is_called_with_what_its_model_asked_for(scenario: str) -> None:
    (judged,) = judge(FOLDER, scenario)
    (tool,) = [step for step in judged.judgement.settled.sequence if step.kind == "tool"]
    assert (tool.tool, tool.arguments, tool.result) == ("get_weather", '{"city": "Paris"}', "sunny")


def test_a_call_without_an_answer_is_named_by_the_model_that_was_asked_for() -> None:
    assert made("ChatCompletion", "LLM", {"llm.invocation_parameters": '{"model": "gpt-5", "stream": false}'}).model == "gpt-5"
    assert made("ChatCompletion", "LLM", {"llm.invocation_parameters": "not JSON"}).model is None


def test_smolagents_finish_reason_is_read_from_the_providers_answer_and_not_from_what_the_model_said() -> None:
    said = "finish_reason='stop', \"raw\": \"ChatCompletion(id='x', choices=[Choice(finish_reason='stop'"
    raw = f"ChatCompletion(id='c1', choices=[Choice(finish_reason='length', index=0, message={said!r})])"
    attributes = {
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": said,
        "output.value": json.dumps({"role": "assistant", "content": said, "tool_calls": None, "raw": raw}),
    }

    step = made("OpenAIModel.generate", "LLM", attributes)

    assert (step.finish, step.sign) == ("length", "length")


def test_numbered_texts_and_calls_among_the_contents_of_a_message_are_read_and_thoughts_are_not() -> None:
    message = "llm.output_messages.0.message"
    content = made(
        "query",
        "LLM",
        {
            f"{message}.role": "assistant",
            f"{message}.contents.0.message_content.type": "reasoning",
            f"{message}.contents.0.message_content.text": "hm",
            f"{message}.contents.1.message_content.type": "text",
            f"{message}.contents.1.message_content.text": "I look it up.",
            f"{message}.contents.2.tool_call.id": "c1",
            f"{message}.contents.2.tool_call.function.name": "search",
            f"{message}.contents.2.tool_call.function.arguments": '{"q": "x"}',
            "llm.output_messages.1.message.role": "assistant",
            "llm.output_messages.1.message.content.0": "Found",
            "llm.output_messages.1.message.content.1": "it.",
        },
    ).content
    assert content is not None
    assert content.text == "I look it up.\nFound\nit."
    assert [(call.name, call.call_id, call.arguments) for call in content.requested] == [("search", "c1", '{"q": "x"}')]
