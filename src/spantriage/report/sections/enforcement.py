"""Replies that were turned down: how often, in which rounds, why, and what was lost with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spantriage.report.case import Case
from spantriage.report.words import Cell, Ref, Section, Sentence, code, missing, tell

__all__ = ["enforcement"]

FLAGS: Final = {
    "retries_in_round": "two or more retries in one round",
    "chars_lost": "more than 5000 characters lost",
    "unknown_tools": "tools asked for that do not exist",
}
COLUMNS: Final = ("Agent", "Retries", "Characters Lost", "Unknown Tools", "Workflow Errors", "Outcome", "Red Flags")


def enforcement(case: Case) -> Section:
    """Each agent's figures, its rounds, every attempt, the red flags."""
    section = Section("Enforcement & Workflow Reliability Analysis")
    if case.log is None and not case.attempts:
        section.add(missing("status.json, or spans of an orchestrator that turns replies down; what follows is told by the spans alone."))
    section.table(COLUMNS, [_row(case, name) for name in case.records], missing("no agent did any work."))
    section.heading("By Round")
    section.table(("Agent", "Round", "Retries", "Reasons"), _rounds(case), Sentence("No reply was turned down."))
    section.heading("Attempts")
    section.listing(_attempts(case), Sentence("No reply was turned down."))
    section.heading("Red Flags")
    section.listing(_flags(case), Sentence("None: fewer than two retries in any round, at most 5000 characters lost, no unknown tool."))
    return section


def _row(case: Case, name: str) -> tuple[tuple[Cell, ...], list[Ref]]:
    record = case.records[name]
    told = case.file("status.json", "agents", name, "reliability")
    own = [step for step in case.attempts if step.agent == name]
    return (
        tell("{}", name),
        len(record.enforcement_attempts),
        record.total_buffer_chars_lost,
        tell("{}", ", ".join(record.unknown_tools) or "none"),
        tell("{}", ", ".join(record.workflow_errors) or "none"),
        record.outcome,
        ", ".join(FLAGS[flag] for flag in record.red_flags) or "none",
    ), [*told, *case.cite(*own)]


def _rounds(case: Case) -> Iterator[tuple[tuple[Cell, ...], list[Ref]]]:
    for name, record in case.records.items():
        for number, told in record.by_round.items():
            reasons = told.get("reasons")
            own = [step for step in case.attempts if step.agent == name and str((step.note or {}).get("round")) == number]
            cells: tuple[Cell, ...] = (
                tell("{}", name),
                tell("{}", number),
                tell("{}", told.get("count")),
                tell("{}", ", ".join(map(str, reasons)) if isinstance(reasons, list) else "-"),
            )
            yield cells, case.cite(*own)


def _attempts(case: Case) -> Iterator[Sentence]:
    for step in case.attempts[:100]:
        note = step.note or {}
        words = "{} {}, round {}, attempt {} of {}: {} ({} characters lost). {}"
        values = [case.offset(step.end_ns), step.agent, *(note.get(k, "?") for k in ("round", "attempt", "max_attempts"))]
        yield tell(
            words,
            *values,
            code(note.get("enforcement_reason")),
            note.get("buffer_chars") or 0,
            note.get("error_message") or "",
            refs=case.cite(step),
        )


def _flags(case: Case) -> Iterator[Sentence]:
    for name, record in case.records.items():
        refs = [
            ref
            for f in case.findings
            if f.agent == name and f.code in ("flow.workflow_violation", "tool.unknown", "flow.output_lost")
            for ref in case.refs_of(f)
        ]
        for flag in record.red_flags:
            names = [", ".join(record.unknown_tools)] if flag == "unknown_tools" else []
            yield tell("{}: " + FLAGS[flag] + (" ({})." if names else "."), name, *names, refs=refs)
