"""The loop: step -> state -> detectors -> verdicts. One engine serves the live path, the worker and recorded runs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from spantriage.cause import choose_primary, decide_outcome, failure_score, weigh
from spantriage.detectors import Detector, Tier
from spantriage.model import Kind, Step, Verdict
from spantriage.prices import fill_costs
from spantriage.run import Run
from spantriage.settled import Settled
from spantriage.spending import Spending
from spantriage.state import AgentState, RunState

__all__ = ["Engine", "Judgement"]

LOG = logging.getLogger("spantriage")
PATIENCE = 10  # a detector that fails this often in a row is switched off


@dataclass(slots=True)
class Judgement:
    """What a complete run amounts to."""

    run: Run
    settled: Settled
    state: RunState
    verdicts: list[Verdict]
    primary: Verdict | None
    outcome: str
    failure_score: float


@dataclass(slots=True)
class Engine:
    """Detectors, dispatched by the kind and sign of a step, so that a step meets only those that could speak of it."""

    detectors: tuple[Detector, ...]
    tiers: tuple[Tier, ...] = ("inline", "worker", "run")
    past: Spending = field(default_factory=Spending)  # of runs that nothing more is expected of
    errors: Counter[str] = field(default_factory=Counter)  # detector code -> exceptions
    _table: dict[tuple[Kind, str], tuple[Detector, ...]] = field(default_factory=dict)
    _failing: Counter[str] = field(default_factory=Counter)

    def feed(self, step: Step, agent: AgentState) -> list[Verdict]:
        """Take one step in and ask the detectors that could speak of it."""
        agent.add(step)
        return self.check(step, agent)

    def check(self, step: Step, agent: AgentState) -> list[Verdict]:
        """Ask the detectors of this engine's tiers; one that raises is counted and, if it goes on, switched off."""
        table = self._table.get((step.kind, step.sign))
        if table is None:
            table = self._dispatch(step.kind, step.sign)
        if not table:
            return []
        verdicts: list[Verdict] = []
        for detector in table:
            try:
                verdicts.extend(detector.check(step, agent))
            except Exception:
                self._blame(detector)
            else:
                if self._failing:
                    self._failing.pop(detector.code, None)
        return verdicts

    def judge(self, run: Run, *, assume_failed: bool = False) -> Judgement:
        """Judge a run from scratch: the same steps give the same verdicts, whatever order they came in."""
        settled = Settled.of(run)
        fill_costs(settled.sequence)
        state = RunState(settled.trace_id, steps=settled.steps, parents=settled.parents, root=settled.root, past=self.past, ended=True)
        verdicts: list[Verdict] = []
        for step in settled.sequence:
            agent = state.agent_of(step)
            verdicts += self.feed(step, agent)
        for detector in self.detectors:
            try:
                verdicts.extend(detector.conclude(state, settled))
            except Exception:
                self._blame(detector)
        verdicts = weigh(verdicts, settled)
        for verdict in verdicts:
            name = verdict.agent or verdict.step.agent or "unknown"
            if name in state.records:
                state.records[name].note(verdict)
        primary = choose_primary(verdicts, settled, assume_failed=assume_failed)
        outcome = decide_outcome(run, state, settled, verdicts)
        return Judgement(run, settled, state, verdicts, primary, outcome, failure_score(verdicts, outcome))

    def _dispatch(self, kind: Kind, sign: str) -> tuple[Detector, ...]:
        found = tuple(
            d
            for d in self.detectors
            if d.tier in self.tiers and kind in d.speaks_of and (sign in d.signs if d.signs is not None else sign != "echo")
        )
        if len(self._table) < 1_000:
            self._table[kind, sign] = found
        return found

    def _blame(self, detector: Detector) -> None:
        code = detector.code
        self.errors[code] += 1
        self._failing[code] += 1
        if self.errors[code] == 1:
            LOG.warning("detector %s failed", code, exc_info=True)
        if self._failing[code] >= PATIENCE:
            self._table = {key: tuple(d for d in table if d.code != code) for key, table in self._table.items()}
            self.detectors = tuple(d for d in self.detectors if d.code != code)
            LOG.warning("detector %s failed %d times in a row and is switched off", code, PATIENCE)


def select(detectors: Iterable[type[Detector]]) -> tuple[Detector, ...]:
    """Detectors with their default settings."""
    return tuple(detector() for detector in detectors)
