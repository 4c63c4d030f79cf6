"""The reliability record of one agent: counters that may be added up in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage import attempts
from spantriage.latency import Latency
from spantriage.model import Step, Verdict
from spantriage.redact import redact
from spantriage.text import clean, clip, count

__all__ = ["Record"]

NAME_CAP: Final = 80
LISTED: Final = 1_000  # entries of each list
CHARS_LOST_FLAG: Final = 5_000


@dataclass(slots=True)
class Record:
    """How reliable one agent has been. Counts are exact; None means that nobody told us."""

    outcome: str = "ok"
    steps: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    silent_failures: int = 0
    errors: int = 0
    retries: int = 0
    repeats: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    wasted_tokens: int | None = None
    wasted_cost_usd: float | None = None
    unpriced_calls: int = 0  # model calls that told their usage and whose cost nobody knows
    longest_failure_streak: int = 0
    recovery_ns: int | None = None  # the longest time from a first failed tool call to the next that worked
    enforcement_attempts: list[dict[str, object]] = field(default_factory=list)
    unknown_tools: list[str] = field(default_factory=list)
    workflow_errors: list[str] = field(default_factory=list)
    total_buffer_chars_lost: int = 0
    exhausted: int = 0  # rounds in which every attempt was turned down, and nothing came after them
    findings: dict[str, int] = field(default_factory=dict)  # code -> number
    latency: dict[str, Latency] = field(default_factory=dict)  # step kind -> durations
    _counted: bool = False  # a model call has told its usage
    _running: bool = False  # none has: what stands here is the agent's own running total
    _streak: int = 0
    _failing_since_ns: int | None = None

    def add(self, step: Step) -> None:
        """Count one step of the agent. Constant work; called on the agent's thread."""
        kind = step.kind
        self.steps += 1
        if step.failed and step.sign != "echo":
            self.errors += 1
        if kind == "model":
            self.model_calls += 1
            self.add_usage(step)
        elif kind == "tool":
            self.tool_calls += 1
            self._add_outcome(step)
        elif kind == "event":
            self.steps -= 1
            self.add_usage(step)
            return
        elif kind != "agent":
            return
        elif step.cumulative:
            self._add_total(step)
        latency = self.latency.get(kind)
        if latency is None:
            latency = self.latency[kind] = Latency()
        if not step.implied:
            latency.add(step.duration_ns)

    def add_usage(self, step: Step) -> None:
        """Add a model call's tokens and cost, as far as they are known; the first takes the place of running totals."""
        if not self._counted and (step.input_tokens is not None or step.output_tokens is not None):
            self._counted = True
            for name in _USAGE if self._running else ():
                setattr(self, name, None)
            self._running = False
        if step.input_tokens is not None:
            self.input_tokens = (self.input_tokens or 0) + step.input_tokens
        if step.output_tokens is not None:
            self.output_tokens = (self.output_tokens or 0) + step.output_tokens
        if step.cached_tokens is not None:
            self.cached_tokens = (self.cached_tokens or 0) + step.cached_tokens
        if step.reasoning_tokens is not None:
            self.reasoning_tokens = (self.reasoning_tokens or 0) + step.reasoning_tokens
        if step.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + step.cost_usd
        elif step.input_tokens:
            self.unpriced_calls += 1

    def _add_total(self, step: Step) -> None:
        """Where no model call tells its usage, the latest of the agent's running totals is what it has used."""
        for name in () if self._counted else _USAGE:
            total = getattr(step, name)
            if total is not None:
                setattr(self, name, max(getattr(self, name) or 0, total))
                self._running = True

    def _add_outcome(self, step: Step) -> None:
        if step.sign == "ok":
            if self._failing_since_ns is not None:
                took = max(0, step.end_ns - self._failing_since_ns)
                self.recovery_ns = max(self.recovery_ns or 0, took)
                self._failing_since_ns = None
            self._streak = 0
            return
        self.tool_errors += 1
        if not step.failed:
            self.silent_failures += 1
        self._streak += 1
        self.longest_failure_streak = max(self.longest_failure_streak, self._streak)
        if self._failing_since_ns is None:
            self._failing_since_ns = step.end_ns

    def note(self, verdict: Verdict) -> None:
        """Take in what a detector said about the agent."""
        code = verdict.code
        self.findings[code] = self.findings.get(code, 0) + 1
        if code.startswith("loop."):
            self.repeats += 1
        if code == "loop.error_retry":
            self.retries += 1
        if code == "tool.unknown" and verdict.reason:
            self._add_unknown(clean(redact(clip(tool, NAME_CAP))) for tool in verdict.reason.split(", "))
        if verdict.wasted_tokens is not None:
            self.wasted_tokens = (self.wasted_tokens or 0) + verdict.wasted_tokens
        if verdict.wasted_cost_usd is not None:
            self.wasted_cost_usd = (self.wasted_cost_usd or 0.0) + verdict.wasted_cost_usd
        if code == "flow.workflow_violation":
            self._add_enforcement(verdict)
        elif code == "flow.output_lost":
            self.total_buffer_chars_lost += count((verdict.step.note or {}).get("chars_lost")) or 0

    def _add_enforcement(self, verdict: Verdict) -> None:
        reason = verdict.reason or "unknown"
        self.exhausted += attempts.is_last(verdict)
        if attempts.is_counted(verdict):
            self.enforcement_attempts = [*self.enforcement_attempts, attempts.attempt_of(verdict, self.enforcement_attempts)][-LISTED:]
            self.total_buffer_chars_lost += count((verdict.step.note or {}).get("buffer_chars")) or 0
        if reason in attempts.WORKFLOW_ERRORS and reason not in self.workflow_errors:
            self.workflow_errors.append(reason)

    def merge(self, other: Record) -> None:
        """Add another record of the same agent: its earlier invocations, or the part of its subtree."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _AMOUNTS:
            theirs = getattr(other, name)
            if theirs is not None:
                setattr(self, name, (getattr(self, name) or 0) + theirs)
        self._counted = self._counted or other._counted
        self._running = not self._counted and (self._running or other._running)
        self.longest_failure_streak = max(self.longest_failure_streak, other.longest_failure_streak)
        if other.recovery_ns is not None:
            self.recovery_ns = max(self.recovery_ns or 0, other.recovery_ns)
        for code, number in other.findings.items():
            self.findings[code] = self.findings.get(code, 0) + number
        for kind, latency in other.latency.items():
            self.latency.setdefault(kind, Latency()).merge(latency)
        self._add_unknown(other.unknown_tools)
        self.workflow_errors += [word for word in other.workflow_errors if word not in self.workflow_errors]
        self.enforcement_attempts = (self.enforcement_attempts + other.enforcement_attempts)[-LISTED:]

    def _add_unknown(self, tools: Iterable[str]) -> None:
        for tool in tools:
            if tool not in self.unknown_tools and len(self.unknown_tools) < LISTED:
                self.unknown_tools.append(tool)

    @property
    def by_round(self) -> dict[str, dict[str, object]]:
        """Enforcement attempts of each round: `{"0": {"count": 2, "reasons": [...]}}`."""
        return attempts.by_round(self.enforcement_attempts)

    @property
    def red_flags(self) -> list[str]:
        """What a person should look at: retries in one round, much text lost, tools that do not exist."""
        flags = []
        if attempts.is_retried(self.enforcement_attempts):
            flags.append("retries_in_round")
        if self.total_buffer_chars_lost > CHARS_LOST_FLAG:
            flags.append("chars_lost")
        if self.unknown_tools:
            flags.append("unknown_tools")
        return flags

    def rates(self) -> Iterator[tuple[str, float]]:
        """Shares and latencies that follow from the counters, where there is something to divide."""
        if self.tool_calls:
            yield "tool_error_rate", round(self.tool_errors / self.tool_calls, 4)
        if self.input_tokens and self.cached_tokens is not None:
            yield "cache_hit_rate", round(self.cached_tokens / self.input_tokens, 4)
        for kind, latency in self.latency.items():
            yield from ((f"{kind}_{label}_ms", ms) for label, ms in latency.figures())
        if self.recovery_ns is not None:
            yield "recovery_ms", round(self.recovery_ns / 1e6, 3)

    def flat(self) -> Iterator[tuple[str, int | float | str | list[str]]]:
        """The record as flat scalars, for span attributes; what is unknown is left out."""
        yield "outcome", self.outcome
        for name in _COUNTS:
            yield name, getattr(self, name)
        for name in _AMOUNTS:
            value = getattr(self, name)
            if value is not None:
                yield name, value
        yield "longest_failure_streak", self.longest_failure_streak
        yield "enforcement_retries", len(self.enforcement_attempts)
        yield from self.rates()
        if self.findings:
            yield "codes", sorted(self.findings)
        if self.unknown_tools:
            yield "unknown_tools", list(self.unknown_tools)
        if self.red_flags:
            yield "red_flags", self.red_flags

    def as_dict(self) -> dict[str, object]:
        """The whole record as JSON values, with the field names of MassGen's `reliability` where it has the same."""
        return {
            "outcome": self.outcome,
            **{name: getattr(self, name) for name in (*_COUNTS, *_AMOUNTS)},
            "longest_failure_streak": self.longest_failure_streak,
            **dict(self.rates()),
            "enforcement_attempts": self.enforcement_attempts,
            "by_round": self.by_round,
            "unknown_tools": self.unknown_tools,
            "workflow_errors": self.workflow_errors,
            "total_enforcement_retries": len(self.enforcement_attempts),
            "findings": dict(sorted(self.findings.items())),
            "red_flags": self.red_flags,
        }


_COUNTS: Final = (
    "steps", "model_calls", "tool_calls", "tool_errors", "silent_failures", "errors", "retries", "repeats",
    "total_buffer_chars_lost", "exhausted", "unpriced_calls",
)  # fmt: skip
_USAGE: Final = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
_AMOUNTS: Final = (*_USAGE, "wasted_tokens", "wasted_cost_usd")
