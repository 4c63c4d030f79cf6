"""Pages of several runs: held against each other, or a whole fleet."""

from __future__ import annotations

from spantriage.report.case import Case
from spantriage.report.charts import WIDTH, Stack
from spantriage.report.comparing import name_of
from spantriage.report.figures import UNKNOWN, money
from spantriage.report.fleet import Fleet
from spantriage.report.fleet_document import rate
from spantriage.report.page import page
from spantriage.report.timeline import draw
from spantriage.report.words import Document, outside

__all__ = ["compare_page", "fleet_page"]

DAYS = 60
CAUSES = 12


def compare_page(cases: list[Case], document: Document) -> str:
    """Several runs, their timelines on one scale."""
    scale_s = max(case.duration_s for case in cases)
    return page("compare.html.j2", document, timelines=[(outside(name_of(case), 120), draw(case, scale_s)) for case in cases])


def fleet_page(fleet: Fleet, document: Document) -> str:
    """A fleet."""
    return page(
        "fleet.html.j2",
        document,
        level="bad" if fleet.failed else "good",
        title=f"{fleet.failed:,} of {fleet.runs:,} runs failed" if fleet.failed else f"None of {fleet.runs:,} runs failed",
        tiles=[
            ("Runs", f"{fleet.runs:,}"), ("Failure rate", rate(fleet.failed, fleet.runs)), ("Spans", f"{fleet.spans:,}"),
            ("Findings", f"{fleet.findings:,}"), ("Cost", money(sum(fleet.costs)) if fleet.costs else UNKNOWN),
        ],
        days=_days(fleet),
        causes=_causes(fleet),
    )  # fmt: skip


def _days(fleet: Fleet) -> list[Stack]:
    shown = sorted(fleet.days.items())[-DAYS:]
    most = max((part.number for _, part in shown), default=1)
    return [_stack(day, part.failed, part.number, most, f"{part.failed} of {part.number}") for day, part in shown]


def _causes(fleet: Fleet) -> list[Stack]:
    shown = sorted(fleet.clusters.values(), key=lambda cluster: (-cluster.runs, cluster.code, cluster.agent or ""))[:CAUSES]
    most = max((cluster.runs for cluster in shown), default=1)
    return [_stack(each.code, each.runs, each.runs, most, f"{each.agent or '-'}: {each.runs}") for each in shown]


def _stack(name: str, failed: int, number: int, most: int, told: str) -> Stack:
    wide, rest = WIDTH * failed / most, WIDTH * (number - failed) / most
    pieces = [
        ("wasted", 0.0, round(wide, 1), f"failed: {failed}"),
        ("cost", round(wide, 1), round(rest, 1), f"not failed: {number - failed}"),
    ]
    return Stack(outside(name, 40), tuple(piece for piece in pieces if piece[2]), outside(told, 40))
