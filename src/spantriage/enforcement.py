"""Why a reply was turned down by the workflow that an agent works in, as far as spans tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from spantriage import text
from spantriage.model import Content, Step
from spantriage.rounds import Round

__all__ = ["Rules", "reason_of", "vote_of"]

_CUT: Final = "..."  # behind an answer that is longer than the list of answers shows


@dataclass(frozen=True, slots=True)
class Rules:
    """The tools that a workflow knows, and how much alike two answers may be."""

    tools: frozenset[str]
    answer: str
    vote: str
    overlap: float


class _Answer(NamedTuple):
    agent: str
    label: str  # "agent1.2": the second answer of the first agent
    text: str | None


def reason_of(reply: Step, at: Round, rounds: list[Round], rules: Rules) -> str | None:
    """The rule that a reply breaks; None when it breaks none, or when too little of it was recorded.

    The framework's own word comes first. A reason alone does not prove that the reply was turned down.
    """
    told = (reply.note or {}).get("enforcement_reason")
    if told is not None:
        return str(told)
    if reply.failed:
        return None if reply.sign == "cancelled" else "api_error"
    content = reply.content
    if content is None or not content.replied:
        return None
    if reply.sign == "incomplete_stream":
        return "connection_recovery"
    if not content.requested:
        return None if reply.finish == "tool_calls" else "no_tool_calls"
    own = {call.name for call in content.requested if call.name in rules.tools}
    if not own:
        return None if at.ran(reply) else "no_workflow_tool"
    if content.declared and not own <= content.declared.keys():
        return "answer_limit" if rules.answer in own and rules.vote in content.declared else "no_workflow_tool"
    if {rules.vote, rules.answer} <= own:
        return "vote_and_answer"
    if rules.vote in own:
        return _judge_vote(reply, at, rounds, rules)
    return _judge_answer(content, at, rounds, rules) if rules.answer in own else None


def vote_of(reply: Step, vote: str) -> str | None:
    """Whom the reply votes for: its last vote counts."""
    given = _argument(reply.content, vote, "agent_id")
    return given if given is None else text.clip(given, 60)


def _judge_vote(reply: Step, at: Round, rounds: list[Round], rules: Rules) -> str | None:
    following = at.after(reply)
    until_ns = at.span.end_ns if following is None else following.start_ns
    known = list(_answers(rounds, until_ns))
    voted = _argument(reply.content, rules.vote, "agent_id")
    if not known:
        return None if at.shown else "vote_no_answers"
    valid = {name for answer in known for name in (answer.agent, answer.label.partition(".")[0])}
    return None if voted is None or voted in valid else "invalid_vote_id"


def _judge_answer(content: Content, at: Round, rounds: list[Round], rules: Rules) -> str | None:
    given = _argument(content, rules.answer, "content")
    if given is None:
        return None
    before = {answer.agent: answer for answer in _answers(rounds, at.span.start_ns)}
    shown = at.shown if at.shown is not None else dict.fromkeys(before, _CUT)
    alike = False
    for agent, preview in shown.items():
        whole = before[agent].text if agent in before else None
        whole = whole if whole is not None or preview.endswith(_CUT) else preview
        if whole is not None and whole.strip() == given.strip():
            return "answer_duplicate"
        alike = alike or (whole is not None and _overlap(given, whole) > rules.overlap)
    if alike:
        return "answer_novelty"
    return "answer_limit" if at.span.agent in before else None


def _answers(rounds: list[Round], until_ns: int) -> Iterator[_Answer]:
    """The answers that were there at a time, oldest first; their text whole where the reply was recorded."""
    taken = [(event, at) for at in rounds for event in at.accepted if event.end_ns <= until_ns]
    for event, at in sorted(taken, key=lambda pair: pair[0].order):
        note = event.note or {}
        if note.get("event_type") != "new_answer":
            continue
        reply = next((r for r in reversed(at.replies) if r.start_ns <= event.end_ns and not r.failed), None)
        whole = None if reply is None else _argument(reply.content, None, "content")
        preview = text.string(note.get("answer_preview"))
        yield _Answer(event.agent or "", str(note.get("answer_label", "")), whole if whole is not None else preview)


def _argument(content: Content | None, tool: str | None, name: str) -> str | None:
    """An argument of the last call of a tool; of any tool when none is named."""
    for call in reversed(content.requested) if content is not None else ():
        if tool is None or call.name == tool:
            given = text.load(call.arguments)
            found = given.get(name) if isinstance(given, Mapping) else None
            if type(found) is str:
                return found
    return None


def _overlap(one: str, other: str) -> float:
    """The share of words that two texts have in common."""
    ours, theirs = set(one.lower().split()), set(other.lower().split())
    return len(ours & theirs) / len(ours | theirs) if ours and theirs else 0.0
