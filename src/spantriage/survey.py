"""A look at all runs from outside the worker, for sinks that show how things stand: what it costs, it costs their thread.

Runs that are not complete are judged as far as they have come, each again only when something has come to it. Behind
the worker's gate nothing happens but taking references and adding up the totals of finished runs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from spantriage.detectors import Detector
from spantriage.engine import Engine
from spantriage.excuses import excuse
from spantriage.gate import Gate
from spantriage.live_run import LiveRun
from spantriage.progress import AgentProgress, Progress, RunProgress, look
from spantriage.record import Record
from spantriage.runs import Runs
from spantriage.totals import MAX_AGENTS, add

__all__ = ["Survey"]

PATIENCE_S: Final = 1.0  # how long a look waits for the worker
_Seen = tuple[int, bool, bool, RunProgress, dict[str, Record]]  # version, judged, ended; what was seen then


class Survey:
    """Says how far all runs have come. One thread at a time asks."""

    def __init__(self, runs: Runs, detectors: tuple[Detector, ...], counters: Counter[str], gate: Callable[[], Gate]) -> None:
        self._runs, self._counters, self._gate = runs, counters, gate
        self._engine = Engine(detectors, past=runs.engine.past)  # of its own: what fails in a look is no failure of the live path
        self.clear()

    def clear(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        self._seen: dict[int, _Seen] = {}
        self._gone: OrderedDict[str, AgentProgress] = OrderedDict()  # agents of runs that were let go
        self._last_gone: RunProgress | None = None
        self._farewells = 0

    def mark(self) -> object:
        """Something that is equal to what it was while nothing has changed. Cheap."""
        runs = self._runs
        judged = sum(live.judgement is not None for live in list(runs.live.values()))
        return self._counters["processed"], len(runs.open.spans), runs.open.latest, len(runs.live), judged, self._farewells

    def take(self) -> Progress | None:
        """Look at all runs; None when the worker does not let us in."""
        gate = self._gate()
        if not gate.enter(PATIENCE_S):
            return None
        try:
            live = [(key, run, run.version, run.run.root_ended) for key, run in self._runs.live.items()]
            totals = self._runs.totals.copy()
            at_work = self._runs.open.agents()
            gone, last_gone = dict(self._gone), self._last_gone
        finally:
            gate.leave()
        self._seen = {key: self._look(key, run, version, ended) for key, run, version, ended in live}
        return self._together(totals, at_work, gone, last_gone)

    def _look(self, key: int, live: LiveRun, version: int, ended: bool) -> _Seen:
        judgement = live.judgement
        seen = self._seen.get(key)
        if seen is not None and seen[:3] == (version, judgement is not None, ended):
            return seen
        try:
            judgement = judgement or self._engine.judge(live.run)
            return version, live.judgement is not None, ended, look(judgement, ended=ended), judgement.state.records
        except Exception:  # one run that cannot be judged must not hide the others
            excuse(self._counters, "survey_errors", "a run could not be looked at")
            return version, False, ended, RunProgress(live.run.trace_id, ended), {}

    def _together(
        self, totals: dict[str, Record], at_work: dict[str, int], gone: dict[str, AgentProgress], last_gone: RunProgress | None
    ) -> Progress:
        runs = sorted((seen[3] for seen in self._seen.values()), key=lambda run: run.last_ns)
        agents = gone
        for run in runs:
            agents.update(run.agents)
        for _, _, _, _, records in self._seen.values():
            add(totals, records)
        for name in at_work:
            known = agents.get(name)
            agents[name] = AgentProgress("streaming", "ok", None, 0 if known is None else known.last_ns)
        latest = max([*runs, *([last_gone] if last_gone is not None else [])], key=lambda run: run.last_ns, default=None)
        told = {name: (progress, totals.get(name) or Record()) for name, progress in sorted(agents.items())}
        return Progress(latest, sum(not run.ended for run in runs), told)

    def remember(self, live: LiveRun) -> None:
        """A run is let go: what is known of its agents stays. Called behind the gate."""
        self._farewells += 1
        if live.judgement is None:
            return
        self._last_gone = run = look(live.judgement, ended=live.run.root_ended)
        for name, progress in run.agents.items():
            self._gone[name] = progress
            self._gone.move_to_end(name)
        while len(self._gone) > MAX_AGENTS:
            self._gone.popitem(last=False)
