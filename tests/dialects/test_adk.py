"""Google's ADK: runs as they were recorded in its three spellings (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import pytest
from recorded_facts import expected, facts, judge, read, scenarios, steps

FOLDER = "adk"
EXPECTED = expected(FOLDER)
MODEL = {
    "gen_ai.operation.name": "generate_content",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 46,
    "gen_ai.usage.reasoning.output_tokens": 16,
}


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["latest.ok", "latest.seq", "parallel", "v1.parallel"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings if f.severity != "info"] == []


@pytest.mark.parametrize("scenario", ["parallel", "v1.parallel"])
def test_the_span_of_merged_results_is_no_call(scenario: str) -> None:
    assert [step.tool for step in steps(FOLDER, scenario) if step.kind == "tool"] == ["get_weather", "get_weather"]


@pytest.mark.parametrize(
    ("model", "tokens"), [("openai/gpt-5", 30), ("gemini-3-pro", 46), ("projects/p/locations/l/publishers/google/models/gemini-3-pro", 46)]
)
def test_reasoning_is_counted_once_whoever_provides_the_model(model: str, tokens: int) -> None:
    step = read("gcp.vertex.agent", f"generate_content {model}", {**MODEL, "gen_ai.request.model": model})
    assert (step.output_tokens, step.reasoning_tokens) == (tokens, 16)


def test_a_tool_that_does_not_exist_is_told_by_its_stand_in() -> None:
    (tool,) = [step for step in steps(FOLDER, "unknowntool") if step.kind == "tool"]
    assert (tool.sign, tool.error_type, tool.error_message) == ("unknown_tool", "ValueError", "Tool not found: search_archive")


@pytest.mark.parametrize(("given", "taken"), [("{}", "{}"), ("N/A", '{"result": "<not specified>"}')])
def test_what_was_left_out_is_not_taken_for_what_was_said(given: str, taken: str) -> None:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    old = {"gcp.vertex.agent.tool_call_args": given, "gcp.vertex.agent.tool_response": taken}
    step = read("gcp.vertex.agent", "execute_tool search", {**attributes, **old})
    assert (step.arguments, step.result) == (None, None)


def test_a_failed_model_call_that_was_not_recorded_says_nothing_of_its_messages() -> None:
    step = read("gcp.vertex.agent", "call_llm", {"gcp.vertex.agent.llm_request": "{}", "gcp.vertex.agent.llm_response": "{}"})
    assert step.content is not None
    assert (step.kind, step.content.captured) == ("model", False)


def test_agents_of_older_versions_are_named_in_brackets() -> None:
    step = read("gcp.vertex.agent", "agent_run [boss]", {})
    assert (step.kind, step.agent) == ("agent", "boss")
