"""Vercel's AI SDK: runs built from the attributes that its telemetry page documents."""

import json

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, tokens, told

from spantriage import dialects
from spantriage.model import Step

AGENT = "weather_agent"
SAID = {
    "ok": ([], "ok"),
    "tool_error": ([("warning", "flow.gave_up", AGENT), ("warning", "tool.error", AGENT)], "ok"),
    "unknown_tool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "bad_json": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "loop": ([("warning", "loop.repeated_call", AGENT)], "ok"),
    "length": ([("warning", "model.truncated_output", AGENT)], "ok"),
    "filtered": ([("warning", "model.content_filtered", AGENT)], "ok"),
    "dropped_stream": ([("warning", "model.incomplete_stream", AGENT)], "ok"),
    "rate_limited": ([("error", "model.rate_limited", AGENT)] * 3, "error"),
}


def read(operation: str, **ai: object) -> Step:
    """The step of one span; `toolCall__name` stands for `ai.toolCall.name`."""
    attributes = {"ai.operationId": operation, **{f"ai.{key.replace('__', '.')}": value for key, value in ai.items()}}
    (run,) = runs_of([made(1, None, operation, 0, 1, attributes, "ai")]).values()
    (step,) = run.steps.values()
    return step


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"vercel_ai/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"vercel_ai/{run}"), 3))) == SAID[run][0]


def test_what_an_agent_did_is_read_from_its_spans() -> None:
    judgement = judge("vercel_ai/ok")

    (agent,) = steps(judgement, "agent")
    (tool,) = steps(judgement, "tool")
    asking, answering = steps(judgement, "model")
    assert (agent.agent, agent.result, agent.input_tokens) == (AGENT, "The weather in Paris is sunny.", 240)
    assert (tool.tool, tool.call_id, tool.arguments, tool.result, tool.agent) == (
        "get_weather", "c1", '{"city": "Paris"}', "sunny", AGENT,
    )  # fmt: skip
    assert tool.agent_span_id == asking.agent_span_id == agent.span_id
    for step in (asking, answering):
        assert (step.model, step.provider, tokens(step)) == ("gpt-x-2026", "openai.chat", (120, 30, 64, 16))
    assert (asking.finish, answering.finish) == ("tool_calls", "stop")
    assert asking.content is not None
    assert answering.content is not None
    (call,) = asking.content.requested
    assert (call.name, call.call_id, call.arguments, call.valid) == ("get_weather", "c1", '{"city": "Paris"}', True)
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert [(r.call_id, r.text) for r in answering.content.results] == [("c1", "sunny")]
    assert answering.content.text == "The weather in Paris is sunny."
    assert judgement.state.records[AGENT].input_tokens == 240  # the agent's own total is not added to its calls'


def test_the_names_of_version_three_are_read_too() -> None:
    calls = json.dumps([{"toolCallId": "c1", "toolName": "save", "args": {"a": 1}}])
    asked = {"type": "tool-call", "toolCallId": "c0", "toolName": "load", "args": {}}
    answered = {"type": "tool-result", "toolCallId": "c0", "toolName": "load", "result": "no such file", "isError": True}
    messages = json.dumps([{"role": "assistant", "content": [asked]}, {"role": "tool", "content": [answered]}])
    tools = (json.dumps({"type": "function", "name": "save", "parameters": {"type": "object"}}),)
    usage = {"usage__promptTokens": 9, "usage__completionTokens": 3}
    step = read(
        "ai.generateText.doGenerate", model__id="m", finishReason="tool-calls", result__toolCalls=calls, prompt__messages=messages,
        prompt__tools=tools, **usage,
    )  # fmt: skip

    assert (step.model, step.finish, tokens(step)) == ("m", "tool_calls", (9, 3, None, None))
    assert step.content is not None
    assert [(c.name, c.call_id, c.arguments, c.valid) for c in step.content.requested] == [("save", "c1", '{"a":1}', True)]
    assert [(r.name, r.call_id, r.text, r.failed) for r in step.content.results] == [("load", "c0", "no such file", True)]
    assert step.content.declared == {"save": {"type": "object"}}


def test_without_a_function_id_the_operation_is_the_agent() -> None:
    assert read("ai.streamText").agent == "ai.streamText"


def test_where_outputs_are_not_recorded_an_answer_is_not_called_empty() -> None:
    step = read("ai.generateText.doGenerate", response__finishReason="stop", usage__inputTokens=9, usage__outputTokens=3)

    assert step.content is not None
    assert (step.content.captured, step.content.replied, step.content.empty) == (False, False, False)


@pytest.mark.parametrize(
    ("result", "expected"), [('"sunny"', "sunny"), ('{"t":21}', '{"t":21}'), ("plain", "plain"), ('"cut', '"cut'), (None, None)]
)
def test_a_tools_result_comes_out_of_its_quotes(result: object, expected: object) -> None:
    assert read("ai.toolCall", toolCall__name="t", toolCall__result=result).result == expected


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("ai.embed.doEmbed", "retrieval"), ("ai.generateObject", "workflow"), ("ai.streamObject.doStream", "model"),
        ("ai.somethingNew", "workflow"),
    ],
)  # fmt: skip
def test_an_operation_id_says_what_a_span_is(operation: str, kind: str) -> None:
    assert read(operation).kind == kind


@pytest.mark.parametrize(
    "value", ["", "null", "[1]", '[{"toolName": 3}]', '[{"role": "tool", "content": [{"toolName": {}}]}]', "{", 7, None, (1,)]
)
def test_whatever_stands_in_a_span_nothing_is_raised(value: object) -> None:
    names = ("prompt__messages", "prompt__tools", "response__text", "response__toolCalls", "response__finishReason", "toolCall__args",
             "toolCall__result", "usage__inputTokens", "model__id", "telemetry__functionId")  # fmt: skip
    for operation in ("ai.generateText", "ai.streamText.doStream", "ai.toolCall"):
        assert read(operation, **dict.fromkeys(names, value))


def test_spans_without_an_operation_id_of_the_sdk_are_left_alone() -> None:
    assert dialects.find("ai", {"ai.operationId": "other"}, "x") is None
    assert dialects.find("ai", {}, "x") is None
