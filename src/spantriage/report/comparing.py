"""Two or more runs beside each other: figures, agents, findings, and what only some of them have."""

from __future__ import annotations

from collections import Counter
from typing import Final

from spantriage.report.case import Case
from spantriage.report.figures import UNKNOWN, money, seconds, tokens
from spantriage.report.sections.overview import headline
from spantriage.report.words import Cell, Document, Row, Section, Sentence, code, tell
from spantriage.summary import total

__all__ = ["MOST", "compare_runs", "name_of"]

MOST: Final = 8  # runs that fit beside each other


def compare_runs(cases: list[Case], *, generated: str) -> Document:
    """Write it; the first run is what the others are held against."""
    facts: list[tuple[str, Cell]] = [
        (f"Run {number}", tell("{} ({})", name_of(case), code(_trace(case)))) for number, case in enumerate(cases, 1)
    ]
    sections = [_summary(cases), _figures(cases), _agents(cases), _findings(cases)]
    return Document("Run Comparison", [*facts, ("Generated", generated)], sections)


def name_of(case: Case) -> str:
    """What a run is called: its trial, its log, its file."""
    labels = case.judged.judgement.run.labels
    return labels.get("trial_name") or case.judged.source or _trace(case)


def _trace(case: Case) -> str:
    return f"{case.judged.judgement.run.trace_id:032x}"


def _summary(cases: list[Case]) -> Section:
    section = Section("Executive Summary")
    for number, case in enumerate(cases, 1):
        said = headline(case)
        section.add(
            tell("Run {} ended as “{}”. {}", number, case.judged.judgement.outcome, "".join(part for _, part in said.parts), refs=said.refs)
        )
    return section


def _figures(cases: list[Case]) -> Section:
    section = Section("Figures")
    rows: list[Row] = [(("Outcome", *(case.judged.judgement.outcome for case in cases)), [])]
    for title, amounts, say in (
        ("Duration", [case.duration_s for case in cases], seconds),
        ("Steps", [float(len(case.steps)) for case in cases], tokens),
        ("Input tokens", [total(r.input_tokens for r in case.records.values()) for case in cases], tokens),
        ("Output tokens", [total(r.output_tokens for r in case.records.values()) for case in cases], tokens),
        ("Cost", [total(r.cost_usd for r in case.records.values()) for case in cases], money),
        ("Model calls", [total(r.model_calls for r in case.records.values()) for case in cases], tokens),
        ("Tool calls", [total(r.tool_calls for r in case.records.values()) for case in cases], tokens),
        ("Tool errors", [total(r.tool_errors for r in case.records.values()) for case in cases], tokens),
        ("Findings", [float(len(case.findings)) for case in cases], tokens),
        ("Failure score", [case.judged.judgement.failure_score for case in cases], lambda amount: f"{amount or 0:.2f}"),
    ):
        first = amounts[0]
        cells = [say(first), *(f"{say(amount)}{_change(first, amount)}" for amount in amounts[1:])]
        rows.append(((title, *cells), []))
    section.table(("Figure", *(f"Run {number}" for number in range(1, len(cases) + 1))), rows, Sentence(""))
    return section


def _change(first: float | None, amount: float | None) -> str:
    if first is None or amount is None or first == amount:
        return ""
    return f" ({100 * (amount - first) / first:+.1f} %)" if first else ""


def _agents(cases: list[Case]) -> Section:
    section = Section("Agents")
    names = sorted({name for case in cases for name in case.records})
    rows: list[Row] = []
    for name in names:
        cells: list[Cell] = [tell("{}", name)]
        for case in cases:
            record = case.records.get(name)
            number = sum(finding.agent == name for finding in case.findings)
            cells.append(
                "not in it"
                if record is None
                else f"{record.outcome}; {record.tool_calls} tool calls, {record.tool_errors} failed; {number} findings"
            )
        rows.append((tuple(cells), []))
    section.table(("Agent", *(f"Run {number}" for number in range(1, len(cases) + 1))), rows, Sentence(f"Agents: {UNKNOWN}."))
    return section


def _findings(cases: list[Case]) -> Section:
    section = Section("Findings")
    counts = [Counter(finding.code for finding in case.findings) for case in cases]
    codes = sorted({name for count in counts for name in count}, key=lambda name: (-sum(count[name] for count in counts), name))
    rows: list[Row] = []
    for name in codes:
        refs = [ref for case in cases for finding in case.findings if finding.code == name for ref in case.refs_of(finding)[:1]]
        rows.append(((code(name), *(count[name] for count in counts), _who(counts, name)), refs))
    columns = ("Code", *(f"Run {number}" for number in range(1, len(cases) + 1)), "Difference")
    section.table(columns, rows, Sentence("Nothing was found in any of them."))
    return section


def _who(counts: list[Counter[str]], name: str) -> str:
    there = [str(number) for number, count in enumerate(counts, 1) if count[name]]
    return "in all of them" if len(there) == len(counts) else f"only in run {', '.join(there)}"
