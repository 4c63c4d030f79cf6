"""LangSmith's exporter (langsmith 0.14.17 under langchain 1.4.7): runs as they were recorded, long texts cut."""

import json

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, tokens, told

from spantriage import dialects

AGENT = "weather_agent"
SAID = {
    "ok": ([], "ok"),
    "handoff": ([], "ok"),
    "cancelled": ([("warning", "flow.cancelled", AGENT)], "cancelled"),
    "toolerr": ([("error", "tool.error", AGENT)], "error"),
    "toolerr_handled": ([("warning", "tool.error", AGENT)], "ok"),
    "unknowntool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "length": ([("warning", "model.truncated_output", AGENT)], "ok"),
    "graph_node_error": ([("error", "python.error", "my_graph")], "error"),
    "http429": ([("error", "model.rate_limited", AGENT)], "error"),
}


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"langsmith/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}


@pytest.mark.parametrize("run", SAID)
def test_roots_that_end_first_change_nothing(run: str) -> None:
    given = spans(f"langsmith/{run}")

    assert told(*judged(shuffled(given, 7))) == told(*judged(given))


def test_what_an_agent_did_is_read_from_its_spans() -> None:
    judgement = judge("langsmith/ok")

    (agent,) = steps(judgement, "agent")
    (tool,) = steps(judgement, "tool")
    asking, answering = steps(judgement, "model")
    assert (agent.agent, agent.result, agent.conversation) == (AGENT, "The weather in Paris is sunny.", "conv-42")
    assert (tool.tool, tool.call_id, tool.arguments, tool.result, tool.agent) == (
        "get_weather", "call_1_0", '{"city":"Paris"}', "sunny", AGENT,
    )  # fmt: skip
    assert tool.agent_span_id == asking.agent_span_id == agent.span_id
    assert [s.name for s in steps(judgement, "workflow")] == ["model", "tools", "model"]
    for step in (asking, answering):
        assert (step.model, step.provider, tokens(step)) == ("mock-ok-2026-01-01", "openai", (120, 30, 64, 16))
    assert (asking.finish, answering.finish) == ("tool_calls", "stop")
    assert asking.content is not None
    assert answering.content is not None
    (call,) = asking.content.requested
    assert (call.name, call.call_id, call.arguments, call.valid) == ("get_weather", "call_1_0", '{"city":"Paris"}', True)
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert [(r.call_id, r.text) for r in answering.content.results] == [("call_1_0", "sunny")]
    assert answering.content.text == "The weather in Paris is sunny."


def test_a_handed_over_question_belongs_to_the_agent_that_works_on_it() -> None:
    judgement = judge("langsmith/handoff")

    assert [s.agent for s in steps(judgement, "agent")] == ["boss", "researcher"]
    assert [(s.tool, s.agent) for s in steps(judgement, "tool")] == [("ask_expert", "boss"), ("get_weather", "researcher")]
    assert [s.agent for s in steps(judgement, "model")] == ["boss", "researcher", "researcher", "boss"]


def test_the_exception_behind_langsmiths_own_is_the_failure() -> None:
    (tool,) = steps(judge("langsmith/toolerr"), "tool")

    assert (tool.error_type, tool.error_message, tool.sign) == ("ValueError", "'weather service down'", "error")


def test_a_tool_that_the_framework_refused_has_a_result_and_no_span() -> None:
    (tool,) = steps(judge("langsmith/unknowntool"), "tool")

    assert (tool.implied, tool.tool, tool.call_id, tool.sign) == (True, "launch_rocket", "call_15_0", "silent_failure")


def test_the_environment_that_langsmith_copies_into_spans_is_not_kept() -> None:
    attributes = {"langsmith.span.kind": "chain", "langsmith.metadata.LANGSMITH_ENDPOINT": "https://inner.example"}
    (run,) = runs_of([made(1, None, "job", 0, 1, attributes, "langsmith")]).values()

    assert "inner.example" not in repr(run)


def test_arguments_that_langchain_could_not_parse_are_a_call_all_the_same() -> None:
    said = {"type": "ai", "content": "", "tool_calls": [], "invalid_tool_calls": [{"name": "save", "args": '{"city": "Par', "id": "c1"}]}
    prompt = {"messages": [[{"type": "human", "content": "w"}]]}
    attributes = {
        "langsmith.span.kind": "llm",
        "gen_ai.prompt": json.dumps(prompt),
        "gen_ai.completion": json.dumps({"generations": [[{"text": "", "message": said}]]}),
    }
    (judgement,) = judged([made(1, None, "ChatOpenAI", 0, 1, attributes, "langsmith")])

    assert "tool.invalid_arguments" in [code for _, code, _ in told(judgement)]


def test_a_call_that_anthropic_lists_twice_is_asked_for_once() -> None:
    said = {
        "lc": 1, "id": ["langchain", "schema", "messages", "AIMessage"],
        "kwargs": {
            "type": "ai",
            "content": [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "c1", "name": "save", "input": {}}],
            "tool_calls": [{"name": "save", "args": {}, "id": "c1", "type": "tool_call"}],
            "response_metadata": {"stop_reason": "tool_use", "model_name": "claude-x"},
        },
    }  # fmt: skip
    attributes = {"langsmith.span.kind": "llm", "gen_ai.completion": json.dumps({"generations": [[{"message": said}]]})}
    (judgement,) = judged([made(1, None, "ChatAnthropic", 0, 1, attributes, "langsmith")])
    (step,) = steps(judgement, "model")

    assert step.content is not None
    assert ([c.name for c in step.content.requested], step.content.text) == (["save"], "I look.")
    assert (step.finish, step.model) == ("tool_calls", "claude-x")


def test_an_interrupt_that_asks_a_person_is_no_failure() -> None:
    given = spans("langsmith/cancelled")
    for span in given:
        for event in span.events:
            event.attributes = {"exception.type": "Exception", "exception.message": "GraphInterrupt((Interrupt(value='sure?'),))"}

    assert told(*judged(given)) == []


def test_a_failure_whose_spans_are_ok_is_found_all_the_same() -> None:
    given = spans("langsmith/http429")
    for span in given:
        span.failed = False

    assert told(*judged(given)) == told(*judged(spans("langsmith/http429")))


@pytest.mark.parametrize(
    "value", ["", "null", "[1]", "{", '{"messages": 3}', '{"generations": [[3]]}', '{"generations": {"a": 1}}', 7, None]
)
def test_whatever_stands_in_the_messages_nothing_is_raised(value: object) -> None:
    for kind in ("llm", "tool", "chain", "prompt", 3):
        attributes = {
            "langsmith.span.kind": kind,
            "gen_ai.prompt": value,
            "gen_ai.completion": value,
            "langsmith.metadata.lc_agent_name": "a",
        }
        assert runs_of([made(1, None, "a", 0, 1, attributes)])


def test_the_dialect_is_told_by_scope_and_by_attribute() -> None:
    assert [dialects.find("langsmith", {}, "x").name, dialects.find("", {"langsmith.span.kind": "llm"}, "x").name] == ["langsmith"] * 2
