"""When who did what, as bars: a row for each agent, lanes where its steps overlap, its findings as marks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from spantriage.cause import RANK
from spantriage.model import Step
from spantriage.report.case import NS, Case
from spantriage.report.figures import seconds, tokens
from spantriage.report.words import outside

__all__ = ["Bar", "Mark", "Row", "Timeline", "draw"]

LEFT: Final = 150  # units kept for names; the drawing is 1200 wide
WIDTH: Final = 1_040
LANE: Final = 13
LANES: Final = 8  # of one agent; what overlaps more is drawn over the last
BARS: Final = 6_000
LEAST: Final = 2.0  # units that the shortest bar is wide
TICKS: Final = 6
DRAWN: Final = ("agent", "model", "tool", "retrieval", "guardrail")


@dataclass(frozen=True, slots=True)
class Bar:
    """One step."""

    x: float
    y: float
    width: float
    kind: str
    failed: bool
    step: str  # the span's id
    told: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One finding, at the end of its step."""

    x: float
    y: float
    severity: str
    finding: str
    told: str


@dataclass(slots=True)
class Row:
    """One agent."""

    agent: str
    y: float
    height: float = 0
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass(slots=True)
class Timeline:
    """The drawing, in units of an image 1200 wide."""

    rows: list[Row]
    ticks: list[tuple[float, str]]
    height: float
    left_out: int = 0  # steps beyond the cap


def draw(case: Case, scale_s: float | None = None) -> Timeline:
    """Lay the run out; `scale_s` is how long the whole width stands for, so that several runs can be compared."""
    start = case.times[0]
    whole = max((scale_s or case.duration_s) * NS, 1)
    steps = [step for step in case.steps if step.kind in DRAWN]
    rows: list[Row] = []
    y = 24.0
    for agent in case.records:
        row = Row(outside(agent, 22), y)
        lanes: list[int] = []
        for step in [each for each in steps[:BARS] if each.agent == agent]:
            lane = _lane(lanes, step)
            x = LEFT + min(max((step.start_ns - start) / whole, 0), 1) * WIDTH
            width = max(min(step.duration_ns / whole * WIDTH, LEFT + WIDTH - x), LEAST)
            row.bars.append(
                Bar(
                    round(x, 1),
                    y + 12 + lane * LANE,
                    round(width, 1),
                    step.kind,
                    _failed(step),
                    f"{step.span_id & (1 << 64) - 1:016x}",
                    _told(case, step),
                )
            )
        _mark(case, row, agent, start, whole)
        row.height = 18 + max(len(lanes), 1) * LANE
        y += row.height + 6
        rows.append(row)
    shown = (scale_s or case.duration_s) or 0.0
    ticks = [(round(LEFT + WIDTH * number / (TICKS - 1), 1), seconds(shown * number / (TICKS - 1))) for number in range(TICKS)]
    return Timeline(rows, ticks, y + 4, max(0, len(steps) - BARS))


def _lane(lanes: list[int], step: Step) -> int:
    """The first lane that is free when the step begins. An agent's own span, which its steps lie in, fills one."""
    for number, until in enumerate(lanes):
        if until <= step.start_ns:
            lanes[number] = max(step.end_ns, step.start_ns + 1)
            return number
    if len(lanes) < LANES:
        lanes.append(max(step.end_ns, step.start_ns + 1))
        return len(lanes) - 1
    return LANES - 1


def _mark(case: Case, row: Row, agent: str, start: int, whole: float) -> None:
    by_id = case.judged.judgement.settled.steps
    for finding in case.findings:
        step = by_id.get(int(finding.span_id, 16))
        if step is not None and RANK[finding.severity] and (finding.agent or step.agent) == agent:
            x = LEFT + min(max((step.end_ns - start) / whole, 0), 1) * WIDTH
            row.marks.append(Mark(round(x, 1), row.y + 2, finding.severity, finding.finding_id, f"{finding.code}: {finding.summary}"))


def _failed(step: Step) -> bool:
    return (step.failed or (step.kind == "tool" and step.sign != "ok")) and step.sign != "echo"


def _told(case: Case, step: Step) -> str:
    what = f"{step.kind} {outside(step.tool or step.name, 80)}, {seconds(step.duration_ns / NS)} from {case.offset(step.start_ns)}"
    used = (
        f", {tokens(step.input_tokens)} tokens in, {tokens(step.output_tokens)} out" if step.kind == "model" and step.input_tokens else ""
    )
    return what + used + (f", failed: {outside(step.error_message or step.sign, 120)}" if _failed(step) else "")
