"""The report of many runs, section by section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from spantriage.cause import RANK
from spantriage.comparison import wilson
from spantriage.report.figures import money, number, seconds
from spantriage.report.fleet import Cluster, Fleet, Part, most
from spantriage.report.words import Cell, Document, Ref, Row, Section, Sentence, code, missing, tell

__all__ = ["compose_fleet", "rate"]

SHOWN: Final = 20
TOP_ACTIONS: Final = 15


def compose_fleet(fleet: Fleet, *, generated: str, name: str, skips: Iterable[str] = ()) -> Document:
    """Write it."""
    facts: list[tuple[str, Cell]] = [("Runs", tell("{} in {}", f"{fleet.runs:,}", name)), ("Generated", generated)]
    sections = [
        _summary(fleet), _outcomes(fleet), _clusters(fleet), _codes(fleet),
        _parts("Worst Agents", "Agent", "Runs", fleet.agents), _parts("Worst Tools", "Tool", "Calls", fleet.tools),
        _costs(fleet), _trends(fleet), _parts("Tasks", "Task", "Runs", fleet.tasks), _first(fleet), _actions(fleet), _left(skips),
    ]  # fmt: skip
    return Document("Fleet Analysis Report", facts, sections)


def rate(failed: int, of: int) -> str:
    """`12.0 % (95 %: 7.0 to 19.8)`."""
    low, high = wilson(failed, of)
    return f"{100 * failed / of:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})" if of else "unknown"


def _runs(seen: Iterable[str]) -> list[Ref]:
    return [Ref(file=f"run:{trace_id}") for trace_id in seen]


def _summary(fleet: Fleet) -> Section:
    section = Section("Executive Summary")
    section.add(tell("{} of {} failed: {}.", fleet.failed, number(fleet.runs, "run"), rate(fleet.failed, fleet.runs)))
    largest = next(iter(_ranked(fleet)), None)
    if largest is not None and largest.example is not None:
        words = "The most frequent cause is {} in agent {} ({}), such as: {}"
        section.add(
            tell(words, code(largest.code), largest.agent, number(largest.runs, "run"), largest.example.summary, refs=_runs(largest.seen))
        )
    else:
        section.add(Sentence("No run has a cause of failure to tell."))
    return section


def _outcomes(fleet: Fleet) -> Section:
    section = Section("Outcomes")
    rows: list[Row] = [((name, count, rate(count, fleet.runs)), []) for name, count in most(fleet.outcomes).items()]
    section.table(("Outcome", "Runs", "Share"), rows, missing("no run."))
    section.heading("By Category")
    found: list[Row] = [((name, count), []) for name, count in most(fleet.by_category).items()]
    section.table(("Category", "Findings"), found, Sentence("Nothing was found."))
    section.heading("By Subcategory")
    finer: list[Row] = [((name, count), []) for name, count in most(fleet.by_subcategory).items()]
    section.table(("Subcategory", "Findings"), finer, Sentence("Nothing was found."))
    return section


def _ranked(fleet: Fleet) -> list[Cluster]:
    return sorted(fleet.clusters.values(), key=lambda cluster: (-cluster.runs, cluster.code, cluster.reason or "", cluster.agent or ""))


def _clusters(fleet: Fleet) -> Section:
    section = Section("Failure Clusters")
    ranked = _ranked(fleet)
    rows: list[Row] = [
        (
            (
                code(c.code), tell("{}", c.agent or "-"), c.runs, rate(c.runs, fleet.runs),
                tell("{}", c.example.summary if c.example else "-"), tell("{}", c.example.actionable if c.example else "-"),
            ),
            _runs(c.seen),
        )
        for c in ranked[:SHOWN]
    ]  # fmt: skip
    section.table(("Cause", "Agent", "Runs", "Of All Runs", "Such As", "What to Do"), rows, Sentence("No run failed."))
    if len(ranked) > SHOWN:
        section.add(tell("{} more causes, of {} runs.", len(ranked) - SHOWN, sum(c.runs for c in ranked[SHOWN:])))
    return section


def _codes(fleet: Fleet) -> Section:
    section = Section("Findings by Code")
    ranked = sorted(fleet.by_code.items(), key=lambda each: (-RANK[each[0][1]], -each[1], each[0][0]))  # type: ignore[index]  # a severity
    rows: list[Row] = [((severity, code(name), count), []) for (name, severity), count in ranked[:60]]
    section.table(("Severity", "Code", "Findings"), rows, Sentence("Nothing was found."))
    return section


def _parts(title: str, noun: str, unit: str, parts: Mapping[str, Part]) -> Section:
    """Those that surely fail most often first: by the lower end of the interval, so that one bad try of one is not the worst."""
    section = Section(title)
    ranked = sorted(parts.items(), key=lambda each: (-wilson(each[1].failed, each[1].number)[0], -each[1].failed, -each[1].number, each[0]))
    rows: list[Row] = [
        ((tell("{}", name), part.number, part.failed, rate(part.failed, part.number), money(part.cost_usd or None)), _runs(part.seen))
        for name, part in ranked[:SHOWN]
    ]
    section.table((noun, unit, "Failed", "Failure Rate", "Cost"), rows, missing(f"no {noun.lower()} is told by these runs."))
    return section


def _costs(fleet: Fleet) -> Section:
    section = Section("Cost and Time")
    rows: list[Row] = []
    for name, amounts, say in (("Cost of a run", fleet.costs, money), ("Time of a run", fleet.durations, seconds)):
        if amounts:
            ordered = sorted(amounts)
            told = (say(ordered[min(int(len(ordered) * share), len(ordered) - 1)]) for share in (0.5, 0.9, 0.99))
            rows.append(((name, len(ordered), say(sum(ordered)), say(sum(ordered) / len(ordered)), *told, say(ordered[-1])), []))
    section.table(("Figure", "Runs", "Sum", "Mean", "Median", "90 %", "99 %", "Most"), rows, missing("no run tells its cost or time."))
    if len(fleet.costs) < fleet.runs:
        section.add(tell("Of {} no cost is known.", number(fleet.runs - len(fleet.costs), "run")))
    return section


def _trends(fleet: Fleet) -> Section:
    section = Section("Trends")
    rows: list[Row] = [
        ((tell("{}", day), part.number, part.failed, rate(part.failed, part.number), money(part.cost_usd or None)), _runs(part.seen))
        for day, part in sorted(fleet.days.items())[-60:]
    ]
    section.table(("Day", "Runs", "Failed", "Failure Rate", "Cost"), rows, missing("no run tells when it began."))
    return section


def _first(fleet: Fleet) -> Section:
    section = Section("Runs to Look at First")
    rows: list[Row] = [
        ((code(trace_id), f"{score:.2f}", tell("{}", cause), tell("{}", source)), _runs([trace_id]))
        for score, trace_id, source, cause in sorted(fleet.worst, reverse=True)
    ]
    section.table(("Run", "Failure Score", "Cause", "File"), rows, missing("no run."))
    return section


def _actions(fleet: Fleet) -> Section:
    section = Section("What to Change")
    told: Iterator[Sentence] = (tell("({}x) {}", count, action) for action, count in list(most(fleet.actions).items())[:TOP_ACTIONS])
    section.listing(told, Sentence("Nothing."), numbered=True)
    return section


def _left(skips: Iterable[str]) -> Section:
    section = Section("Appendix")
    section.heading("What Could Not Be Read")
    section.listing((tell("{}", said) for said in list(skips)[:50]), Sentence("Everything that was found could be read."))
    return section
