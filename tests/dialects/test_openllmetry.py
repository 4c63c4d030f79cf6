"""OpenLLMetry: runs as they were recorded (texts cut), against `facts.txt` beside them, and the names of its older versions."""

from __future__ import annotations

import json

import pytest
from recorded_facts import expected, facts, judge, read, scenarios, steps

from spantriage.model import ToolCall

FOLDER = "openllmetry"
EXPECTED = expected(FOLDER)
OPENAI = "opentelemetry.instrumentation.openai.v1"
LANGCHAIN = "opentelemetry.instrumentation.langchain"
OLD = {
    "llm.request.type": "chat",
    "gen_ai.system": "OpenAI",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Weather in Paris?",
    "gen_ai.prompt.1.role": "assistant",
    "gen_ai.prompt.1.tool_calls.0.id": "c1",
    "gen_ai.prompt.1.tool_calls.0.name": "get_weather",
    "gen_ai.prompt.1.tool_calls.0.arguments": '{"city": "Paris"}',
    "gen_ai.prompt.2.role": "tool",
    "gen_ai.prompt.2.content": "Error: 503",
    "gen_ai.prompt.2.tool_call_id": "c1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.finish_reason": "tool_calls",
    "gen_ai.completion.0.tool_calls.0.id": "c2",
    "gen_ai.completion.0.tool_calls.0.name": "get_weather",
    "gen_ai.completion.0.tool_calls.0.arguments": '{"city": ',
    "llm.request.functions.0.name": "get_weather",
    "llm.request.functions.0.parameters": '{"type": "object", "properties": {"city": {"type": "string"}}}',
    "gen_ai.usage.prompt_tokens": 120,
    "gen_ai.usage.completion_tokens": 30,
    "gen_ai.usage.cache_read_input_tokens": 64,
    "gen_ai.usage.reasoning_tokens": 16,
}


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["langchain.agent_as_tool", "langchain.ok", "openai.responses", "openai.stream_tool"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


def test_the_two_spans_of_one_invocation_are_one_agent() -> None:
    (judged,) = judge(FOLDER, "langchain.ok")
    assert [(s.name, s.agent) for s in judged.judgement.settled.sequence if s.kind == "agent"] == [
        ("invoke_agent weather_agent", "weather_agent")
    ]


def test_an_agent_called_by_a_tool_has_its_own_calls() -> None:
    (judged,) = judge(FOLDER, "langchain.agent_as_tool")
    records = judged.judgement.state.records
    assert {name: (record.model_calls, record.tool_calls) for name, record in records.items()} == {"boss": (2, 1), "researcher": (2, 1)}


def test_making_an_agent_is_no_run() -> None:
    (made,) = [step for step in steps(FOLDER, "langchain.ok") if step.name.startswith("create_agent")]
    assert made.kind == "setup"


def test_langchains_wrappers_around_arguments_and_results_are_taken_off() -> None:
    (tool,) = [step for step in steps(FOLDER, "langchain.ok") if step.kind == "tool"]
    assert (tool.tool, tool.call_id, tool.arguments, tool.result) == ("get_weather", "call_1_0", '{"city":"Paris"}', "sunny")


@pytest.mark.parametrize(("given", "taken"), [('{"inputs": 3}', '{"inputs": 3}'), ('{"input_str": "x", "tags": [], "inputs": null}', "x")])
def test_arguments_that_only_look_like_a_wrapper_stay_as_they_are(given: str, taken: str) -> None:
    tool = read(
        LANGCHAIN,
        "execute_tool search",
        {"traceloop.span.kind": "tool", "traceloop.entity.name": "search", "traceloop.entity.input": given},
    )
    assert (tool.tool, tool.arguments) == ("search", taken)


@pytest.mark.parametrize("scope", [OPENAI, "my.own.scope"])
def test_numbered_attributes_of_older_versions_are_put_together(scope: str) -> None:
    step = read(scope, "openai.chat", OLD)
    content = step.content

    assert (step.dialect, step.kind, step.model, step.provider) == ("openllmetry", "model", "gpt-4o", "openai")
    assert (step.input_tokens, step.output_tokens, step.cached_tokens, step.reasoning_tokens) == (120, 30, 64, 16)
    assert (step.finish, step.sign) == ("tool_calls", "tool_calls")
    assert content is not None
    assert content.requested == [ToolCall("get_weather", "c2", '{"city": ', False)]
    assert [(r.text, r.call) for r in content.results] == [("Error: 503", ToolCall("get_weather", "c1", '{"city": "Paris"}', True))]
    assert list(content.declared or ()) == ["get_weather"]
    assert content.task == "Weather in Paris?"


def test_the_oldest_names_are_read_too() -> None:
    given = {"llm.request.type": "chat", "llm.request.model": "gpt-4", "llm.prompts.0.role": "user", "llm.prompts.0.content": "hi"}
    step = read(OPENAI, "openai.chat", {**given, "llm.completions.0.role": "assistant", "llm.completions.0.content": "hello"})
    assert (step.model, step.content.text if step.content else None) == ("gpt-4", "hello")


def test_message_parts_written_as_json_are_read_and_text_that_looks_like_json_stays_text() -> None:
    parts = json.dumps([{"type": "text", "text": "sunny"}])
    answers = [
        read(OPENAI, "openai.chat", {"llm.request.type": "chat", "gen_ai.completion.0.content": said}) for said in (parts, '{"a": 1}')
    ]
    assert [step.content.text for step in answers if step.content] == ["sunny", '{"a": 1}']


def test_a_decorated_function_is_what_its_decorator_says() -> None:
    kinds = [
        read("traceloop.tracer", "x", {"traceloop.span.kind": kind, "traceloop.entity.name": "x"}).kind
        for kind in ("workflow", "task", "agent", "tool")
    ]
    assert kinds == ["workflow", "workflow", "agent", "tool"]
