"""A judged run in a few figures, as `scan --format json` prints it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from spantriage.redact import redact
from spantriage.replay import Judged
from spantriage.text import clean

__all__ = ["summarise", "tools_of", "total"]

TOOLS: Final = 500  # of one run


def summarise(judged: Judged) -> dict[str, object]:
    """One run: how it ended, why, who was in it, what it took. Unknown figures are null; `labels` is what its source knows."""
    judgement = judged.judgement
    records = judgement.state.records
    steps = judgement.run.steps.values()
    primary = judged.primary
    start, end = min(step.start_ns for step in steps), max(step.end_ns for step in steps)
    return {
        "trace_id": f"{judgement.run.trace_id:032x}",
        "source": None if judged.source is None else clean(judged.source),
        "outcome": judgement.outcome,
        "failure_score": judgement.failure_score,
        "primary": None if primary is None else primary.model_dump(mode="json"),
        "agents": {clean(name): record.as_dict() for name, record in sorted(records.items())},
        "spans": judged.spans,
        "duration_s": round(max(0, end - start) / 1e9, 6),
        "input_tokens": total(record.input_tokens for record in records.values()),
        "output_tokens": total(record.output_tokens for record in records.values()),
        "cost_usd": total(record.cost_usd for record in records.values()),
        "findings": len(judged.findings),
        "labels": dict(sorted(judgement.run.labels.items())),
    }


def tools_of(judged: Judged) -> dict[str, dict[str, int]]:
    """How often each tool was called, and how often that failed."""
    found: dict[str, dict[str, int]] = {}
    for step in judged.judgement.settled.sequence:
        if step.kind == "tool":
            used = found.setdefault(step.tool or step.name, {"calls": 0, "errors": 0})
            used["calls"] += 1
            used["errors"] += step.sign not in ("ok", "echo")
    return {clean(redact(name)): used for name, used in sorted(found.items())[:TOOLS]}


def total(amounts: Iterable[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
