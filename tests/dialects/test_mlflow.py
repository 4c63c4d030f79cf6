"""MLflow Tracing (mlflow-tracing 3.17.2 around the OpenAI client): runs as its OTLP export recorded them."""

import json

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, tokens, told

from spantriage import dialects
from spantriage.sources.spans import RecordedSpan

AGENT = "weather_agent"
SAID = {
    "badjson": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "unknowntool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "loop": ([("warning", "loop.repeated_call", AGENT)], "ok"),
    "length": ([("warning", "model.truncated_output", AGENT)], "ok"),
    "toolerr_raise": ([("error", "tool.error", AGENT)], "error"),
    "http429": ([("error", "model.rate_limited", AGENT)], "error"),
    "http500": ([("error", "model.provider_error", AGENT)], "error"),
}


def chat(inputs: object, outputs: object) -> RecordedSpan:
    attributes = {"mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": json.dumps(inputs), "mlflow.spanOutputs": json.dumps(outputs)}
    return made(1, None, "Completions", 0, 1, attributes, "mlflow.tracing.provider")


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"mlflow/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"mlflow/{run}"), 3))) == SAID[run][0]


def test_what_an_agent_did_is_read_from_its_spans() -> None:
    judgement = judge("mlflow/loop")

    (agent,) = steps(judgement, "agent")
    tool = steps(judgement, "tool")[0]
    asking, answering = steps(judgement, "model")[:2]
    assert (agent.agent, agent.failed) == (AGENT, False)
    assert (tool.tool, tool.arguments, tool.result, tool.agent) == ("get_weather", '{"city":"Paris"}', "sunny", AGENT)
    assert (asking.model, tokens(asking), asking.finish) == ("mock-loop-2026-01-01", (120, 30, 64, 16), "tool_calls")
    assert asking.content is not None
    assert answering.content is not None
    (call,) = asking.content.requested
    assert (call.name, call.arguments, call.valid) == ("get_weather", '{"city": "Paris"}', True)
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert [(r.call_id, r.text) for r in answering.content.results] == [(call.call_id, "sunny")]


def test_an_agents_answer_comes_out_of_its_quotes() -> None:
    (agent,) = steps(judge("mlflow/length"), "agent")

    assert agent.result == "The weather in Paris is sunny and then it"


def test_a_healthy_run_is_quiet() -> None:
    given = [span for span in spans("mlflow/badjson") if "chatcmpl-29" not in str(span.attributes.get("mlflow.spanOutputs"))]
    answer = given[0]  # the call before it, whose arguments did not parse, never was
    request = json.loads(str(answer.attributes["mlflow.spanInputs"]))
    answer.attributes = {**answer.attributes, "mlflow.spanInputs": json.dumps({**request, "messages": request["messages"][:1]})}

    (judgement,) = judged(given)

    assert (len(steps(judgement, "model")), told(judgement), judgement.outcome) == (1, [], "ok")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"role": "assistant", "stop_reason": "tool_use", "content": [
            {"type": "text", "text": "I look."}, {"type": "tool_use", "id": "c1", "name": "save", "input": {"a": 1}}]},
         ("I look.", [("save", "c1", '{"a":1}')], "tool_calls")),
        ({"status": "completed", "output": [
            {"type": "reasoning", "summary": []}, {"type": "function_call", "call_id": "c1", "name": "save", "arguments": '{"a":1}'}]},
         (None, [("save", "c1", '{"a":1}')], "tool_calls")),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "The wea"}]}]},
         ("The wea", [], "length")),
        ("just text", ("just text", [], None)),
    ],
)  # fmt: skip
def test_answers_are_read_in_the_shapes_of_the_usual_clients(answer: object, expected: object) -> None:
    (run,) = runs_of([chat({"messages": []}, answer)]).values()
    (step,) = run.steps.values()

    assert step.content is not None
    asked = [(c.name, c.call_id, c.arguments) for c in step.content.requested]
    assert (step.content.text, asked, step.finish) == expected


@pytest.mark.parametrize("value", ["", "null", "[1]", "{", '"', '"x"', '{"messages": 3}', '{"choices": [[3]]}', '{"output": [3]}', 7, None])
def test_whatever_stands_in_a_span_nothing_is_raised(value: object) -> None:
    for kind in ('"CHAT_MODEL"', '"TOOL"', '"AGENT"', "TOOL", "", 3):
        names = (
            "mlflow.spanInputs",
            "mlflow.spanOutputs",
            "mlflow.chat.tokenUsage",
            "mlflow.chat.tools",
            "mlflow.llm.cost",
            "mlflow.llm.model",
        )
        assert runs_of([made(1, None, "a", 0, 1, {"mlflow.spanType": kind, **dict.fromkeys(names, value)})])


def test_the_dialect_is_told_by_scope_and_by_attribute() -> None:
    found = [dialects.find("mlflow.tracing.provider", {}, "x"), dialects.find("", {"mlflow.spanType": '"TOOL"'}, "x")]

    assert [each.name for each in found if each is not None] == ["mlflow"] * 2
