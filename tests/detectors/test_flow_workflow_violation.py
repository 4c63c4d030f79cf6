"""Reasons that follow from a round's replies; those that recorded runs show are tested with their dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from spantriage.cause import severity_of
from spantriage.detectors import all_detectors
from spantriage.detectors.example import agent, answers, asks, build, calls, fails, span
from spantriage.engine import Engine, Judgement, select
from spantriage.model import Step, ToolCall, ToolResult

OFFERED = {"new_answer": None, "vote": None}


def taken(kind: str, who: str = "ann", **note: object) -> Step:
    return span("event", kind, agent=who, note={"event_type": kind, **note})


def said(tool: str, arguments: dict[str, str], **fields: object) -> Step:
    return asks(ToolCall(tool, f"call_{tool}", json.dumps(arguments), True), **{"declared": OFFERED, **fields})


def submits(content: str, label: str) -> Iterator[Step]:
    yield said("new_answer", {"content": content})
    yield taken("new_answer", answer_label=label, answer_preview=content)


def in_a_round(*steps: Step, **note: object) -> Judgement:
    detectors = [d for d in all_detectors() if d.code == "flow.workflow_violation"]
    return Engine(select(detectors)).judge(build((agent("ann", note={"round": 0, **note}), *steps)))


WORDS = "Paris has been the capital of France for a long time"
INFERRED = {
    "vote_and_answer": (asks("vote", "new_answer", declared=OFFERED), *submits(WORDS, "agent1.1")),
    "vote_no_answers": (said("vote", {"agent_id": "agent1"}), *submits(WORDS, "agent1.1")),
    "answer_limit": (
        said("new_answer", {"content": WORDS}, declared={"vote": None}),
        said("vote", {"agent_id": "ann"}),
        taken("vote_cast"),
    ),
    "connection_recovery": (answers("Half a", finish=None, sign="incomplete_stream", declared=OFFERED), *submits(WORDS, "agent1.1")),
    "mcp_disconnected": (asks("fs", declared=OFFERED), calls("fs", result="Error: Server 'fs' not connected"), *submits(WORDS, "agent1.1")),
}


@pytest.mark.parametrize("reason", INFERRED)
def test_reasons_that_no_recorded_run_shows_are_inferred_too(reason: str) -> None:
    judgement = in_a_round(*INFERRED[reason], outcome="answer")

    assert [v.reason for v in judgement.verdicts] == [reason]


def test_a_failed_call_that_nothing_follows_ends_the_agent() -> None:
    judgement = in_a_round(fails(answers(None, declared=OFFERED), "AuthenticationError", "Error code: 401"))

    assert [(v.reason, severity_of(v)) for v in judgement.verdicts] == [("fatal_api_error", "warning")]
    assert judgement.state.records["ann"].outcome == "failed"


@pytest.mark.parametrize(("content", "reason"), [
    (WORDS, "answer_duplicate"),
    (f"{WORDS} indeed", "answer_novelty"),
    ("Lyon, if you ask the people there", "answer_limit"),
])  # fmt: skip
def test_a_second_answer_is_compared_with_those_that_were_shown(content: str, reason: str) -> None:
    second = agent("ann", note={"round": 1}, span_id=50, parent_id=1)
    replies = (said("new_answer", {"content": content}, parent_id=50), said("vote", {"agent_id": "ann"}, parent_id=50))
    judgement = in_a_round(*submits(WORDS, "agent1.1"), second, *replies, taken("vote_cast", parent_id=50), outcome="answer")

    assert [v.reason for v in judgement.verdicts] == [reason]


def test_the_frameworks_own_word_goes_before_what_is_inferred() -> None:
    notice = ToolResult("Your answer is too similar to existing answers (>50% overlap).", "call_new_answer")
    refused = said("new_answer", {"content": WORDS}, dialect="massgen")
    judgement = in_a_round(refused, answers("ok", results=[notice], declared=OFFERED), *submits(WORDS, "agent1.1"), outcome="answer")

    assert [v.reason for v in judgement.verdicts] == ["answer_novelty", "no_tool_calls"]
    assert judgement.state.records["ann"].enforcement_attempts[0]["error_message"] == notice.text


def test_a_recorded_reason_speaks_for_itself_and_nothing_is_inferred_beside_it() -> None:
    told = {"enforcement_reason": "mcp_disconnected", "round": 2, "attempt": 3, "buffer_chars": 70, "tool_calls": ["fs"]}
    judgement = in_a_round(answers("words", declared=OFFERED), *submits(WORDS, "agent1.1"), span("event", agent="ann", note=told))

    record = judgement.state.records["ann"]
    assert [(a["round"], a["attempt"], a["reason"]) for a in record.enforcement_attempts] == [(2, 3, "mcp_disconnected")]
    assert record.by_round == {"2": {"count": 1, "reasons": ["mcp_disconnected"]}}
    assert record.total_buffer_chars_lost == 70
