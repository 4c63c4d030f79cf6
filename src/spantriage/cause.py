"""Which finding is the cause, how bad it was, how the run ended. A documented order of evidence, no model.

A failure that reached the root outranks one that the run survived; an error outranks a warning; of equals the first
in time wins, because what comes later tends to follow from it.
"""

from __future__ import annotations

from typing import Final

from spantriage.model import Severity, Step, Verdict
from spantriage.run import Run
from spantriage.settled import Settled
from spantriage.state import RunState

__all__ = ["choose_primary", "decide_outcome", "failure_score", "score_of", "severity_of", "weigh"]

RANK: Final[dict[Severity, int]] = {"info": 0, "warning": 1, "error": 2, "critical": 3}
# What work has cost takes no run down, even where it is told of a span whose failure did.
COSTS: Final = frozenset({"cost.runaway", "cost.duplicate_work"})
# A failed final outcome says that the run failed, not why: an incident before it is the better cause.
CONSEQUENCES: Final = COSTS | {"flow.error", "flow.no_final_answer", "flow.step_limit", "flow.cancelled", "flow.output_lost"}


def severity_of(verdict: Verdict) -> Severity:
    """The verdict's own severity, else its detector's."""
    return verdict.severity or verdict.detector.severity


def score_of(verdict: Verdict) -> float:
    """How likely the claim holds, 0..1: the verdict's own score, else its detector's."""
    return verdict.detector.score if verdict.score is None else verdict.score


def weigh(verdicts: list[Verdict], settled: Settled) -> list[Verdict]:
    """One verdict per code and anchor; what took the whole run down becomes an error, unless its detector has set a severity."""
    kept: dict[tuple[str, int, int, str | None], Verdict] = {}
    for verdict in verdicts:
        step = verdict.step
        key = (verdict.code, step.trace_id, step.span_id, verdict.agent)
        if key in kept:
            continue
        if verdict.severity is None and severity_of(verdict) == "warning" and _is_fatal(verdict, settled):
            verdict.severity = "error"
        kept[key] = verdict
    return sorted(kept.values(), key=lambda v: (v.step.order, v.code))


def choose_primary(verdicts: list[Verdict], settled: Settled, *, assume_failed: bool = False) -> Verdict | None:
    """The root cause, if the run has a failure to explain; with `assume_failed` the best guess there is."""
    bar = 0 if assume_failed else RANK["error"]
    candidates = [v for v in verdicts if RANK[severity_of(v)] >= bar and score_of(v) >= 0.5]
    if not candidates:
        return None
    loudest = max(candidates, key=lambda v: _evidence(v, settled))
    if loudest.code not in CONSEQUENCES or assume_failed:
        return loudest
    earlier = [
        v
        for v in verdicts
        if v.code not in CONSEQUENCES and RANK[severity_of(v)] >= 1 and score_of(v) >= 0.5 and v.step.start_ns <= loudest.step.end_ns
    ]
    return max(earlier, key=lambda v: _evidence(v, settled), default=loudest)


def _evidence(verdict: Verdict, settled: Settled) -> tuple[bool, bool, int, float, int, int]:
    step = verdict.step
    return (
        _is_fatal(verdict, settled),
        verdict.code not in CONSEQUENCES,
        RANK[severity_of(verdict)],
        score_of(verdict),
        -step.start_ns,
        -step.span_id,
    )


def _is_fatal(verdict: Verdict, settled: Settled) -> bool:
    step = verdict.step
    return step.span_id in settled.fatal and not step.implied and verdict.code not in COSTS


def decide_outcome(run: Run, state: RunState, settled: Settled, verdicts: list[Verdict]) -> str:
    """How the run ended: what the source knows, else "error" (its root or last agent failed), "failed" (an outcome finding) or "ok".

    Also writes each agent's own outcome into its record.
    """
    for name, record in state.records.items():
        spans = [a.span for a in state.agents.values() if a.name == name and a.span is not None]
        record.outcome = "error" if any(s.failed for s in spans) else "failed" if record.exhausted else "ok"
    for verdict in verdicts:
        found = state.records.get(verdict.agent or verdict.step.agent or "unknown")
        if found is not None and found.outcome == "ok" and _is_outcome(verdict):
            found.outcome = "failed"
    known = run.labels.get("outcome")
    if known:
        return known
    dead = settled.dead
    if dead is not None:
        return "cancelled" if _was_cancelled(dead, verdicts) else "error"
    return "failed" if any(_is_outcome(v) for v in verdicts) else "ok"


def _was_cancelled(dead: Step, verdicts: list[Verdict]) -> bool:
    return dead.sign == "cancelled" or any(v.code == "flow.cancelled" and v.step.span_id == dead.span_id for v in verdicts)


def _is_outcome(verdict: Verdict) -> bool:
    return verdict.detector.kind == "outcome" and RANK[severity_of(verdict)] >= RANK["error"] and score_of(verdict) >= 0.5


def failure_score(verdicts: list[Verdict], outcome: str) -> float:
    """How likely it is that the run as a whole failed, 0..1. Incidents alone prove little: most runs recover."""
    if outcome in ("error", "analysis_error"):
        return 0.95
    if outcome == "cancelled":
        return 0.6
    claims = [score_of(v) for v in verdicts if _is_outcome(v)]
    incidents = sum(1 for v in verdicts if v.detector.kind == "incident" and RANK[severity_of(v)] >= 1)
    return round(max([min(0.3, 0.05 * incidents), *claims]), 4)
