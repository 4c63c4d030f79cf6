"""How far runs have come: who is at work, who has answered, voted or failed, as status files and live views show it.

Everything here follows from steps that have ended, and from agents' spans that are known to be open. What they do not
tell is None. Phases, votes and winners are told by orchestrators alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from spantriage.cause import RANK, score_of, severity_of
from spantriage.engine import Judgement
from spantriage.model import Step, Verdict
from spantriage.record import Record
from spantriage.redact import redact
from spantriage.text import clean, clip

__all__ = ["AgentProgress", "Progress", "RunProgress", "Status", "look"]

Status = Literal["streaming", "answered", "voted", "error"]
Phase = Literal["initial_answer", "enforcement", "presentation"]
SAID: Final[dict[object, Status]] = {"new_answer": "answered", "vote_cast": "voted"}  # events that an agent's word was taken with
BEGUN: Final = frozenset({"agent_restart", "agent_round_context"})  # events that a new round begins with
WORK: Final = frozenset({"agent", "model", "tool", "retrieval"})  # kinds of steps that make somebody an agent
WORDS_CAP: Final = 500


@dataclass(slots=True)
class AgentProgress:
    """One agent in one run."""

    status: Status
    outcome: str  # "ok" while nothing else is certain
    error: dict[str, object] | None = None  # type, message, timestamp in seconds; only with status "error"
    last_ns: int = 0  # when something of it ended last


@dataclass(slots=True)
class RunProgress:
    """One run."""

    trace_id: int
    ended: bool  # its root has ended
    start_ns: int = 0
    last_ns: int = 0
    agents: dict[str, AgentProgress] = field(default_factory=dict)
    phase: Phase | None = None
    winner: str | None = None
    log_dir: str | None = None
    conversation: str | None = None


@dataclass(slots=True)
class Progress:
    """All runs together; of each agent its latest run counts, its record counts them all."""

    latest: RunProgress | None  # the run that something came to last
    running: int  # runs whose root has not ended
    agents: dict[str, tuple[AgentProgress, Record]]


@dataclass(slots=True)
class _Trail:
    """What an agent has left in a run, as far as its status depends on it."""

    works: bool = False
    last_ns: int = 0
    begun_ns: int = 0  # when its latest work began
    done_ns: int = 0  # when it last came to an end: a word taken, or its own span
    said: Status | None = None
    span: Step | None = None  # its own that ended last
    round_type: object = None

    def add(self, step: Step) -> None:
        note = step.note or {}
        self.works = self.works or step.kind in WORK
        self.last_ns = max(self.last_ns, step.end_ns)
        self.round_type = note.get("round_type", self.round_type)
        if step.kind == "event" and (said := SAID.get(note.get("event_type"))) is not None:
            self.said, self.done_ns = said, max(self.done_ns, step.end_ns)
        elif step.kind == "agent":
            self.done_ns = max(self.done_ns, step.end_ns)
            if self.span is None or step.end_ns >= self.span.end_ns:
                self.span = step
        elif step.kind in WORK or note.get("event_type") in BEGUN:
            self.begun_ns = max(self.begun_ns, step.start_ns)


def look(judgement: Judgement, *, ended: bool) -> RunProgress:
    """How far a run has come, by its judgement so far. Claims that only a complete run can bear are made of an ended one alone."""
    settled = judgement.settled
    found = RunProgress(settled.trace_id, ended)
    trails: dict[str, _Trail] = {}
    for step in settled.sequence:
        found.start_ns = min(found.start_ns or step.start_ns, step.start_ns)
        found.last_ns = max(found.last_ns, step.end_ns)
        trails.setdefault(step.agent or "unknown", _Trail()).add(step)
        _read_note(found, step)
    for name, record in judgement.state.records.items():
        trail = trails.get(name)
        if trail is not None and trail.works:
            found.agents[name] = _agent(name, trail, record, judgement, ended)
    rounds = {name: trail for name, trail in trails.items() if trail.works and trail.round_type is not None}
    if rounds:
        found.phase = _phase(rounds, found)
    return found


def _read_note(found: RunProgress, step: Step) -> None:
    found.conversation = step.conversation or found.conversation
    note = step.note
    if note is None:
        return
    winner = note.get("winner") or (step.agent if note.get("is_winner") is True else None)
    if type(winner) is str:
        found.winner = winner
    if type(log_path := note.get("log_path")) is str:
        found.log_dir = log_path


def _agent(name: str, trail: _Trail, record: Record, judgement: Judgement, ended: bool) -> AgentProgress:
    broken = trail.span is not None and trail.span.failed
    outcome = record.outcome if ended else "error" if broken else "failed" if record.exhausted else "ok"
    found = AgentProgress("streaming", outcome, None, trail.last_ns)
    if not ended and trail.begun_ns > trail.done_ns:
        return found
    if outcome != "ok":
        found.status, found.error = "error", _error(name, trail, judgement)
    elif ended or trail.said is not None or trail.span is not None:
        found.status = trail.said or "answered"
    return found


def _error(name: str, trail: _Trail, judgement: Judgement) -> dict[str, object] | None:
    """What its own span says, else the gravest that was found of the agent."""
    if trail.span is not None and trail.span.failed and trail.span.error_message:
        return _said(trail.span.error_type or trail.span.sign, trail.span.error_message, trail.span.end_ns)
    found = [v for v in judgement.verdicts if (v.agent or v.step.agent or "unknown") == name and RANK[severity_of(v)] >= RANK["error"]]
    if found:
        worst = max(found, key=_gravity)
        return _said(worst.code, worst.summary, worst.step.end_ns)
    return None if trail.span is None else _said(trail.span.error_type or trail.span.sign, "", trail.span.end_ns)


def _gravity(verdict: Verdict) -> tuple[int, float, int]:
    return RANK[severity_of(verdict)], score_of(verdict), verdict.step.end_ns


def _said(kind: str, message: str, time_ns: int) -> dict[str, object]:
    return {"type": clean(kind), "message": clip(clean(redact(message[: 4 * WORDS_CAP])), WORDS_CAP), "timestamp": time_ns / 1e9}


def _phase(rounds: dict[str, _Trail], found: RunProgress) -> Phase:
    if found.winner is not None or any(trail.round_type == "presentation" for trail in rounds.values()):
        return "presentation"
    return "enforcement" if all(trail.said is not None or trail.round_type == "voting" for trail in rounds.values()) else "initial_answer"
