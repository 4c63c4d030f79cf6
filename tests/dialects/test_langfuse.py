"""Langfuse's SDK (langfuse 5.0.4 around the OpenAI client): runs as they were recorded."""

import json

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, tokens, told

from spantriage import dialects

AGENT = "weather_agent"
SAID = {
    "ok": ([], "ok"),
    "parallel": ([], "ok"),
    "badjson": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "unknowntool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "loop": ([("warning", "loop.repeated_call", AGENT)], "ok"),
    "toolerr_raise": ([("error", "tool.error", AGENT)], "error"),
    "empty": ([("error", "flow.no_final_answer", AGENT), ("warning", "model.empty_output", AGENT)], "failed"),
    "cancelled": ([("warning", "flow.cancelled", "slow_agent")], "cancelled"),
}


def call(**observation: object) -> dict[str, object]:
    """The attributes of an observation; `usage` stands for `langfuse.observation.usage_details`."""
    keys = {"usage": "usage_details", "cost": "cost_details", "parameters": "model.parameters"}
    said = {f"langfuse.observation.{keys.get(key, key)}": value for key, value in observation.items()}
    return {key: value if type(value) is str else json.dumps(value) for key, value in said.items()}


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"langfuse/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"langfuse/{run}"), 3))) == SAID[run][0]


def test_what_an_agent_did_is_read_from_its_spans() -> None:
    judgement = judge("langfuse/ok")

    (agent,) = steps(judgement, "agent")
    (tool,) = steps(judgement, "tool")
    asking, answering = steps(judgement, "model")
    assert (agent.agent, agent.result, agent.conversation) == (AGENT, "The weather in Paris is sunny.", "conv-42")
    assert (tool.tool, tool.arguments, tool.result, tool.agent) == ("get_weather", '{"city":"Paris"}', "sunny", AGENT)
    for step in (asking, answering):
        assert (step.model, tokens(step), step.finish) == ("mock-ok-2026-01-01", (120, 30, 64, 16), None)
    assert asking.content is not None
    assert answering.content is not None
    (asked,) = asking.content.requested
    assert (asked.name, asked.call_id, asked.arguments, asked.valid) == ("get_weather", "call_1_0", '{"city": "Paris"}', True)
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert [(r.call_id, r.text) for r in answering.content.results] == [("call_1_0", "sunny")]
    assert answering.content.text == "The weather in Paris is sunny."


def test_a_failure_without_an_exception_event_has_its_status_text() -> None:
    (tool,) = steps(judge("langfuse/toolerr_raise"), "tool")

    assert (tool.failed, tool.error_type, tool.error_message) == (True, None, "weather service down")


def test_a_level_says_that_something_failed_where_the_status_does_not() -> None:
    (run,) = runs_of([made(1, None, "gpt", 0, 1, call(type="generation", level="ERROR", status_message="Error code: 429"))]).values()
    (step,) = run.steps.values()

    assert (step.failed, step.sign) == (True, "rate_limited")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input": 120, "output": 30, "total": 150}, (120, 30, None, None)),
        ({"input": 56, "input_cache_read": 64, "output": 14, "output_reasoning": 16, "total": 150}, (120, 30, 64, 16)),
        ({"input": 120, "input_cached_tokens": 64, "output": 30, "output_reasoning_tokens": 16, "total": 150}, (120, 30, 64, 16)),
        ({"input_tokens": 56, "output_tokens": 30, "cache_read_input_tokens": 64}, (120, 30, 64, None)),
        ({"input_tokens": 120, "output_tokens": 30, "input_tokens_details": {"cached_tokens": 64},
          "output_tokens_details": {"reasoning_tokens": 16}}, (120, 30, 64, 16)),
        ({}, (None, None, None, None)),
        ("no JSON", (None, None, None, None)),
    ],
)  # fmt: skip
def test_input_includes_cached_and_output_includes_reasoning_however_they_are_counted(usage: object, expected: object) -> None:
    (run,) = runs_of([made(1, None, "gpt", 0, 1, call(type="generation", usage=usage))]).values()

    assert [tokens(step) for step in run.steps.values()] == [expected]


def test_cost_is_the_total_or_the_sum_of_what_is_given() -> None:
    given = [
        made(1, None, "a", 0, 1, call(type="generation", usage={"input": 1}, cost={"input": 0.1, "output": 0.2, "total": 0.4})),
        made(2, None, "b", 0, 1, call(type="generation", usage={"input": 1}, cost={"input": 0.25, "output": 0.5})),
    ]
    (run,) = runs_of(given).values()

    assert [step.cost_usd for step in run.steps.values()] == [0.4, 0.75]


def test_an_answer_that_used_all_the_tokens_it_was_allowed_was_cut_off() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 30}
    given = [
        made(1, None, "a", 0, 1, call(type="generation", usage=usage, parameters={"max_tokens": 30})),
        made(2, None, "b", 0, 1, call(type="generation", usage=usage, parameters={"max_tokens": "Infinity"})),
        made(3, None, "c", 0, 1, call(type="generation", usage=usage, parameters={"max_tokens": 31})),
    ]
    (run,) = runs_of(given).values()

    assert [step.sign for step in run.steps.values()] == ["length", "ok", "ok"]


def test_messages_of_the_langchain_handler_are_told_from_its_tool_definitions() -> None:
    definition = {"type": "function", "function": {"name": "save", "parameters": {"type": "object"}}}
    prompt = [{"role": "user", "content": "go"}, {"role": "tool", "content": definition}]
    asked = {"id": "c1", "function": {"name": "save", "arguments": "{}"}, "type": "function"}
    reply = {"role": "assistant", "content": "", "additional_kwargs": {"tool_calls": [asked]}}
    (run,) = runs_of([made(1, None, "ChatOpenAI", 0, 1, call(type="generation", input=prompt, output=reply))]).values()
    (step,) = run.steps.values()

    assert step.content is not None
    assert (step.content.declared, step.content.results) == ({"save": {"type": "object"}}, [])
    assert [(c.name, c.call_id) for c in step.content.requested] == [("save", "c1")]


@pytest.mark.parametrize("value", ["", "null", "[1]", "{", '{"messages": 3}', '{"args": 3}', "[[]]", 7, None])
def test_whatever_stands_in_an_observation_nothing_is_raised(value: object) -> None:
    for kind in ("generation", "tool", "agent", "span", 3):
        names = ("input", "output", "usage_details", "cost_details", "model.parameters", "level")
        attributes = {"langfuse.observation.type": kind, **{f"langfuse.observation.{name}": value for name in names}}
        assert runs_of([made(1, None, "a", 0, 1, attributes)])


def test_the_dialect_is_told_by_scope_and_by_attribute() -> None:
    found = [dialects.find("langfuse-sdk", {}, "x"), dialects.find("", {"langfuse.observation.type": "tool"}, "x")]

    assert [each.name for each in found if each is not None] == ["langfuse"] * 2
