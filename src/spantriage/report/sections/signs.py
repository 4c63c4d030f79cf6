"""Signs of good and bad conduct, by fixed thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from spantriage.deeds import deed_of
from spantriage.model import Step
from spantriage.report.case import Case
from spantriage.report.moments import Moment
from spantriage.report.words import Ref, Sentence, code, tell

__all__ = ["Conduct", "conduct_of", "signs"]

PIVOT: Final = 3  # failures of one call after which a good agent has tried something else
STUBBORN: Final = 6  # failures of one call that are a bad sign
ENDLESS: Final = 8  # checks in a row with nothing changed between them
PATTERNS: Final = ("Failure detection", "Result validation", "Inconsistency handling", "Workarounds", "Time management")


@dataclass(slots=True)
class Conduct:
    """What one agent did, as far as the run tells."""

    agent: str
    calls: list[Step] = field(default_factory=list)
    attempts: list[Step] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    @property
    def failures(self) -> list[Step]:
        """Its tool calls that failed."""
        return [call for call in self.calls if call.sign not in ("ok", "echo")]

    @property
    def streaks(self) -> list[list[Step]]:
        """Runs of the same call failing, one after the other."""
        runs = (list(own) for _, own in groupby(self.calls, key=lambda c: (c.tool, c.arguments_digest, c.sign not in ("ok", "echo"))))
        return [own for own in runs if own[0].sign not in ("ok", "echo")]

    @property
    def checks(self) -> list[Step]:
        """Its calls that check something."""
        return [call for call in self.calls if deed_of(call) == "check"]

    @property
    def answered(self) -> bool:
        """Whether it came to an answer or a vote."""
        return any(moment.kind in ("answer", "vote", "final") for moment in self.moments)


def conduct_of(case: Case, agent: str) -> Conduct:
    """Everything that an agent did."""
    return Conduct(
        agent,
        [call for call in case.calls if call.agent == agent],
        [step for step in case.attempts if step.agent == agent],
        [moment for moment in case.moments if moment.agent == agent],
    )


def signs(case: Case, conduct: Conduct) -> Iterator[tuple[str, str, str, Sentence, list[Ref]]]:
    """Each of the key patterns: (pattern, agent, Good, Bad, Mixed or -, what was seen, where)."""
    for name, (sign, told, refs) in zip(PATTERNS, (rule(case, conduct) for rule in RULES), strict=True):
        yield name, conduct.agent, sign, told, refs


Seen = tuple[str, Sentence, list[Ref]]


def _failure_detection(case: Case, conduct: Conduct) -> Seen:
    worst = max(conduct.streaks, key=len, default=[])
    if len(worst) >= STUBBORN:
        return "Bad", tell("{} failed {} times in a row unchanged", code(worst[0].tool), len(worst)), case.cite(*worst)
    if worst and len(worst) <= PIVOT:
        return "Good", tell("changed its approach after {} failures at most", len(worst)), case.cite(*worst)
    if worst:
        return "Mixed", tell("repeated a failing call {} times before it changed", len(worst)), case.cite(*worst)
    return "-", Sentence("none of its tool calls failed" if conduct.calls else "it ran no tool"), []


def _validation(case: Case, conduct: Conduct) -> Seen:
    blind = [f for f in case.findings if f.agent == conduct.agent and f.code in ("flow.no_verification", "flow.invented_result")]
    if blind:
        return "Bad", tell("{}", blind[0].summary), case.refs_of(blind[0])
    if conduct.checks:
        return "Good", tell("{} checks of its own", len(conduct.checks)), case.cite(*conduct.checks)
    return "-", Sentence("no check was recorded, and none was clearly needed"), []


def _inconsistency(case: Case, conduct: Conduct) -> Seen:
    found = [f for f in case.findings if f.agent == conduct.agent and f.code == "tool.inconsistent"]
    if not found:
        return "-", Sentence("no tool contradicted itself"), []
    last = {ref for f in found for ref in case.refs_of(f)}
    return "Mixed", tell("{} contradictions of tools", len(found)), sorted(last, key=str)


def _workarounds(case: Case, conduct: Conduct) -> Seen:
    codes = ("flow.gave_up", "loop.error_retry", "loop.cycle", "loop.no_progress", "loop.repeated_call")
    stuck = [f for f in case.findings if f.agent == conduct.agent and f.code in codes]
    if stuck:
        return "Bad", tell("{}", stuck[0].summary), case.refs_of(stuck[0])
    failed = [*conduct.failures, *conduct.attempts]
    if not failed:
        return "-", Sentence("it was never stuck"), []
    after = any(m.kind in ("answer", "vote", "final") and m.when_ns >= failed[-1].end_ns for m in conduct.moments)
    after = after or any(call.sign == "ok" and call.start_ns >= failed[-1].end_ns for call in conduct.calls)
    return (
        ("Good", Sentence("went on after every failure"), case.cite(*failed))
        if after
        else ("Mixed", Sentence("nothing followed its last failure"), case.cite(failed[-1]))
    )


def _time(case: Case, conduct: Conduct) -> Seen:
    longest = max(
        (list(own) for is_check, own in groupby(conduct.calls, key=lambda c: deed_of(c) == "check") if is_check), key=len, default=[]
    )
    if len(longest) >= ENDLESS:
        return "Bad", tell("{} checks in a row with no change between them", len(longest)), case.cite(*longest)
    if conduct.answered:
        done = [m.ref for m in conduct.moments if m.kind in ("answer", "vote", "final")]
        return "Good", tell("committed {} times", len(done)), done
    return (
        ("Bad", Sentence("came to no answer and no vote"), case.cite(*conduct.attempts))
        if case.rounds
        else ("-", Sentence("nothing tells when it committed"), [])
    )


RULES: Final = (_failure_detection, _validation, _inconsistency, _workarounds, _time)
