"""2: where the time went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spantriage import text
from spantriage.model import Step
from spantriage.report.case import NS, Case
from spantriage.report.figures import seconds, share
from spantriage.report.words import Cell, Ref, Section, Sentence, code, missing, tell
from spantriage.sources.talk import mapping

__all__ = ["efficiency", "operations"]

PHASES: Final = ("initial_answer", "voting", "presentation")
TOP: Final = 3
COLUMNS: Final = ("Phase", "Count", "Avg (s)", "Max (s)", "Total (s)", "% of Total")


def efficiency(case: Case) -> Section:
    """Each phase's time, the slowest operations, the slowest tools."""
    section = Section("2. Efficiency Analysis")
    section.heading("Phase Duration Breakdown")
    phases = _phases(case)
    whole = sum(step.duration_ns for steps in phases.values() for step in steps)
    if not case.rounds:
        section.add(Sentence("The run has no rounds; its time is told by kind of step."))
    section.table(COLUMNS, [_row(case, name, steps, whole) for name, steps in phases.items()], missing("no step has a duration."))
    section.add(
        tell(
            "The whole run took {}. Phases of several agents overlap; the share is of all phases together.",
            seconds(case.duration_s),
            refs=case.file("status.json", "elapsed_seconds"),
        )
    )
    section.add(*_model_time(case))
    section.heading("Top Bottlenecks")
    section.listing(_bottlenecks(case), missing("no single operation has a duration of its own."), numbered=True)
    section.add(_slowest_tools(case))
    return section


def _model_time(case: Case) -> Iterator[Sentence]:
    timing = mapping(case.log.summary.get("api_timing")) if case.log is not None else {}
    if timing.get("total_calls"):
        spent = text.number(timing.get("total_time_ms"))
        told = seconds(None if spent is None else spent / 1e3)
        yield tell("{} model calls took {} in all.", timing.get("total_calls"), told, refs=case.file("metrics_summary.json", "api_timing"))


def _phases(case: Case) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    if case.rounds:
        found = {phase: [] for phase in PHASES}
        for step in case.rounds:
            found.setdefault(str((step.note or {}).get("round_type")), []).append(step)
        return found
    for step in case.steps:
        if step.kind not in ("workflow", "event", "other") and not step.implied:
            found.setdefault(step.kind, []).append(step)
    return found


def _row(case: Case, name: str, steps: list[Step], whole: int) -> tuple[tuple[Cell, ...], list[Ref]]:
    if not steps:
        return (tell("{}", name), 0, "-", "-", "-", "-"), []
    spent = [step.duration_ns / NS for step in steps]
    told = (f"{sum(spent) / len(spent):.2f}", f"{max(spent):.2f}", f"{sum(spent):.2f}", share(sum(spent), whole / NS))
    return (tell("{}", name), len(steps), *told), case.cite(*sorted(steps, key=lambda step: -step.duration_ns))


def operations(case: Case) -> list[Step]:
    """Single operations with a duration of their own, the longest first; rounds where nothing finer was recorded."""
    fine = [s for s in case.steps if s.kind in ("model", "tool", "retrieval", "guardrail") and not s.implied and s.duration_ns]
    found = fine if len(fine) >= TOP or not case.rounds else case.rounds
    return sorted(found, key=lambda step: (-step.duration_ns, step.order))


def _bottlenecks(case: Case) -> Iterator[Sentence]:
    for step in operations(case)[:TOP]:
        spent = step.duration_ns / NS
        what = step.tool or step.name
        yield tell(
            "{} of {}: {} ({} of the run)", code(what), step.agent, seconds(spent), share(spent, case.duration_s), refs=case.cite(step)
        )


def _slowest_tools(case: Case) -> Sentence:
    spent: dict[str, int] = {}
    for call in case.calls:
        if not call.implied:
            spent[call.tool or call.name] = spent.get(call.tool or call.name, 0) + call.duration_ns
    if not spent:
        return (
            tell("No tool ran.", refs=case.file("status.json", "total_execution_time_ms"))
            if not case.calls
            else missing("how long tools took.")
        )
    ranked = sorted(spent.items(), key=lambda each: (-each[1], each[0]))[:TOP]
    longest = sorted((c for c in case.calls if (c.tool or c.name) == ranked[0][0]), key=lambda c: -c.duration_ns)
    told = ", ".join(f"{name} {seconds(ns / NS)}" for name, ns in ranked)
    return tell("Tools that took the most time: {}.", told, refs=case.cite(*longest[:2]))
