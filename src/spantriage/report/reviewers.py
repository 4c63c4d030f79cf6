"""Three reviewers look at one run from different sides: correctness, efficiency, behaviour. Each by rules, none by a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from spantriage.report.case import NS, Case
from spantriage.report.figures import UNKNOWN, money, number, seconds, share
from spantriage.report.sections.correctness import checks, issues
from spantriage.report.sections.duplication import repeats
from spantriage.report.sections.efficiency import operations
from spantriage.report.sections.signs import conduct_of, signs
from spantriage.report.words import Section, Sentence, code, tell
from spantriage.summary import total

__all__ = ["REVIEWERS", "review"]

POINTS: Final = 5  # of each reviewer


def review(case: Case) -> Section:
    """What each of the three has to say, at most a handful of points."""
    section = Section("Reviews")
    for name, looks in REVIEWERS.items():
        section.heading(f"{name.capitalize()} Reviewer")
        section.listing(list(looks(case))[:POINTS], Sentence("Nothing to object to."))
    return section


def _correctness(case: Case) -> Iterator[Sentence]:
    boxes = list(checks(case))
    done = [box for box in boxes if box.done]
    refs = [ref for box in done for ref in box.because.refs[:1]]
    yield tell("{} of {} boxes of the coordination are ticked.", len(done), len(boxes), refs=refs)
    for box in boxes:
        if box.done is False:
            yield tell("Not so: {}. {}", box.title, "".join(part for _, part in box.because.parts), refs=box.because.refs)
    yield from issues(case)


def _efficiency(case: Case) -> Iterator[Sentence]:
    slowest = operations(case)[:1]
    for step in slowest:
        spent = step.duration_ns / NS
        words = "The slowest operation, {} of {}, takes {} ({} of the run)."
        yield tell(words, code(step.tool or step.name), step.agent, seconds(spent), share(spent, case.duration_s), refs=case.cite(step))
    cost = total(record.cost_usd for record in case.records.values())
    wasted = total(record.wasted_cost_usd for record in case.records.values())
    if cost is not None:
        yield tell("It cost {}; of that was wasted: {}.", money(cost), UNKNOWN if wasted is None else money(wasted), refs=case.whole)
    again = repeats(case)
    if again:
        calls = [call for repeat in again for call in repeat.calls[1:]]
        yield tell("{} had been made before with the same result.", number(len(calls), "call"), refs=case.cite(*calls))
    if case.attempts:
        yield tell("Replies that were turned down and asked for again: {}.", len(case.attempts), refs=case.cite(*case.attempts))


def _behaviour(case: Case) -> Iterator[Sentence]:
    for name in case.records:
        for pattern, agent, sign, told, refs in signs(case, conduct_of(case, name)):
            if sign in ("Bad", "Mixed"):
                yield tell("{} of {}, {}: {}.", pattern, agent, sign.lower(), "".join(part for _, part in told.parts), refs=refs)
    for name, record in case.records.items():
        if record.red_flags:
            refs = [ref for finding in case.findings if finding.agent == name for ref in case.refs_of(finding)]
            yield tell("{} has red flags: {}.", name, ", ".join(flag.replace("_", " ") for flag in record.red_flags), refs=refs)


REVIEWERS: Final[dict[str, Callable[[Case], Iterator[Sentence]]]] = {
    "correctness": _correctness,
    "efficiency": _efficiency,
    "behaviour": _behaviour,
}
