"""8 and 9: what to change, by priority, and as issues to file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage.cause import RANK
from spantriage.report.case import Case
from spantriage.report.commands import advice, patterns
from spantriage.report.sections.correctness import shrunk
from spantriage.report.sections.duplication import repeats
from spantriage.report.sections.patterns import OFTEN
from spantriage.report.words import Cell, Ref, Section, Sentence, tell

__all__ = ["Advice", "advise", "issues", "recommendations"]

LEVELS: Final = (("High", "High Priority"), ("Medium", "Medium Priority"), ("Low", "Low Priority / Future Improvements"))
AREAS: Final = {
    "tool": "tooling",
    "loop": "agent-behavior",
    "flow": "agent-behavior",
    "model": "provider",
    "infra": "infrastructure",
    "cost": "performance",
    "python": "tooling",
    "history": "agent-behavior",
    "trace": "instrumentation",
    "command": "performance",
    "work": "performance",
}
LOST: Final = "Check that what is presented holds the answer that was chosen, and present that one where it does not."
NOTE: Final = (
    "Based on the analysis, the following issues are suggested for tracking. They are proposals: create them only "
    "after a person has approved them, with the label log-analysis."
)


@dataclass(slots=True)
class Advice:
    """One change to make: what is wrong, what to do, how urgent, and what shows it."""

    level: str
    title: str
    values: tuple[str, ...]
    cure: str
    area: str
    number: int = 1
    refs: list[Ref] = field(default_factory=list)


def advise(case: Case) -> list[Advice]:
    """Every change that the run asks for, the most urgent first."""
    found: dict[tuple[str, str], Advice] = {}
    for finding in sorted(case.findings, key=lambda f: (-RANK[f.severity], not f.primary, f.time)):
        if finding.actionable == "none":
            continue
        key = (finding.code, finding.actionable)
        if key in found:
            found[key].number += 1
            found[key].refs += case.refs_of(finding)
            continue
        rank = RANK[finding.severity]
        level = "High" if finding.primary or rank >= 2 or _is_flagged(case, finding.code) else "Medium" if rank == 1 else "Low"
        found[key] = Advice(
            level,
            "{}: {}",
            (finding.code, finding.summary),
            finding.actionable,
            AREAS.get(finding.code.split(".")[0], "agent-behavior"),
            1,
            case.refs_of(finding),
        )
    order = [level for level, _ in LEVELS]
    lost = [
        Advice(
            "High",
            "What was presented does not hold the answer that was voted for: “{}”",
            (sentence.values[-1],),
            LOST,
            "agent-behavior",
            1,
            list(sentence.refs),
        )
        for sentence in shrunk(case)
    ]
    return sorted([*lost, *found.values(), *_habits(case)], key=lambda each: order.index(each.level))


def _is_flagged(case: Case, code: str) -> bool:
    flags = {flag for record in case.records.values() for flag in record.red_flags}
    return (code == "flow.workflow_violation" and "retries_in_round" in flags) or (code == "flow.output_lost" and "chars_lost" in flags)


def _habits(case: Case) -> Iterator[Advice]:
    for pattern in [each for each in patterns(case) if each.times >= OFTEN][:5]:
        issue, cure = advice(pattern.name)
        yield Advice("Low", f"{issue}: {{}}", (pattern.name,), f"{cure}.", "performance", pattern.times, case.cite(*pattern.calls))
    for repeat in repeats(case)[:5]:
        yield Advice(
            "Low",
            "Done again with the same result: {}",
            (repeat.what,),
            "Share the first result.",
            "performance",
            len(repeat.calls),
            case.cite(*repeat.calls),
        )


def recommendations(case: Case) -> Section:
    """Three lists."""
    section = Section("8. Recommendations")
    found = advise(case)
    for level, title in LEVELS:
        section.heading(title)
        own = [each for each in found if each.level == level]
        section.listing((_said(each) for each in own), Sentence("None."), numbered=True)
    return section


def _said(each: Advice) -> Sentence:
    often = f" ({each.number} times)" if each.number > 1 else ""
    return tell(f"{each.title}{often}. {{}}", *each.values, each.cure, refs=each.refs)


def issues(case: Case) -> Section:
    """A table of issues to file."""
    section = Section("9. Suggested Linear Issues")
    section.add(Sentence(NOTE))
    rows: list[tuple[tuple[Cell, ...], list[Ref]]] = []
    for each in advise(case):
        often = f" Seen {each.number} times." if each.number > 1 else ""
        title = tell(each.title, *each.values)
        rows.append(((each.level, title, tell("{}" + often, each.cure), f"log-analysis, {each.area}"), each.refs))
    section.table(("Priority", "Title", "Description", "Labels"), rows, Sentence("None: nothing was found that asks for a change."))
    return section
