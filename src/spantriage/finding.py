"""The published form of a verdict: one JSON object per line, the same live and offline."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from spantriage import __version__
from spantriage.cause import score_of, severity_of
from spantriage.model import Severity, Step, Verdict
from spantriage.redact import redact
from spantriage.text import clean, clip

__all__ = ["Evidence", "Finding", "finding_id", "make_finding", "timestamp"]

EXCERPT_CAP: Final = 200
WORDS_CAP: Final = 500
EVIDENCE_CAP: Final = 8


class Evidence(BaseModel):
    """A span that proves a finding, with a short redacted excerpt of what it says."""

    model_config = ConfigDict(frozen=True)

    trace_id: str = Field(description="32 hex digits")
    span_id: str = Field(description="16 hex digits")
    name: str = Field(description="the span's name")
    excerpt: str | None = Field(default=None, description="an error's own words, redacted; null where there are none")


class Finding(BaseModel):
    """A claim about somebody's system: something failed here, with the spans that prove it.

    A later line with the same `finding_id` replaces the earlier one; severity "info" with score 0 withdraws it.
    """

    model_config = ConfigDict(extra="ignore")

    finding_id: str = Field(description="deterministic: the same spans give the same id in any order, live or offline")
    code: str = Field(description="detector code, such as tool.silent_failure")
    category: str = Field(description="infrastructure, resource_limit, model_logic, tool_issue or capability_gap")
    subcategory: str | None = None
    kind: Literal["incident", "outcome"] = Field(description="something broke here, or this agent or run failed")
    severity: Severity
    score: float = Field(ge=0, le=1, description="how likely the claim holds")
    confidence: Literal["high", "medium", "low"] = Field(description="the score in words")
    primary: bool = Field(default=False, description="the root cause of its run; true on at most one finding of a run")
    trace_id: str = Field(description="32 hex digits")
    span_id: str = Field(description="16 hex digits: the anchor span")
    agent: str | None = None
    evidence: list[Evidence] = Field(default_factory=list)
    summary: str = Field(description="one sentence: what happened")
    root_cause: str | None = Field(default=None, description="one sentence: why, as far as the spans say")
    actionable: str = Field(default="none", description='one sentence: what to change; "none" when nothing can be done')
    trial_name: str | None = None
    task_name: str | None = None
    outcome: str | None = Field(default=None, description="the run's, where it is known: passed, failed, error or analysis_error")
    wasted_tokens: int | None = None
    wasted_cost_usd: float | None = None
    reason: str | None = Field(default=None, description="the detector's own finer word, such as an exception type")
    time: str = Field(description="when the anchor span ended, ISO 8601 in UTC")
    detector_version: str = __version__
    source: str = Field(default="live", description='the file that holds the anchor span, or "live"')
    writer_id: str | None = Field(default=None, description="which writer wrote the line")
    seq: int | None = Field(default=None, description="gapless number of the line within its writer")

    @property
    def withdrawn(self) -> bool:
        """True when this line takes an earlier one back."""
        return self.score == 0 and self.severity == "info"


def finding_id(code: str, trace_id: int, span_id: int, agent: str | None) -> str:
    """16 hex digits that depend on the claim alone. `agent` only where it is not simply the anchor span's own."""
    return blake2b(f"{trace_id:032x}/{span_id:016x}/{code}/{agent or ''}".encode("utf-8", "replace"), digest_size=8).hexdigest()


def make_finding(
    verdict: Verdict,
    *,
    primary: bool = False,
    outcome: str | None = None,
    trial_name: str | None = None,
    task_name: str | None = None,
) -> Finding:
    """Publish a verdict: every text in it cleaned, redacted and capped."""
    detector, step = verdict.detector, verdict.step
    score = score_of(verdict)
    spans = verdict.evidence or (step,)
    return Finding(
        finding_id=finding_id(detector.code, step.trace_id, step.span_id, verdict.agent),
        code=detector.code,
        category=detector.category,
        subcategory=detector.subcategory,
        kind=detector.kind,
        severity=severity_of(verdict),
        score=score,
        confidence="high" if score >= 0.8 else "medium" if score >= 0.5 else "low",
        primary=primary,
        trace_id=f"{step.trace_id & (1 << 128) - 1:032x}",
        span_id=f"{step.span_id & (1 << 64) - 1:016x}",
        agent=_words(verdict.agent or step.agent or verdict.near, EXCERPT_CAP),
        evidence=[_evidence(s) for s in spans[:EVIDENCE_CAP]],
        summary=_words(verdict.summary, WORDS_CAP) or detector.code,
        root_cause=_words(verdict.root_cause, WORDS_CAP),
        actionable=_words(verdict.actionable or detector.actionable, WORDS_CAP) or "none",
        trial_name=trial_name,
        task_name=task_name,
        outcome=outcome,
        wasted_tokens=verdict.wasted_tokens,
        wasted_cost_usd=verdict.wasted_cost_usd,
        reason=_words(verdict.reason, EXCERPT_CAP),
        time=timestamp(step.end_ns),
        source=clean(step.source or "live"),  # names of files are as hostile as any text
    )


def timestamp(time_ns: int) -> str:
    """ISO 8601 in UTC with microseconds; a time that no calendar holds becomes the epoch."""
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="microseconds")


def _evidence(step: Step) -> Evidence:
    """Only an error's own words are quoted; prompts, arguments and healthy results are not."""
    said = step.error_message if step.failed else step.result if step.kind == "tool" and step.sign != "ok" else None
    return Evidence(
        trace_id=f"{step.trace_id & (1 << 128) - 1:032x}",
        span_id=f"{step.span_id & (1 << 64) - 1:016x}",
        name=_words(step.name, EXCERPT_CAP) or "",
        excerpt=_words(said, EXCERPT_CAP),
    )


def _words(said: str | None, cap: int) -> str | None:
    return None if said is None else clip(" ".join(clean(redact(said[: cap * 4])).split()), cap)
