"""Budgets that an agent's own loop can ask about while it runs: dollars, tokens, steps, repeats, wall time.

Nothing is ever raised into the agent. It asks `Triage.should_stop`, or is told by a callback on the worker's thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from spantriage.excuses import excuse
from spantriage.model import Step

__all__ = ["Budget", "Exceeded", "Guard", "OnExceeded"]

KEPT: Final = 10_000  # runs whose use is remembered, the latest
WAITING: Final = 1_000  # notices that wait for their callbacks
OnExceeded = Callable[[str, str, float, float], object]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one agent may use in one run, or all agents of a run together; 0 stands for any amount."""

    usd: float = 0.0
    tokens: int = 0
    steps: int = 0  # model calls and tool calls
    repeats: int = 0  # how many times in a row the same tool may be called with the same arguments for the same result
    wall_s: float = 0.0
    per: Literal["agent", "run"] = "agent"
    agent: str | None = None  # only this agent; None: each one
    on_exceeded: OnExceeded | None = None

    def limits(self) -> Iterator[tuple[str, float]]:
        """The limits that there are, as name and amount."""
        for what in ("usd", "tokens", "steps", "repeats", "wall_s"):
            most = getattr(self, what)
            if most:
                yield what, most


class Exceeded(NamedTuple):
    """A budget was used up; told once for each run, agent and limit."""

    budget: Budget
    agent: str
    what: str
    used: float
    limit: float


@dataclass(slots=True)
class _Used:
    start_ns: int
    usd: float = 0.0
    tokens: float = 0
    steps: float = 0
    repeats: float = 0
    streak: int = 0
    last_call: tuple[object, ...] | None = None
    told: set[tuple[int, str]] = field(default_factory=set)  # which budget, which limit

    @property
    def wall_s(self) -> float:
        """Seconds since the first of it began."""
        return max(0.0, (time.time_ns() - self.start_ns) / 1e9)

    def add(self, step: Step) -> None:
        """Count one step."""
        self.start_ns = min(self.start_ns, step.start_ns)
        if step.kind in ("model", "event") and not step.cumulative:
            self.tokens += (step.input_tokens or 0) + (step.output_tokens or 0)
            self.usd += step.cost_usd or 0.0
        if step.kind not in ("model", "tool"):
            return
        self.steps += 1
        if step.kind == "tool":
            call = (step.tool, step.arguments_digest, step.result_digest, step.sign)
            same = call == self.last_call and step.arguments_digest is not None
            self.streak = self.streak + 1 if same else 1
            self.last_call = call
            self.repeats = max(self.repeats, self.streak)


class Guard:
    """All budgets, and what has been used of them. Its own lock is held for arithmetic only."""

    def __init__(self) -> None:
        self.budgets: tuple[Budget, ...] = ()
        self._runs: OrderedDict[int, dict[str | None, _Used]] = OrderedDict()  # by agent; None: all of the run's together
        self._waiting: deque[Exceeded] = deque(maxlen=WAITING)
        self._lock = threading.RLock()

    def add(self, budget: Budget) -> None:
        """Watch one more budget from now on."""
        self.budgets = (*self.budgets, budget)

    def take(self, run: int, agent: str | None, step: Step) -> None:
        """Count a step that has ended, for its agent and for its run."""
        with self._lock:
            for name in {agent, None}:
                self._of(run, name, step.start_ns).add(step)
            self._look(run, agent)

    def begin(self, run: int, agent: str, start_ns: int) -> None:
        """An agent is at work since then; nothing of it need have ended."""
        with self._lock:
            for name in (agent, None):
                used = self._of(run, name, start_ns)
                used.start_ns = min(used.start_ns, start_ns)

    def forget(self, run: int) -> None:
        """A run is over: what it has used is nobody's concern any more."""
        with self._lock:
            self._runs.pop(run, None)

    def should_stop(self, agent: str, run: int | None) -> bool:
        """Say whether a budget that covers this agent is used up, in this run or, where that is not told, in any of its runs."""
        with self._lock:
            runs = [run] if run is not None else [key for key, used in self._runs.items() if agent in used]
            for each in runs:
                self._look(each, agent)
            return any(next(self._over(each, agent), None) is not None for each in runs)

    def look_at_clocks(self) -> None:
        """See whose wall time is up, while nothing ends that could show it."""
        if any(budget.wall_s for budget in self.budgets):
            with self._lock:
                for run, used in list(self._runs.items()):
                    for agent in list(used):
                        self._look(run, agent)

    @property
    def waits(self) -> bool:
        """Whether somebody is to be told."""
        return bool(self._waiting)

    def tell(self, counters: Counter[str]) -> None:
        """Call back for what was exceeded since the last time; what a callback raises is counted and goes no further."""
        while self._waiting:
            try:
                notice = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                if notice.budget.on_exceeded is not None:
                    notice.budget.on_exceeded(notice.agent, notice.what, notice.used, notice.limit)
            except Exception:
                excuse(counters, "budget_callback_errors", "a budget's callback failed and the agent goes on")

    def clear(self) -> None:
        """In a forked child what was used is the parent's."""
        self._lock = threading.RLock()
        self._runs.clear()
        self._waiting.clear()

    def _of(self, run: int, agent: str | None, start_ns: int) -> _Used:
        agents = self._runs.setdefault(run, {})
        if len(self._runs) > KEPT:
            self._runs.popitem(last=False)
        used = agents.get(agent)
        if used is None:
            used = agents[agent] = _Used(start_ns)
        return used

    def _over(self, run: int, agent: str | None) -> Iterator[tuple[int, Budget, _Used, str, float, float]]:
        agents = self._runs.get(run, {})
        for number, budget in enumerate(self.budgets):
            used = agents.get(agent if budget.per == "agent" else None)
            if used is None or budget.agent not in (None, agent) or (budget.per == "agent" and agent is None):
                continue
            for what, limit in budget.limits():
                amount = getattr(used, what)
                if amount >= limit:
                    yield number, budget, used, what, amount, limit

    def _look(self, run: int, agent: str | None) -> None:
        for number, budget, used, what, amount, limit in self._over(run, agent):
            if (number, what) not in used.told:
                used.told.add((number, what))
                self._waiting.append(Exceeded(budget, agent or "unknown", what, amount, limit))
