"""trace.clock_skew"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import ANY_KIND, Detector
from spantriage.detectors.example import EPOCH, SECOND, answers, asks, calls, span
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


@dataclass(frozen=True, slots=True)
class ClockSkew(Detector):
    """The times of spans contradict each other: an end before its start, or a child wholly outside its parent.

    ## Why it matters
    Durations, latencies and the order of events are not to be trusted where it happens. Steps are put into order by
    their start, so that a loop or a recovery may be missed.

    ## What to do
    Synchronise the clocks of the machines that write the trace, and take all times of one span from one clock.

    ## When it is wrong
    Work that was started late by a task which outlived its parent lies outside it too; children that begin while their
    parent runs never count.
    """

    code = "trace.clock_skew"
    category = "infrastructure"
    severity = "info"
    actionable = "Synchronise the clocks of the machines that write the trace."
    speaks_of = ANY_KIND

    apart_s: float = 1.0
    """How many seconds a child may lie outside its parent."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak of a span that ends before it starts."""
        if 0 < step.end_ns < step.start_ns:
            early = (step.start_ns - step.end_ns) / 1e9
            yield self.found(step, f"{step.name} ends {early:.3f} s before it starts", reason="negative_duration", score=1.0)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for the run of children that lie outside their parents."""
        limit = int(self.apart_s * 1e9)
        outside: list[tuple[Step, int]] = []
        for step in settled.sequence:
            parent = settled.steps.get(step.parent_id) if step.parent_id is not None else None
            if parent is None or step.implied or step.start_ns == step.end_ns:  # a log, and those may come late
                continue
            if not (step.start_ns and step.end_ns and parent.start_ns and parent.end_ns):
                continue
            gap = max(parent.start_ns - step.end_ns, step.start_ns - parent.end_ns)
            if gap > limit:
                outside.append((step, gap))
        if outside:
            first, gap = outside[0]
            summary = f"{len(outside)} spans lie outside their parents, {first.name} by {gap / 1e9:.1f} s"
            yield self.found(first, summary, evidence=[s for s, _ in outside], reason="outside_parent", score=0.7)

    fires_on = (
        (answers("done", start_ns=EPOCH + 2 * SECOND, end_ns=EPOCH + SECOND),),
        (answers("done", start_ns=EPOCH - 9 * SECOND, end_ns=EPOCH - 8 * SECOND),),
        (span("workflow", "node", span_id=50), answers("done", parent_id=50, start_ns=EPOCH + 60 * SECOND, end_ns=EPOCH + 61 * SECOND)),
    )
    quiet_on = (
        (answers("done"),),
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (span("workflow", "node", span_id=50), answers("late", parent_id=50, start_ns=EPOCH + SECOND, end_ns=EPOCH + 60 * SECOND)),
        (span("workflow", "node", span_id=50), answers("soon", parent_id=50, start_ns=EPOCH + 2 * SECOND, end_ns=EPOCH + 3 * SECOND)),
    )
