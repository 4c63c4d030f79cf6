"""LlamaIndex through OpenInference (llama-index-core 0.14.25, instrumentation 4.6.1): runs recorded against a scripted model."""

import pytest
from dialect_runs import judge, judged, made, runs_of, shuffled, spans, steps, told

AGENT = "weather_agent"
SAID = {
    "ok": ([], "ok"),
    "parallel": ([], "ok"),
    "toolerr": ([("warning", "tool.error", AGENT)], "ok"),
    "badjson": ([("warning", "tool.invalid_arguments", AGENT)], "ok"),
    "unknowntool": ([("warning", "tool.unknown", AGENT)], "ok"),
    "loop": ([("error", "flow.step_limit", AGENT), ("warning", "loop.repeated_call", AGENT)], "error"),
    "http500": ([("error", "model.provider_error", AGENT)], "error"),
    "empty": ([("error", "flow.no_final_answer", AGENT), ("warning", "model.empty_output", AGENT)], "failed"),
    "cancelled": ([("warning", "flow.cancelled", AGENT)], "cancelled"),
}


@pytest.mark.parametrize("run", SAID)
def test_each_run_is_told_by_what_went_wrong_in_it(run: str) -> None:
    judgements = judged(spans(f"llama_index_oi/{run}"))

    assert told(*judgements) == SAID[run][0]
    assert {j.outcome for j in judgements} == {SAID[run][1]}
    assert told(*judged(shuffled(spans(f"llama_index_oi/{run}"), 3))) == SAID[run][0]


def test_the_chain_that_runs_an_agent_is_the_agent_and_what_prepares_a_call_is_none() -> None:
    judgement = judge("llama_index_oi/ok")

    (agent,) = steps(judgement, "agent")
    (tool,) = steps(judgement, "tool")
    asking, answering = steps(judgement, "model")
    assert (agent.name, agent.agent, agent.result) == ("FunctionAgent.run", AGENT, "I have checked it for you: everything i...")
    assert (tool.tool, tool.arguments, tool.result, tool.agent) == ("get_weather", '{"city":"Paris"}', "sunny", AGENT)
    assert tool.agent_span_id == asking.agent_span_id == agent.span_id
    assert (asking.finish, answering.finish) == ("tool_calls", "stop")
    assert asking.content is not None
    assert [(c.name, c.arguments, c.valid) for c in asking.content.requested] == [("get_weather", '{"city": "Paris"}', True)]
    assert asking.content.declared is not None
    assert asking.content.declared["get_weather"]["required"] == ["city"]
    assert judgement.state.records[AGENT].model_calls == 2


def test_calls_made_at_once_are_told_apart() -> None:
    tools = steps(judge("llama_index_oi/parallel"), "tool")

    assert [(s.arguments, s.result) for s in tools] == [('{"city":"Paris"}', "sunny"), ('{"city":"Oslo"}', "sunny")]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"blocks":[{"text":"HTTP error 503"}],"tool_name":"t","is_error":false}', ("HTTP error 503", "silent_failure")),
        ('{"blocks":[{"text":"disk on fire"}],"tool_name":"t","is_error":true}', ("Error: disk on fire", "silent_failure")),
        ('{"blocks":[3],"tool_name":"t"}', ("", "ok")),
        ('{"blocks": 3}', ('{"blocks": 3}', "ok")),
    ],
)  # fmt: skip
def test_a_tools_result_is_what_the_model_was_shown(output: str, expected: tuple[str, str]) -> None:
    attributes = {"openinference.span.kind": "TOOL", "tool.name": "t", "output.value": output}
    (run,) = runs_of([made(1, None, "FunctionTool.acall", 0, 1, attributes)]).values()

    assert [(step.result, step.sign) for step in run.steps.values()] == [expected]


def test_a_chain_of_another_library_keeps_its_kind() -> None:
    attributes = {"openinference.span.kind": "CHAIN", "output.value": "current_agent_name='x'"}
    (run,) = runs_of([made(1, None, "RunnableSequence", 0, 1, attributes)]).values()

    assert [(step.kind, step.agent, step.note) for step in run.steps.values()] == [("workflow", None, None)]
