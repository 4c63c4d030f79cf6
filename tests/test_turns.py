"""Each time an agent spoke, what came of it, what its answer stands on, and which turn of a failed run is named."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from spantriage.cause import choose_primary
from spantriage.culprit import Reason, culprit_of
from spantriage.detectors import all_detectors
from spantriage.detectors.example import agent, answers, asks, build, calls, fails, span
from spantriage.engine import Engine, Judgement, select
from spantriage.grounds import groundless_in
from spantriage.history import History
from spantriage.messages import read_instructions, read_tail
from spantriage.model import Content, Step
from spantriage.odds import chance, features_of
from spantriage.settled import Settled
from spantriage.turns import talk_of, turns_of


def _settled(*steps: Step) -> Settled:
    return Settled.of(build(deepcopy(steps)))


def _judge(*steps: Step, assume_failed: bool = False) -> Judgement:
    return Engine(select(all_detectors())).judge(build(deepcopy(steps)), assume_failed=assume_failed)


def _says(name: str, said: str, number: int) -> Step:
    return agent(name, parent_id=1, span_id=50 + number, content=Content(captured=True, replied=True, text=said))


def _read(*messages: dict[str, object]) -> Content:
    content = Content()
    read_tail(content, History().tail(json.dumps(messages)))
    return content


def test_tools_belong_to_the_turn_that_was_last_before_them() -> None:
    first, second = turns_of(_settled(asks("a"), calls("a"), calls("b"), asks("c"), calls("c")))[0]
    assert [tool.tool for tool in first.tools] == ["a", "b"]
    assert [tool.tool for tool in second.tools] == ["c"]


def test_what_failed_of_a_turn_is_its_tool_or_the_step_around_it() -> None:
    step = fails(span("workflow", "Step 1", span_id=50), "ParseError", "no code block")
    turns = turns_of(_settled(asks("a"), fails(calls("a"), "ValueError", "no"), step, answers("2 + 2", parent_id=50)))[0]
    assert [turn.broken.name if turn.broken else None for turn in turns] == ["a", "Step 1"]


def test_a_loop_around_several_turns_is_the_step_of_none() -> None:
    loop = fails(span("workflow", "loop", span_id=50), "ValueError", "no")
    turns = turns_of(_settled(loop, answers("one", parent_id=50), answers("two", parent_id=50)))[0]
    assert [turn.broken for turn in turns] == [None, None]


def test_an_agent_without_model_calls_of_its_own_is_a_turn_of_its_team() -> None:
    settled = _settled(_says("planner", "Find it.", 0), calls("shell", agent="terminal"), _says("buyer", "Found.", 1))
    assert [(turn.step.agent, turn.bare, len(turn.tools)) for turn in talk_of(settled)] == [("planner", True, 1), ("buyer", True, 0)]


def test_an_agent_that_was_called_is_help_and_its_turns_are_its_own() -> None:
    helper = agent("helper", parent_id=1, span_id=60)
    turns = turns_of(_settled(asks("helper"), helper, answers("done", parent_id=60), answers("thanks")))
    assert [[turn.step.agent for turn in group] for group in turns] == [["agent", "agent"], ["helper"]]
    assert [step.agent for step in turns[0][0].helpers] == ["helper"]


def test_a_plan_to_look_that_was_dropped_leaves_the_answer_without_grounds() -> None:
    plan, answer = answers("Search the web, then answer."), asks("final_answer")
    dropped = groundless_in(_settled(plan, answer, calls("final_answer", "{}", "9")))
    kept = groundless_in(_settled(plan, asks("search"), calls("search", "{}", "9"), answer, calls("final_answer", "{}", "9")))
    assert [(each.planned, each.source) for each in dropped] == [("Search", "claimed")]
    assert kept == []


def test_the_tag_that_a_prompt_wants_at_the_end_is_read_from_the_last_message_only() -> None:
    wanted = {"role": "user", "content": "Write a plan. After its last step, write the '\n<end_plan>' tag and stop."}
    assert _read(wanted).end_mark == "<end_plan>"
    assert _read(wanted, {"role": "assistant", "content": "1. Go"}, {"role": "user", "content": "And now?"}).end_mark is None
    assert _read({"role": "assistant", "content": "I write <end_plan> here"}).end_mark is None
    assert _read({"role": "user", "content": "What does <end_plan> mean?"}).end_mark is None


def test_instructions_that_speak_of_tools_are_noticed_wherever_they_stand() -> None:
    assert _read({"role": "system", "content": "Make one tool call at a time."}).told_of_tools
    assert not _read({"role": "user", "content": "Make one tool call at a time."}).told_of_tools
    apart = Content()
    read_instructions(apart, '[{"type": "text", "content": "Use the provided tools."}]')
    assert apart.told_of_tools


def test_a_reply_to_a_persons_text_is_told_from_one_to_a_tools_result() -> None:
    assert _read({"role": "user", "content": "Hello"}).spoken_to
    assert not _read({"role": "user", "content": "Hello"}, {"role": "tool", "tool_call_id": "c1", "content": "9"}).spoken_to


@pytest.mark.parametrize(
    ("steps", "agent_name", "reason"),
    [
        ((_says("planner", "The task: find it.", 0), _says("buyer", "It is 20.", 1), _says("planner", "Good.", 2)), "buyer", "first_deed"),
        (
            (_says("a", "The task.", 0), _says("b", "I will look.", 1), _says("c", "Good.", 2), _says("b", "I have found it: 20.", 3)),
            "b",
            "claimed_look",
        ),
        ((answers("Search for it."), asks("submit"), calls("submit", "{}", "9")), "agent", "unfounded_answer"),
        ((asks("a"), calls("a", "{}", "Error: 503"), asks("b"), calls("b"), answers("done")), "agent", "failed_action"),
        ((asks("a"), calls("a"), answers("done")), "agent", "quick_answer"),
        (tuple(step for n in range(4) for step in (asks("a"), calls("a", '{"q": "one two"}', f"{n}"))), "agent", "repeated_call"),
        (tuple(step for n in range(4) for step in (asks("a"), calls("a", f'{{"q": "word{n}"}}', f"{n}"))), "agent", "first_turn"),
    ],
)
def test_the_turn_that_went_wrong_first_is_named_by_the_best_evidence_there_is(
    steps: tuple[Step, ...], agent_name: str, reason: Reason
) -> None:
    found = culprit_of(_settled(*steps))
    assert found is not None
    assert (found.turn.step.agent, found.reason) == (agent_name, reason)


def test_a_leader_who_only_hands_on_is_not_the_first_to_do_something() -> None:
    talk = [_says(name, f"turn {n}", n) for n, name in enumerate(("boss", "boss", "web", "boss", "boss", "web", "boss"))]
    found = culprit_of(_settled(*talk))
    assert found is not None
    assert found.turn.step.agent == "web"


def test_a_claim_after_a_tool_has_worked_stands_on_its_result() -> None:
    talk = (
        _says("a", "The task.", 0),
        _says("b", "print(1)", 1),
        calls("shell", "{}", "1", agent="terminal"),
        _says("c", "I have verified it.", 2),
    )
    found = culprit_of(_settled(*talk))
    assert found is not None
    assert found.reason == "first_deed"


def test_a_failed_run_always_has_a_cause_and_what_took_it_down_comes_first() -> None:
    survived = _judge(asks("a"), calls("a", "{}", "Error: 503"), answers("done"), assume_failed=True)
    died = _judge(fails(agent("boss"), "RateLimitError", "429"), fails(answers(None), "RateLimitError", "429"), assume_failed=True)
    assert survived.primary is not None
    assert survived.primary.code == "flow.first_deviation"
    assert died.primary is not None
    assert died.primary.code == "model.rate_limited"


def test_first_deviations_are_not_spoken_of_unless_the_run_is_known_to_have_failed() -> None:
    judgement = _judge(asks("a"), calls("a"), answers("done"))
    assert "flow.first_deviation" not in {verdict.code for verdict in judgement.verdicts}
    assert choose_primary(judgement.verdicts, judgement.settled) is None


def _talk(turns: int, last: str = "Done.") -> Settled:
    steps = [answers("Please tell me your number.") for _ in range(turns - 1)] + [answers(last)]
    for step in steps:
        assert step.content is not None
        step.content.spoken_to = True
    return _settled(*steps)


def test_a_claim_of_failure_weighs_more_than_anything_else() -> None:
    settled = _settled(asks("a"), calls("a"), answers("done"))
    assert chance(0.8, settled) > 0.8 > 0.3 > chance(0.0, settled)


def test_a_long_conversation_is_likelier_to_have_failed_than_one_that_was_declined() -> None:
    assert chance(0.0, _talk(6)) < chance(0.0, _talk(30))
    assert chance(0.0, _talk(30, "Unfortunately I cannot do that.")) < chance(0.0, _talk(30))
    assert features_of(0.0, _talk(6, "Unfortunately I cannot do that."))["declined"] == 1.0


def test_incidents_that_a_run_survived_do_not_make_it_likelier_to_have_failed() -> None:
    healthy = [step for n in range(8) for step in (asks("a"), calls("a", f'{{"n": {n}}}', f"{n}"))]
    bumpy = [step for n in range(8) for step in (asks("a"), calls("a", f'{{"n": {n}}}', "Error: 503"))]
    assert _judge(*bumpy, answers("done")).failure_score == _judge(*healthy, answers("done")).failure_score
