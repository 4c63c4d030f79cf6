"""Attempts that an orchestrator has turned down, as a record lists them: with the field names of MassGen's `reliability`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from spantriage.model import Verdict
from spantriage.redact import redact
from spantriage.text import clean, clip

__all__ = ["WORKFLOW_ERRORS", "Attempt", "attempt_of", "by_round", "is_counted", "is_last", "is_retried"]

Attempt = dict[str, object]
PREVIEW_CAP: Final = 500
RETRIES_FLAG: Final = 2
# An attempt is counted when it is followed by another; that a call failed counts at once.
FAILED_CALLS: Final = frozenset(("api_error", "fatal_api_error"))
# Reasons that are misuse of the workflow's tools; the others are their absence, or somebody else's failure.
WORKFLOW_ERRORS: Final = frozenset(
    ("vote_no_answers", "vote_and_answer", "invalid_vote_id", "answer_limit", "answer_novelty", "answer_duplicate")
)


def attempt_of(verdict: Verdict, before: Sequence[Attempt]) -> Attempt:
    """What the verdict on a turned-down attempt tells of it; where it has no number it is the next of its round."""
    note = verdict.step.note or {}
    chars = note.get("buffer_chars")
    return {
        "round": note.get("round"),
        "attempt": note.get("attempt") or 1 + sum(each["round"] == note.get("round") for each in before),
        "max_attempts": note.get("max_attempts"),
        "reason": verdict.reason or "unknown",
        "tool_calls": note.get("tool_calls", []),
        "error_message": _safe(note.get("error_message") or verdict.summary),
        "buffer_preview": _safe(note.get("buffer_preview")),
        "buffer_chars": chars if type(chars) is int else 0,
        "timestamp": verdict.step.end_ns / 1e9,
    }


def is_last(verdict: Verdict) -> bool:
    """Say whether nothing came after the attempt: its round is exhausted."""
    return bool((verdict.step.note or {}).get("is_last_attempt"))


def is_counted(verdict: Verdict) -> bool:
    """Say whether the attempt is listed and its text lost."""
    return not is_last(verdict) or verdict.reason in FAILED_CALLS


def by_round(attempts: Sequence[Attempt]) -> dict[str, dict[str, object]]:
    """The attempts of each round: `{"0": {"count": 2, "reasons": [...]}}`."""
    rounds: dict[str, list[object]] = {}
    for attempt in attempts:
        rounds.setdefault(str(attempt["round"]), []).append(attempt["reason"])
    return {number: {"count": len(reasons), "reasons": reasons} for number, reasons in rounds.items()}


def is_retried(attempts: Sequence[Attempt]) -> bool:
    """Say whether a round had more than one of them turned down."""
    return any(number >= RETRIES_FLAG for number in Counter(str(attempt["round"]) for attempt in attempts).values())


def _safe(said: object) -> str | None:
    """Agent text without credentials and control characters."""
    return clean(redact(clip(said, PREVIEW_CAP))) if type(said) is str else None
