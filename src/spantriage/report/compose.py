"""A run's whole report, section by section, in the order of the document that people know."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from spantriage.report.case import Case
from spantriage.report.reviewers import review
from spantriage.report.sections.advice import issues, recommendations
from spantriage.report.sections.appendix import appendix
from spantriage.report.sections.behaviour import behaviour
from spantriage.report.sections.correctness import correctness
from spantriage.report.sections.costs import costs
from spantriage.report.sections.duplication import duplication
from spantriage.report.sections.efficiency import efficiency
from spantriage.report.sections.enforcement import enforcement
from spantriage.report.sections.errors import errors
from spantriage.report.sections.overview import overview, summary
from spantriage.report.sections.patterns import command_patterns
from spantriage.report.sections.reasoning import reasoning
from spantriage.report.sections.tools import tool_reliability
from spantriage.report.words import Cell, Document, Section, code, tell

__all__ = ["compose"]

BEFORE: Final[tuple[Callable[[Case], Section], ...]] = (summary, overview)
AFTER: Final[tuple[Callable[[Case], Section], ...]] = (
    efficiency,
    command_patterns,
    duplication,
    behaviour,
    costs,
    errors,
    reasoning,
    tool_reliability,
    enforcement,
    recommendations,
    issues,
    appendix,
)


def compose(case: Case, *, generated: str, truth: str | None = None, link: str | None = None, reviewed: bool = False) -> Document:
    """Write the report. Without `truth` it never says whether an answer is right; `reviewed` adds what three reviewers say."""
    labels = case.judged.judgement.run.labels
    log = case.log.key.split("/")[0] if case.log is not None and case.log.key else None
    name = log or labels.get("trial_name") or os.path.basename(case.judged.source or "") or "unknown"
    facts: list[tuple[str, Cell]] = [
        ("Session", tell("{}", name)),
        ("Trace ID", tell("{}", code(f"{case.judged.judgement.run.trace_id:032x}"))),
        ("Generated", generated),
        ("Logfire Link", tell("{}", link) if link else "not available: the run was read from files"),
    ]
    title = "MassGen Log Analysis Report" if log or labels.get("form") == "massgen" or _is_massgen(case) else "Run Analysis Report"
    reviews = [review(case)] if reviewed else []
    sections = [*(write(case) for write in BEFORE), *reviews, correctness(case, truth), *(write(case) for write in AFTER)]
    return Document(title, facts, sections)


def _is_massgen(case: Case) -> bool:
    return any(step.dialect == "massgen" for step in case.steps)
