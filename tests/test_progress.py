"""How far runs have come: told from recorded runs, step by step, against what the orchestrator itself wrote of them."""

from __future__ import annotations

import pytest
from dialects.test_massgen import STATUS, made, round_, runs_of, spans

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.progress import RunProgress, look

ENGINE = Engine(select(all_detectors()))
AGENTS = [(run, name) for run, told in STATUS.items() for name in told["agents"]]


def seen(given, *, ended: bool = False) -> RunProgress:
    (run,) = runs_of(given).values()
    return look(ENGINE.judge(run), ended=ended)


def growing(run: str):
    """The run after each of its spans, in the order they ended."""
    given = sorted((s for s in spans(run) if s.attributes.get("massgen.task") != ""), key=lambda s: s.end_time)
    for number in range(1, len(given) + 1):
        if runs_of(given[:number]):
            yield seen(given[:number])


@pytest.mark.parametrize("run", STATUS)
def test_a_complete_run_is_told_as_massgen_told_it(run: str) -> None:
    found = seen(spans(run), ended=True)

    assert {name: agent.status for name, agent in found.agents.items()} == {
        name: told["status"] for name, told in STATUS[run]["agents"].items()
    }
    assert found.phase == "presentation"
    assert found.winner in found.agents
    assert found.log_dir is not None
    assert found.log_dir.startswith(".massgen/massgen_logs/")
    for agent in found.agents.values():
        assert (agent.error is not None) == (agent.status == "error")


@pytest.mark.parametrize("run", STATUS)
def test_a_run_under_way_never_goes_back_and_fails_only_whom_it_fails_in_the_end(run: str) -> None:
    told = list(growing(run))
    phases = list(dict.fromkeys(found.phase for found in told))
    winners = list(dict.fromkeys(found.winner for found in told))
    failed = {name for name, agent in STATUS[run]["agents"].items() if agent["status"] == "error"}

    assert phases in ([None, "initial_answer", "enforcement", "presentation"], ["initial_answer", "enforcement", "presentation"])
    assert len(winners) == 2
    assert winners[0] is None
    for found in told:
        assert {name for name, agent in found.agents.items() if agent.status == "error"} <= failed
        assert {name for name, agent in found.agents.items() if agent.outcome != "ok"} <= failed
    statuses = {(name, agent.status) for found in told for name, agent in found.agents.items()}
    assert {status for _, status in statuses} >= {"streaming", "answered", "voted"}


def test_who_began_again_after_its_word_is_at_work() -> None:
    taken = made("Agent vote: ann -> a1", 4, 4, agent_id="ann", event_type="vote_cast", round=0)
    again = made("Agent restart: {agent_id}", 6, 6, agent_id="ann", event_type="agent_restart")

    assert seen([round_(1, 5), taken]).agents["ann"].status == "voted"
    assert seen([round_(1, 5), taken, again]).agents["ann"].status == "streaming"
    assert seen([round_(1, 5), taken, again], ended=True).agents["ann"].status == "voted"


def test_a_round_that_ended_in_an_error_is_told_with_its_reason() -> None:
    found = seen([round_(1, 5, massgen__outcome="error", massgen__error_message="Connection reset, api_key=sk-abcdefghijklmnopqrstuv")])

    agent = found.agents["ann"]
    assert (agent.status, agent.outcome) == ("error", "error")
    assert agent.error is not None
    assert agent.error["timestamp"] == 5.0
    assert "Connection reset" in str(agent.error["message"])
    assert "sk-abc" not in str(agent.error)


def test_what_no_orchestrator_told_is_not_known() -> None:
    step = made("Tool execution: read", 4, 4, agent_id="ann", tool_name="read", execution_time_ms=1.0, output_preview="a")
    found = seen([step])

    assert (found.phase, found.winner, found.log_dir, found.conversation) == (None, None, None, None)
    assert found.agents["ann"].status == "streaming"
