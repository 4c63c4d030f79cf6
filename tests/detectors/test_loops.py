"""What repeats: the same verdicts whatever order the steps came in, at once while the run is live, honest about waste."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spantriage.cause import severity_of
from spantriage.detectors import Example, all_detectors
from spantriage.detectors.example import answers, asks, build, calls, fails, span
from spantriage.engine import Engine, select
from spantriage.model import Step, ToolCall, ToolResult, Verdict
from spantriage.run import Run
from spantriage.state import RunState

SPOKEN_OF = [d for d in all_detectors() if d.code.startswith(("loop.", "tool."))]
EXAMPLES = [
    pytest.param(example, id=f"{detector.code}-{kind}-{number}")
    for detector in SPOKEN_OF
    for kind in ("fires_on", "quiet_on")
    for number, example in enumerate(getattr(detector, kind))
]
SECOND = 1_000_000_000


def _judge(run: Run) -> list[Verdict]:
    engine = Engine(select(SPOKEN_OF))
    verdicts = engine.judge(run).verdicts
    assert not engine.errors
    return verdicts


def _claims(run: Run) -> list[tuple[str, int, str | None, str]]:
    return sorted((v.code, v.step.span_id, v.agent or v.step.agent, severity_of(v)) for v in _judge(run))


def _shuffled(run: Run, order: list[int]) -> Run:
    steps = list(run.steps.values())
    again = Run(run.trace_id)
    for index in order:
        again.add(deepcopy(steps[index]), cap=10_000)
    again.root_ended = True
    return again


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_order_of_arrival_changes_no_verdict(example: Example) -> None:
    run = build(deepcopy(example))
    indices = list(range(len(run.steps)))
    expected = _claims(_shuffled(run, indices))
    for order in (indices[::-1], indices[1::2] + indices[::2], sorted(indices, key=lambda n: (n * 7919) % 31)):
        assert _claims(_shuffled(run, order)) == expected


_CALLS = st.lists(
    st.tuples(
        st.sampled_from(["search", "status"]),
        st.sampled_from(['{"q": "a"}', '{"q": "b"}']),
        st.sampled_from(["3 hits", "pending", "Error: down", None]),
    ),
    min_size=3,
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=_CALLS, data=st.data())
def test_any_sequence_of_calls_is_judged_alike_in_any_order(made: list[tuple[str, str, str | None]], data: st.DataObject) -> None:
    run = build(tuple(step for tool, arguments, result in made for step in (asks(tool, input_tokens=10), calls(tool, arguments, result))))
    order = data.draw(st.permutations(range(len(run.steps))))
    assert _claims(_shuffled(run, list(order))) == _claims(run)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=_CALLS)
def test_no_row_of_calls_is_called_a_loop_twice(made: list[tuple[str, str, str | None]]) -> None:
    verdicts = _judge(build(tuple(calls(*call) for call in made)))
    loops = [v for v in verdicts if v.code in ("loop.repeated_call", "loop.error_retry")]
    spoken = [step.span_id for v in loops for step in v.evidence]
    assert len(spoken) == len(set(spoken))


def _live(*steps: Step) -> list[Verdict]:
    """What is said while the run is live: each step as it ends, the agent's own span last."""
    engine, state = Engine(select(SPOKEN_OF)), RunState(1)
    run = build(steps)
    spoken: list[Verdict] = []
    for step in sorted(run.steps.values(), key=lambda s: s.end_ns):
        step.agent = "agent"
        spoken += engine.feed(step, state.agent_of(step))
    assert not engine.errors
    return spoken


def test_a_loop_is_reported_with_the_call_that_closes_it() -> None:
    spoken = _live(*(calls("status", "{}", "pending") for _ in range(5)))
    assert [(v.code, v.step.span_id) for v in spoken] == [("loop.repeated_call", 4)]


def test_a_poll_that_changed_is_reported_live_and_not_confirmed() -> None:
    poll = (*(calls("status", "{}", "pending") for _ in range(3)), calls("status", "{}", "done"))
    assert [v.code for v in _live(*deepcopy(poll))] == ["loop.repeated_call"]
    assert _claims(build(poll)) == []


def test_a_retry_that_worked_is_softened_under_the_same_anchor() -> None:
    tried = (*(fails(calls("search"), "ValueError", "down") for _ in range(3)), calls("search", result="3 hits"))
    live = [v for v in _live(*deepcopy(tried)) if v.code == "loop.error_retry"]
    judged = [v for v in _judge(build(tried)) if v.code == "loop.error_retry"]
    assert [(v.step.span_id, severity_of(v)) for v in live] == [(4, "warning")]
    assert [(v.step.span_id, severity_of(v)) for v in judged] == [(4, "info")]


def test_a_circle_is_reported_once_however_long_it_goes_on() -> None:
    steps = tuple(calls(tool, "{}", tool) for _ in range(8) for tool in ("open", "close"))
    assert [(v.code, v.step.span_id) for v in _live(*deepcopy(steps))] == [("loop.cycle", 7)]
    assert [(v.code, v.step.span_id) for v in _judge(build(steps))] == [("loop.cycle", 7)]


def test_wasted_tokens_are_those_of_the_turns_that_asked_for_repeats() -> None:
    turns = tuple(step for _ in range(4) for step in (asks("search", input_tokens=100, output_tokens=5), calls("search", "{}", "no hits")))
    (verdict,) = _judge(build(turns))
    assert verdict.wasted_tokens == 3 * 105


def test_wasted_tokens_are_unknown_when_one_turn_does_not_tell() -> None:
    turns = tuple(step for tokens in (9, None, 9) for step in (asks("search", input_tokens=tokens), calls("search", "{}", "no hits")))
    (verdict,) = _judge(build(turns))
    assert verdict.wasted_tokens is None


def test_calls_made_at_the_same_time_are_no_loop() -> None:
    begin = 1_700_000_001 * SECOND
    at_once = tuple(calls("search", "{}", "3 hits", start_ns=begin + n, end_ns=begin + SECOND + n) for n in range(4))
    assert _claims(build(at_once)) == []


def test_calls_known_only_from_messages_make_a_loop_too() -> None:
    turns = tuple(
        asks(ToolCall("search", f"c{n}", '{"q": "a"}', True), results=[ToolResult("no hits", f"c{n - 1}", position=n)] if n else [])
        for n in range(5)
    )
    assert {v.code for v in _judge(build((*turns, answers("sorry"))))} == {"loop.repeated_call"}


def test_a_request_and_its_error_are_one_finding_at_the_model_call() -> None:
    asked = asks(ToolCall("launch_rocket", "c1", "{}", True), declared={"get_weather": None})
    told = answers("sorry", results=[ToolResult("Error: unknown tool launch_rocket", "c1")])
    step = fails(
        span("workflow", "Step 1", start_ns=1_700_000_000 * SECOND + 1, end_ns=1_700_000_009 * SECOND),
        "ToolError",
        "Unknown tool launch_rocket",
    )
    verdicts = _judge(build((step, asked, told)))
    assert [(v.code, v.step.kind, v.reason) for v in verdicts] == [("tool.unknown", "model", "launch_rocket")]


def test_two_made_up_tools_in_one_turn_are_both_named() -> None:
    asked = asks("launch_rocket", "open_hatch", declared={"get_weather": None})
    (verdict,) = _judge(build((asked, answers("sorry"))))
    assert verdict.reason == "launch_rocket, open_hatch"


def test_a_call_that_was_too_short_for_json_is_not_also_a_tool_error() -> None:
    asked = asks(ToolCall("get_weather", "c1", '{"city": "Par', False))
    failed = fails(calls("get_weather", '{"city": "Par', call_id="c1"), "ValueError", "no city")
    assert [v.code for v in _judge(build((asked, failed, answers("sorry"))))] == ["tool.invalid_arguments"]


def test_a_bad_call_that_took_the_run_down_is_an_error() -> None:
    asked = asks(ToolCall("get_weather", "c1", "{}", True))
    words = "get_weather() missing 1 required positional argument: 'city'"
    failed = fails(calls("get_weather", call_id="c1"), "TypeError", words)
    top = fails(span("agent", "agent", agent="agent"), "TypeError", words)
    (verdict,) = (v for v in _judge(build((top, asked, failed))) if v.code == "tool.invalid_arguments")
    assert (verdict.step.kind, severity_of(verdict)) == ("model", "error")


def test_a_made_up_tool_is_reported_live_once_the_history_shows_its_refusal() -> None:
    asked = asks(ToolCall("launch_rocket", "c1", "{}", True), declared={"get_weather": None})
    told = answers("sorry", results=[ToolResult("Error: KeyError: 'launch_rocket'", "c1")])
    assert [(v.code, v.step.span_id) for v in _live(asked, told)] == [("tool.unknown", 2)]
    assert _live(asks("researcher", declared={"get_weather": None}), answers("found")) == []
