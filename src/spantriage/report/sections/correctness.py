"""1: did the coordination do what it is for? Whether an answer is right, only ground truth can say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from spantriage.report.case import Case
from spantriage.report.moments import Moment
from spantriage.report.words import Check, Section, Sentence, missing, tell

__all__ = ["checks", "correctness", "issues", "shrunk"]

PHASES: Final = ("initial_answer", "voting", "presentation")
FLOW: Final = {
    "answer": "{} {} submitted {}: “{}”",
    "vote": "{} {} voted for {}: “{}”",
    "vote_ignored": "{} {}'s vote was not counted, since a new answer had come",
    "restart": "{} restart of {}",
    "winner": "{} {} was selected to present the answer",
    "final": "{} {} presented {}: “{}”",
    "timeout": "{} {} ran out of time",
    "error": "{} {} ended in an error",
    "cancelled": "{} {} was cancelled",
    "stopped": "{} {} was stopped",
}
SHOWN: Final = 200  # moments of the flow
SHRUNK: Final = 0.5  # a final answer this much shorter than the one voted for has lost something


def correctness(case: Case, truth: str | None = None) -> Section:
    """The flow, five boxes, what went wrong; and, with ground truth, whether the answer holds it."""
    section = Section("1. Correctness Analysis")
    section.heading("Coordination Flow")
    section.listing(
        _flow(case), missing("answers, votes and the choice of a winner; the run was not coordinated, or its events were not kept.")
    )
    section.heading("Status")
    section.add(*checks(case))
    section.heading("Issues Found")
    section.listing(issues(case), Sentence("None: nothing in the flow contradicts itself."))
    section.heading("Ground Truth")
    section.add(_compare(case, truth))
    return section


def _flow(case: Case) -> Iterator[Sentence]:
    flow = [moment for moment in case.moments if moment.kind in FLOW]
    for moment in flow[:SHOWN]:
        words, told = FLOW[moment.kind], moment.label or moment.target or "an answer"
        values = (case.offset(moment.when_ns), moment.agent, told, moment.said or "not recorded")
        yield tell(words, *values[: words.count("{}")], refs=[moment.ref])
    if len(flow) > SHOWN:
        yield tell("{} more follow.", len(flow) - SHOWN)


def checks(case: Case) -> Iterator[Check]:
    """The five boxes of the document."""
    rounds, agents = case.rounds, list(case.records)
    if not rounds and not case.moments:
        why = missing("the run has no coordinated rounds.")
        for title in ("All phases completed", "All agents submitted answers", "Voting completed correctly", "Winner selected"):
            yield Check(title, None, why)
    else:
        seen = {str((step.note or {}).get("round_type")) for step in rounds}
        absent = [phase for phase in PHASES if phase not in seen]
        words = "rounds of {} were recorded" if not absent else "no round of {} was recorded"
        yield Check("All phases completed", not absent, tell(words, ", ".join(absent or PHASES), refs=case.cite(*rounds[:3])))
        answered = {moment.agent for moment in case.of("answer")}
        silent = [agent for agent in agents if agent not in answered]
        words = "{} answers by {}" if not silent else "{} answers; none by {}"
        refs = [moment.ref for moment in case.of("answer")]
        yield Check("All agents submitted answers", not silent, tell(words, len(refs), ", ".join(silent or agents), refs=refs))
        yield _voting(case, agents)
        chosen = case.of("winner")[-1:]
        done = case.winner is not None
        why = tell("{} was selected", case.winner, refs=[m.ref for m in chosen]) if done else Sentence("no winner is told")
        yield Check("Winner selected", done, why)
    answer = case.answer
    done = answer is not None and bool(answer[0].strip())
    why = tell("{} characters were delivered", len(answer[0]), refs=answer[1]) if answer else Sentence("no final answer was recorded")
    yield Check("Final answer delivered", done if answer or case.moments else None, why)


def _voting(case: Case, agents: list[str]) -> Check:
    """Everybody's last vote counted, and the winner is whom most of them name."""
    title = "Voting completed correctly"
    votes = case.of("vote")
    last = {vote.agent: vote for vote in votes}
    if not last:
        return Check(title, False, Sentence("no vote was recorded"))
    tally: dict[str, int] = {}
    for vote in last.values():
        target = vote.label or vote.target or "unknown"
        tally[target] = tally.get(target, 0) + 1
    silent = [agent for agent in agents if agent not in last]
    told = ", ".join(f"{target}: {number}" for target, number in sorted(tally.items(), key=lambda each: (-each[1], each[0])))
    words = "{} of {} agents voted ({})" + ("; no vote by {}" if silent else "")
    why = tell(words, len(last), len(agents), told, *([", ".join(silent)] if silent else []), refs=[vote.ref for vote in last.values()])
    return Check(title, not silent and _is_won(case, tally), why)


def _is_won(case: Case, tally: dict[str, int]) -> bool:
    """Say whether the winner is among those with the most votes; by whose answer it is that was voted for."""
    owners = {moment.label: moment.agent for moment in case.of("answer")}
    most = max(tally.values())
    return case.winner in {owners.get(target, target) for target, number in tally.items() if number == most}


def issues(case: Case) -> Iterator[Sentence]:
    """What contradicts itself in the flow."""
    answers = {moment.label: moment for moment in case.of("answer") if moment.label}
    yield from shrunk(case)
    seen: dict[str, Moment] = {}
    for moment in answers.values():
        text = (moment.said or "").strip()
        first = seen.setdefault(text, moment) if text else moment
        if first is not moment:
            words = "{} by {} is word for word {} by {}."
            yield tell(words, moment.label, moment.agent, first.label, first.agent, refs=[moment.ref, first.ref])
    for moment in case.of("vote_ignored"):
        yield tell("A vote of {} was not counted, since a new answer had come meanwhile.", moment.agent, refs=[moment.ref])
    for moment in case.of("vote"):
        owner = answers[moment.label].agent if moment.label in answers else moment.target
        if owner is not None and owner == moment.agent:
            yield tell("{} voted for its own answer {}.", moment.agent, moment.label or "", refs=[moment.ref])
    if case.judged.judgement.run.labels.get("unfinished"):
        yield tell("The log says that the run is not complete.", refs=case.file("status.json", "is_complete"))
    for name, record in case.records.items():
        if record.outcome != "ok":
            yield tell(
                "Agent {} ended as “{}”.", name, record.outcome, refs=[r for f in case.findings if f.agent == name for r in case.refs_of(f)]
            )


def shrunk(case: Case) -> Iterator[Sentence]:
    """Say where the final answer is much less than the one that was voted for."""
    answers = {moment.label: moment for moment in case.of("answer") if moment.label}
    final = next((moment for moment in reversed(case.of("final")) if moment.said), None)
    votes = [vote.label for vote in case.of("vote") if vote.label in answers]
    if final is None or not votes:
        return
    chosen = answers[max(sorted(set(filter(None, votes))), key=votes.count)]
    if chosen.said and final.said and len(final.said) < SHRUNK * len(chosen.said) and chosen.said not in final.said:
        words = "What was presented ({} characters: “{}”) does not hold the answer that was voted for ({}, {} characters: “{}”)."
        yield tell(words, len(final.said), final.said, chosen.label, len(chosen.said), chosen.said, refs=[final.ref, chosen.ref])


def _compare(case: Case, truth: str | None) -> Sentence:
    if truth is None:
        return Sentence("None was supplied: this report tells what each agent claimed, and not whether it holds.")
    if case.answer is None:
        return tell("The ground truth is “{}”; no final answer was recorded to hold against it.", truth)
    said, refs = case.answer
    words = {
        "same": "The final answer is the ground truth as supplied (“{}”).",
        "holds": "The final answer holds the ground truth as supplied (“{}”), among other words.",
        "other": "The final answer does not hold the ground truth as supplied (“{}”).",
    }[_verdict(said, truth)]
    return tell(words + " It reads: “{}”", truth, said, refs=refs)


def _verdict(said: str, truth: str) -> str:
    one, two = _normal(said), _normal(truth)
    if one == two:
        return "same"
    return "holds" if two and re.search(rf"(?<![\w.]){re.escape(two)}(?![\w]|\.\d)", one) else "other"


def _normal(text: str) -> str:
    """Case, spacing and forms of characters do not matter; neither do thousands' commas and a full stop at the end."""
    flat = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return re.sub(r"(?<=\d),(?=\d{3})", "", flat).strip(" .")
