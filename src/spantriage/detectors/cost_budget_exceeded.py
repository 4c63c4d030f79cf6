"""cost.budget_exceeded"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails
from spantriage.failures import HOSTS
from spantriage.model import Kind, Step, Verdict
from spantriage.record import Record
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


class _Limit(NamedTuple):
    whose: str  # "run", or "agent"
    what: str  # "usd", "tokens" or "steps"
    most: float


_COUNTED: Final[frozenset[Kind]] = frozenset({"model", "tool"})  # an agent's steps, as people count them


@dataclass(frozen=True, slots=True)
class BudgetExceeded(Detector):
    """A run, or an agent in it, used more dollars, tokens or steps than it was allowed.

    `reason` says which limit: `run.usd`, `run.tokens`, `run.steps`, `agent.usd`, `agent.tokens` or `agent.steps`.
    Where a library has stopped the work over a budget of its own, that is told too, with the exception's name. Without
    either this detector says nothing.

    ## Why it matters
    Somebody has said how much this work is worth. What is spent beyond it is spent unseen, and mostly on a loop.

    ## What to do
    Let the agent's own loop ask `Triage.should_stop` before each turn, which stops it while it runs; a finding can only
    tell of it.

    ## When it is wrong
    Costs are list prices, and calls whose price nobody knows cost nothing here: the true sum may be higher. Steps are
    model calls and tool calls.
    """

    code = "cost.budget_exceeded"
    category = "resource_limit"
    kind = "outcome"
    score = 0.9
    actionable = "Stop the agent when its budget is used up, and look at what it was used for."
    tier = "worker"
    speaks_of = HOSTS | _COUNTED

    usd: float = 0.0
    """Dollars that a run may cost; 0: any number."""
    tokens: int = 0
    """Tokens, read and written, that a run may use; 0: any number."""
    steps: int = 0
    """Model calls and tool calls that a run may make; 0: any number."""
    agent_usd: float = 0.0
    """Dollars that one agent may cost in a run; 0: any number."""
    agent_tokens: int = 0
    """Tokens that one agent may use in a run; 0: any number."""
    agent_steps: int = 0
    """Model calls and tool calls that one agent may make in a run; 0: any number."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak with the step that goes beyond a limit, as far as is known by then."""
        if step.sign == "budget_exceeded":
            who = step.agent or step.name
            yield self.found(step, f"{who} was stopped by its budget", root_cause=step.error_message, reason=step.error_type)
        if agent.run.ended or step.kind not in _COUNTED:
            return
        for limit in self._limits():
            records = [agent.record] if limit.whose == "agent" else {id(r): r for r in (agent.record, *agent.run.records.values())}.values()
            now = sum(_used(record, limit.what) for record in records)
            if now - _of(step, limit.what) <= limit.most < now:
                yield self._speak(step, limit, now)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Add up in canonical order, and speak of the step that goes beyond each limit."""
        for limit in self._limits():
            used: dict[str | None, float] = defaultdict(float)
            for step in settled.sequence:
                key = step.agent if limit.whose == "agent" else None
                own = _of(step, limit.what)
                used[key] += own
                if own and used[key] - own <= limit.most < used[key]:
                    total = sum(_of(s, limit.what) for s in settled.sequence if key is None or s.agent == key)
                    yield self._speak(step, limit, total)

    def _limits(self) -> Iterator[_Limit]:
        for whose, prefix in (("run", ""), ("agent", "agent_")):
            for what in ("usd", "tokens", "steps"):
                most = getattr(self, prefix + what)
                if most:
                    yield _Limit(whose, what, most)

    def _speak(self, step: Step, limit: _Limit, used: float) -> Verdict:
        who = "The run" if limit.whose == "run" else f"Agent {step.agent}"
        words = f"${used:.4g} of ${limit.most:.4g}" if limit.what == "usd" else f"{used:,.0f} of {limit.most:,.0f} {limit.what}"
        return self.found(step, f"{who} used {words}", reason=f"{limit.whose}.{limit.what}")

    fires_on = (
        (
            agent("boss"),
            fails(answers(None, finish=None), "BudgetExceededError", "Budget has been exceeded! Current cost: 0.05, Max budget: 0.01"),
        ),
        (fails(agent("boss"), "UsageLimitExceeded", "Exceeded the total_tokens_limit of 500 (total_tokens=620)"), answers("so far")),
        (fails(agent("boss"), "RuntimeError", "the daily budget is exhausted"), answers("so far")),
    )
    quiet_on = (
        (agent("boss"), answers("done", input_tokens=10_000_000, output_tokens=10_000_000, cost_usd=900.0)),
        (agent("boss"), *(step for n in range(60) for step in (asks("search"), calls("search", f'{{"n": {n}}}', f"page {n}")))),
        (agent("boss"), answers("done")),
    )


def _of(step: Step, what: str) -> float:
    """What a step counts for."""
    if what == "steps":
        return step.kind in _COUNTED
    if step.kind not in ("model", "event") or step.cumulative:
        return 0.0
    return (step.cost_usd or 0.0) if what == "usd" else (step.input_tokens or 0) + (step.output_tokens or 0)


def _used(record: Record, what: str) -> float:
    if what == "steps":
        return record.model_calls + record.tool_calls
    return (record.cost_usd or 0.0) if what == "usd" else (record.input_tokens or 0) + (record.output_tokens or 0)
