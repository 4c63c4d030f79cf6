"""5: what agents made of each other's answers: answers, votes, and how they decided between the two."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final

from spantriage.report.case import Case
from spantriage.report.figures import seconds
from spantriage.report.moments import Moment
from spantriage.report.words import Ref, Section, Sentence, missing, tell

__all__ = ["behaviour"]

SIMILAR: Final = 0.5  # of two texts, above which the later one builds on the earlier
COMPARED: Final = 2_000  # characters of each
WORDS: Final = 4  # a reason of fewer says little


def behaviour(case: Case) -> Section:
    """Answers, votes, decisions, collaboration, rounds that did not end."""
    section = Section("5. Agent Behavior Analysis")
    nothing = missing("answers and votes; the run was not coordinated in rounds, or its events were not kept.")
    section.heading("Answer Progression")
    answers = [*case.of("answer"), *case.of("final")]
    rows = [
        ((tell("{}", m.label or "-"), tell("{}", m.agent), case.offset(m.when_ns), tell("{}", m.said or "not recorded")), [m.ref])
        for m in answers
    ]
    section.table(("Label", "Agent", "Time", "Summary"), rows, nothing)
    section.heading("Voting Analysis")
    votes = [
        (
            (tell("{}", m.agent), tell("{}", m.label or m.target or "-"), tell("“{}”", m.said) if m.said else "no reason was recorded"),
            [m.ref],
        )
        for m in case.of("vote")
    ]
    section.table(("Voter", "Voted For", "Reasoning Summary"), votes, nothing)
    section.heading("Vote vs New Answer Decisions")
    section.listing(_decisions(case), nothing)
    section.heading("Agent Collaboration Quality")
    section.listing(_collaboration(case), nothing)
    section.heading("Timeouts/Incomplete Rounds")
    section.listing(
        _incomplete(case), Sentence("None: every round that began was brought to its end." if case.rounds else "No data: rounds.")
    )
    return section


def _before(case: Case, moment: Moment) -> Moment | None:
    """Which answers the agent was last shown before it decided."""
    own = [m for m in case.of("context") if m.agent == moment.agent and m.when_ns <= moment.when_ns]
    return own[-1] if own else None


def _decisions(case: Case) -> Iterator[Sentence]:
    for moment in case.of("answer", "vote", "vote_ignored"):
        shown = _before(case, moment)
        seen = (
            "was shown no answer"
            if shown is not None and not shown.seen
            else "was shown {}"
            if shown is not None
            else "was shown what nothing tells of"
        )
        did = {"answer": "submitted {}", "vote": "voted for {}", "vote_ignored": "voted, which was not counted{}"}[moment.kind]
        values = [moment.agent, *([", ".join(shown.seen)] if shown is not None and shown.seen else []), moment.label or moment.target or ""]
        yield tell("{} " + seen + " and " + did + ".", *values, refs=[*([shown.ref] if shown is not None else []), moment.ref])


def _collaboration(case: Case) -> Iterator[Sentence]:
    if not case.of("answer", "vote"):
        return
    reading = [m for m in case.of("context") if _others(case, m)]
    yield _yes(
        "Did agents read each other's answers?",
        bool(reading),
        "rounds that began with another agent's answer in the context: {}",
        len(reading),
        [m.ref for m in reading],
    )
    built, copies = _built(case)
    words = "answers that are close to an earlier one of another agent: {}" + (f", word for word: {copies}" if copies else "")
    yield _yes("Did agents build upon previous work?", bool(built) and copies < len(built), words, len(built), built)
    votes = case.of("vote")
    reasoned = [m for m in votes if len((m.said or "").split()) >= WORDS]
    own = [m for m in votes if _owner(case, m) == m.agent]
    words = f"votes with a reason of {WORDS} words or more: {{}} of {len(votes)}; votes for the voter's own answer: {len(own)}"
    yield _yes(
        "Did agents provide genuine evaluation?",
        bool(reasoned) and len(own) < len(votes),
        words,
        len(reasoned),
        [m.ref for m in reasoned or votes],
    )


def _yes(question: str, holds: bool, evidence: str, number: int, refs: list[Ref]) -> Sentence:
    return tell(f"{question} {'Yes' if holds else 'No'}: {evidence}.", number, refs=refs)


def _others(case: Case, moment: Moment) -> bool:
    owners = {answer.label: answer.agent for answer in case.of("answer")}
    return any(owners.get(label, label) != moment.agent for label in moment.seen)


def _owner(case: Case, vote: Moment) -> str | None:
    owners = {answer.label: answer.agent for answer in case.of("answer")}
    return owners.get(vote.label, vote.target)


def _built(case: Case) -> tuple[list[Ref], int]:
    """Answers that resemble an earlier one of somebody else, and how many of those are copies."""
    found: list[Ref] = []
    copies = 0
    earlier: list[Moment] = []
    for moment in case.of("answer"):
        said = (moment.said or "")[:COMPARED]
        ratios = [
            SequenceMatcher(None, (m.said or "")[:COMPARED], said).ratio() for m in earlier if m.agent != moment.agent and m.said and said
        ]
        if max(ratios, default=0) >= SIMILAR:
            found.append(moment.ref)
            copies += max(ratios) == 1
        earlier.append(moment)
    return found, copies


def _incomplete(case: Case) -> Iterator[Sentence]:
    for moment in case.of("timeout", "error", "cancelled", "stopped"):
        yield tell("{}: {} at {}.", moment.agent, moment.kind, case.offset(moment.when_ns), refs=[moment.ref])
    for step in case.rounds:
        note = step.note or {}
        if note.get("outcome") == "restarted":
            words = "Round {} of {} was cut off after {}, since a new answer had come."
            yield tell(words, note.get("round"), step.agent, seconds(step.duration_ns / 1e9), refs=case.cite(step))
        elif step.failed:
            yield tell("Round {} of {} failed: {}", note.get("round"), step.agent, step.error_message or step.sign, refs=case.cite(step))
    for finding in case.findings:
        if finding.code in ("infra.timeout", "model.timeout", "flow.never_ended", "flow.cancelled"):
            yield tell("{} ({})", finding.summary, finding.code, refs=case.refs_of(finding))
