"""What a run's coordination did, one thing after the other, whether its log tells it or its spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.model import Step
from spantriage.report.places import Places
from spantriage.report.words import Ref
from spantriage.sources.massgen_log import Log

__all__ = ["Moment", "moments_of"]

SNAPSHOTS: Final = 1_000  # of one agent
RESTART_NS: Final = 10_000_000  # spans tell each agent of one restart within this
# What the coordination's log and its spans call the same thing.
KINDS: Final = {
    "new_answer": "answer", "vote_cast": "vote", "vote_ignored": "vote_ignored", "restart_completed": "restart",
    "agent_restart": "restart", "final_agent_selected": "winner", "winner_selected": "winner", "final_answer": "final",
    "agent_timeout": "timeout", "agent_error": "error", "agent_cancelled": "cancelled", "agent_stopped": "stopped",
    "agent_round_context": "context",
}  # fmt: skip


@dataclass(slots=True)
class Moment:
    """Something that the coordination did: an answer, a vote, a restart, the choice of a winner."""

    kind: str
    agent: str | None
    when_ns: int
    ref: Ref
    label: str | None = None
    said: str | None = None  # the answer, or the reason of a vote
    target: str | None = None
    round: int | None = None
    seen: tuple[str, ...] = ()  # labels of the answers that the agent had before it


def moments_of(steps: Iterable[tuple[Step, Ref]], log: Log | None, places: Places | None) -> list[Moment]:
    """Everything in order, from steps with their places and from what the log tells besides."""
    found = [_moment(step, ref) for step, ref in steps]
    found += _contexts(log, places)
    moments = _once(sorted((each for each in found if each is not None), key=lambda each: each.when_ns))
    for moment in moments:
        unplaced = moment.said is None or (moment.ref.span_id is None and moment.ref.line is None)
        if moment.kind == "vote" and unplaced and log is not None and places is not None and not log.alone:
            _give_reason(moment, log, places)
    latest: dict[str, str] = {}
    for moment in moments:
        if moment.kind == "answer" and moment.agent and moment.label:
            latest[moment.agent] = moment.label
        moment.seen = tuple(latest.get(name, name) for name in moment.seen)  # spans name the agents, not their answers
    return moments


def _moment(step: Step, ref: Ref) -> Moment | None:
    note = step.note or {}
    kind = KINDS.get(str(note.get("event_type")))
    if kind is None:
        return None
    said = note.get("answer_preview") if kind in ("answer", "final") else note.get("reason")
    target, label = note.get("voted_for"), note.get("voted_for_label" if kind == "vote" else "answer_label")
    shown = note.get("answers")
    labels = tuple(sorted(shown)) if isinstance(shown, dict) else ()
    number = note.get("round")
    return Moment(
        kind, step.agent, step.end_ns, ref, label if isinstance(label, str) else None, said if isinstance(said, str) else None,
        target if isinstance(target, str) else None, number if type(number) is int else None, labels,
    )  # fmt: skip


def _give_reason(vote: Moment, log: Log, places: Places) -> None:
    """Where no event tells why an agent voted, its own `vote.json` does."""
    own = log.folder.sub(vote.agent or "")
    for snapshot in list(own.subs())[:SNAPSHOTS] if own is not None else ():
        told = snapshot.json("vote.json") if snapshot.has("vote.json") else {}
        reason, label = told.get("reason"), told.get("voted_for_label")
        if isinstance(reason, str) and reason and vote.label in (None, label):
            vote.said, vote.label = reason, label if isinstance(label, str) else vote.label
            vote.ref = places.ref(f"{vote.agent}/{snapshot.name}/vote.json", "reason")


def _once(moments: list[Moment]) -> list[Moment]:
    """One moment for each choice of a winner, and for each restart that several agents were told of."""
    kept: list[Moment] = []
    for moment in moments:
        before = next((each for each in reversed(kept) if each.kind == moment.kind), None)
        if before is not None and moment.kind == "winner" and before.agent == moment.agent:
            kept.remove(before)
        elif (
            before is not None
            and moment.kind == "restart"
            and moment.when_ns - before.when_ns < RESTART_NS
            and moment.agent != before.agent
        ):
            before.agent = ", ".join(filter(None, (before.agent, moment.agent)))
            continue
        kept.append(moment)
    return kept


def _contexts(log: Log | None, places: Places | None) -> Iterator[Moment]:
    """Which answers an agent was shown, as the coordination's log tells."""
    for event in log.events if log is not None else ():
        if event.kind == "context_received":
            shown = event.context.get("available_answer_labels")
            labels = tuple(str(label) for label in shown) if isinstance(shown, list) else ()
            ref = (places.at(event.when_ns) if places is not None else None) or Ref(file="coordination_events.json")
            number = event.context.get("round")
            yield Moment("context", event.agent, event.when_ns, ref, round=number if type(number) is int else None, seen=labels)
