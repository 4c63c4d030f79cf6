"""Bars of tokens and cost, one for each agent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from spantriage.record import Record
from spantriage.report.case import Case
from spantriage.report.figures import UNKNOWN, money, seconds, share, tokens
from spantriage.report.words import outside

__all__ = ["Stack", "reliability", "spent", "used"]

WIDTH: Final = 1_000  # units of the longest bar
RELIABILITY: Final = (
    "Agent", "Outcome", "Model calls", "Tool calls", "Tool errors", "Silent failures", "Retries", "Chars lost", "Tokens in / out", "Cost",
    "Wasted tokens", "Cache hits", "Model p95", "Longest failure streak", "Recovery", "Red flags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stack:
    """One agent's bar: pieces as (what, x, width, what it says)."""

    name: str
    pieces: tuple[tuple[str, float, float, str], ...]
    told: str


def used(case: Case) -> list[Stack]:
    """Tokens: cached input, other input, reasoning, other output."""
    found = []
    most = max(((r.input_tokens or 0) + (r.output_tokens or 0) for r in case.records.values()), default=0) or 1
    for name, record in case.records.items():
        cached = min(record.cached_tokens or 0, record.input_tokens or 0)
        reasoning = min(record.reasoning_tokens or 0, record.output_tokens or 0)
        amounts = (
            ("cached", cached),
            ("input", (record.input_tokens or 0) - cached),
            ("reasoning", reasoning),
            ("output", (record.output_tokens or 0) - reasoning),
        )
        told = f"{tokens(record.input_tokens)} in, {tokens(record.output_tokens)} out"
        found.append(Stack(outside(name, 40), _pieces(amounts, most, lambda amount: f"{int(amount):,} tokens"), told))
    return found


def spent(case: Case) -> list[Stack]:
    """Cost, and of it what was wasted; nothing where no cost is known."""
    most = max((record.cost_usd or 0 for record in case.records.values()), default=0)
    if not most:
        return []
    found = []
    for name, record in case.records.items():
        wasted = min(record.wasted_cost_usd or 0, record.cost_usd or 0)
        amounts = (("wasted", wasted), ("cost", (record.cost_usd or 0) - wasted))
        found.append(Stack(outside(name, 40), _pieces(amounts, most, money), money(record.cost_usd)))
    return found


def _pieces(amounts: Iterable[tuple[str, float]], most: float, say: Callable[[float], str]) -> tuple[tuple[str, float, float, str], ...]:
    pieces: list[tuple[str, float, float, str]] = []
    x = 0.0
    for what, amount in amounts:
        width = WIDTH * amount / most
        if width:
            pieces.append((what, round(x, 1), round(max(width, 1), 1), f"{what}: {say(amount)}"))
        x += width
    return tuple(pieces)


def reliability(case: Case) -> list[tuple[str, ...]]:
    """Each agent's record, as cells under `RELIABILITY`."""
    return [_record(name, record) for name, record in case.records.items()]


def _record(name: str, r: Record) -> tuple[str, ...]:
    figures = dict(r.rates())
    p95 = figures.get("model_p95_ms", figures.get("model_max_ms"))
    return (
        outside(name, 60),
        r.outcome,
        str(r.model_calls),
        str(r.tool_calls),
        f"{r.tool_errors}" + (f" ({share(r.tool_errors, r.tool_calls)})" if r.tool_calls else ""),
        str(r.silent_failures),
        str(len(r.enforcement_attempts) + r.retries),
        f"{r.total_buffer_chars_lost:,}",
        f"{tokens(r.input_tokens)} / {tokens(r.output_tokens)}",
        money(r.cost_usd),
        tokens(r.wasted_tokens),
        share(r.cached_tokens, r.input_tokens) if r.cached_tokens is not None and r.input_tokens else UNKNOWN,
        seconds(p95 / 1e3) if p95 else UNKNOWN,
        str(r.longest_failure_streak),
        "-" if r.recovery_ns is None else seconds(r.recovery_ns / 1e9),
        ", ".join(r.red_flags) or "none",
    )
