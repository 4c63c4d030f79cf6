"""How an agent stands, by its record: what it spends by the hour, and what stands out, as a finding."""

from __future__ import annotations

import time
from collections import deque

from spantriage.finding import Finding, timestamp
from spantriage.sinks._rules import Rule
from spantriage.text import clean, clip

__all__ = ["Spending", "as_finding"]


class Spending:
    """What agents have spent within the last `within_s`, by the hour."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._spent: dict[str, deque[tuple[float, float]]] = {}  # agent -> when, dollars so far
        self._began: float | None = None

    def rate(self, agent: str, cost_usd: float, now: float) -> float:
        """Dollars an hour. Of who is there at the first look it is not known when the money was spent; who comes later had spent none."""
        self._began = now if self._began is None else self._began
        spent = self._spent.setdefault(agent, deque([(now, cost_usd if now == self._began else 0.0)]))
        spent.append((now, cost_usd))
        while len(spent) > 1 and spent[1][0] <= now - self._within_s:
            spent.popleft()
        return (cost_usd - spent[0][1]) * 3_600 / self._within_s


def as_finding(rule: Rule, agent: str, what: str, words: str, trace_id: int) -> Finding:
    """What stands in a record, as a finding."""
    return Finding(
        finding_id=f"{rule.name}/{what}"[:100],
        code="cost.burn_rate" if what == "burn rate" else "agent.red_flag",
        category="resource_limit" if what == "burn rate" else "model_logic",
        kind="incident",
        severity=rule.severity,
        score=1.0,
        confidence="high",
        trace_id=f"{trace_id:032x}",
        span_id="0" * 16,
        agent=clip(clean(agent), 200),
        summary=clip(clean(words), 500),
        time=timestamp(time.time_ns()),
    )
