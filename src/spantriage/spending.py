"""What each turn of an agent's work has cost so far in this process, to tell a runaway from a usual one. Small and bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from spantriage.model import Step
from spantriage.settled import Settled

__all__ = ["Spending", "Spent", "Unit", "spent_in"]

Unit = Literal["usd", "tokens"]
AGENTS: Final = 1_000  # names remembered, the latest
KEPT: Final = 200  # invocations remembered of each


class Spent(NamedTuple):
    """What one invocation of an agent has used: dollars where the price of every call is known, else tokens."""

    agent: str
    amount: float
    unit: Unit
    step: Step  # the agent's own span, or its first step


@dataclass(slots=True)
class Spending:
    """The last invocations of each agent."""

    _kept: OrderedDict[tuple[str, Unit], deque[float]] = field(default_factory=OrderedDict)

    def of(self, agent: str, unit: Unit) -> tuple[float, ...]:
        """What the agent's earlier invocations have cost, oldest first."""
        return tuple(self._kept.get((agent, unit), ()))

    def add(self, settled: Settled) -> None:
        """Remember a run that nothing more is expected of."""
        for agent, amount, unit, _ in spent_in(settled):
            self._kept.setdefault((agent, unit), deque(maxlen=KEPT)).append(amount)
            self._kept.move_to_end((agent, unit))
        while len(self._kept) > AGENTS:
            self._kept.popitem(last=False)


def spent_in(settled: Settled) -> list[Spent]:
    """What each invocation of each agent of a run has used; those that have used nothing are left out."""
    anchors: dict[tuple[str, int | None], Step] = {}
    usd: dict[tuple[str, int | None], float | None] = {}
    tokens: dict[tuple[str, int | None], int] = {}
    for step in settled.sequence:
        key = (step.agent or "unknown", step.agent_span_id)
        anchors.setdefault(key, step)
        used = (step.input_tokens or 0) + (step.output_tokens or 0)
        if step.kind not in ("model", "event") or step.cumulative or not (used or step.cost_usd):
            continue
        tokens[key] = tokens.get(key, 0) + used
        sofar = usd.get(key, 0.0)
        usd[key] = None if sofar is None or step.cost_usd is None else sofar + step.cost_usd
    found: list[Spent] = []
    for key, number in tokens.items():
        anchor = settled.steps.get(key[1] or 0, anchors[key])
        dollars = usd[key]
        if dollars:
            found.append(Spent(key[0], dollars, "usd", anchor))
        elif number:
            found.append(Spent(key[0], float(number), "tokens", anchor))
    return found
