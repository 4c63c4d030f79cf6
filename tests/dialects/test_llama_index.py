"""LlamaIndex's own tracer (llama-index-core 0.14.25, observability-otel 0.7.0): runs as they were recorded."""

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, tokens, told

from spantriage import dialects
from spantriage.settled import Settled
from spantriage.sources.spans import Event

AGENT = "weather_agent"
SCOPE = "llamaindex.opentelemetry.tracer"
SAID = {
    "ok": ([], "ok"),
    "handoff": ([], "ok"),
    "badjson": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "unknowntool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "wrongargs": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "loop": ([("error", "flow.step_limit", AGENT), ("warning", "loop.repeated_call", AGENT)], "error"),
    "http500": ([("error", "model.provider_error", AGENT)], "error"),
    "cancelled": ([("warning", "flow.cancelled", AGENT)], "cancelled"),
}


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"llama_index/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"llama_index/{run}"), 3))) == SAID[run][0]


def test_what_an_agent_did_is_read_from_names_events_and_histories() -> None:
    judgement = judge("llama_index/ok")

    (agent,) = steps(judgement, "agent")
    (tool,) = steps(judgement, "tool")
    asking, answering = steps(judgement, "model")
    assert (agent.agent, agent.result) == (AGENT, "The weather in Paris is sunny. ")
    assert (tool.name, tool.tool, tool.call_id, tool.arguments, tool.result, tool.agent) == (
        "FunctionTool.acall", "get_weather", "call_1_0", '{"city":"Paris"}', "sunny", AGENT,
    )  # fmt: skip
    assert tool.agent_span_id == asking.agent_span_id == agent.span_id
    for step in (asking, answering):
        assert (step.model, tokens(step), step.finish) == ("mock-ok", (None, None, None, None), None)
    assert asking.content is not None
    assert answering.content is not None
    (call,) = asking.content.requested
    assert (call.name, call.call_id, call.arguments, call.valid) == ("get_weather", "call_1_0", '{"city": "Paris"}', True)
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert [(r.call_id, r.text) for r in answering.content.results] == [("call_1_0", "sunny")]
    assert answering.content.text == "The weather in Paris is sunny. "


@pytest.mark.parametrize(("run", "number"), [("ok", 1), ("loop", 4), ("wrongargs", 1), ("unknowntool", 1), ("handoff", 1)])
def test_the_spans_around_a_call_are_not_more_calls(run: str, number: int) -> None:
    judgement = judge(f"llama_index/{run}")

    assert len(steps(judgement, "tool")) == number
    assert sum(record.tool_calls for record in judgement.state.records.values()) == number
    assert len({s.call_id for s in steps(judgement, "tool")}) == number


def test_a_call_of_a_tool_that_does_not_exist_has_only_the_step_around_it() -> None:
    (tool,) = steps(judge("llama_index/unknowntool"), "tool")

    assert (tool.name, tool.tool, tool.implied) == ("BaseWorkflowAgent.call_tool", "launch_rocket", False)
    assert tool.result == "Tool launch_rocket not found. Please select a tool that is available."


def test_a_stream_that_failed_after_its_span_is_the_model_calls_failure() -> None:
    judgement = judge("llama_index/http500")

    (model,) = steps(judgement, "model")
    assert (model.failed, model.sign, model.error_type) == (True, "provider_error", "InternalServerError")
    assert [v.step.span_id for v in judgement.verdicts if v.code == "model.provider_error"] == [model.span_id]


def test_judging_twice_is_judging_once() -> None:
    (run,) = runs_of(spans("llama_index/loop")).values()

    first, second = (
        [(s.kind, s.tool, s.result, len(s.content.requested) if s.content else 0) for s in Settled.of(run).sequence] for _ in range(2)
    )
    assert first == second


def test_the_agent_whose_turn_it_is_has_the_steps_that_follow() -> None:
    judgement = judge("llama_index/handoff")

    assert {s.agent for s in judgement.settled.sequence if s.kind in ("model", "tool")} == {"boss"}


@pytest.mark.parametrize(
    "summary",
    [
        "",
        "ToolCall(",
        "ToolCall(tool_name='save', tool_kwargs={'a': 1, 'b...",
        "ToolCall(tool_name='save', tool_kwargs={', tool_id='x')",
        7,
    ],
)
def test_a_summary_that_was_cut_gives_a_name_at_most(summary: object) -> None:
    given = [made(1, None, "FunctionAgent.run", 0, 3, {}, SCOPE)]
    given.append(made(2, 1, "FunctionTool.acall", 1, 2, {"llamaindex.step.input_summary": summary}, SCOPE))
    (judgement,) = judged(given)
    (tool,) = steps(judgement, "tool")

    assert (tool.tool, tool.arguments) == ("save" if "save" in str(summary) else None, None)


@pytest.mark.parametrize("value", ["", "[]", "[3]", '[{"blocks": 3}]', '[{"blocks": [3], "additional_kwargs": []}]', "{", 7, None])
def test_whatever_stands_in_an_event_nothing_is_raised(value: object) -> None:
    span = made(1, None, "OpenAI.chat", 0, 1, {}, SCOPE)
    told_by = ("messages", "additional_kwargs.tools", "response", "output", "reason")
    span.events = [Event(n, dict.fromkeys(told_by, value)) for n in ("LLMChatStartEvent", "LLMChatEndEvent", "step.output")]

    assert runs_of([span])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OpenAI.chat", "model"), ("OpenAIAgent.chat", "workflow"), ("RetrieverQueryEngine.query", "workflow"),
        ("VectorIndexRetriever.aretrieve", "retrieval"), ("ReActAgent.run", "agent"), ("MyFlow.run", "workflow"), ("plain", "workflow"),
    ],
)  # fmt: skip
def test_a_method_means_what_its_class_makes_of_it(name: str, kind: str) -> None:
    (run,) = runs_of([made(1, None, name, 0, 1, {}, SCOPE)]).values()

    assert [step.kind for step in run.steps.values()] == [kind]


def test_the_dialect_is_told_by_its_scope() -> None:
    found = dialects.find(SCOPE, {}, "x")

    assert found is not None
    assert found.name == "llama_index"
