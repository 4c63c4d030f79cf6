"""What must be looked at while nothing ends: spans that hang, wall time that is up, and the journal of who is at work."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spantriage.detectors import Detector
from spantriage.detectors.flow_crashed import Crashed
from spantriage.detectors.flow_never_ended import NeverEnded
from spantriage.journal import Journal, crashed
from spantriage.model import Step, Verdict
from spantriage.open_spans import OpenSpan
from spantriage.runs import Runs
from spantriage.sinks.jsonl import JsonlSink
from spantriage.state import RunState

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.sinks import Sink

__all__ = ["Heartbeat", "journal_folder"]

LOG: Final = logging.getLogger("spantriage")
LOOK_NS: Final = 1_000_000_000  # how often open spans are looked through
OFF: Final = "off"


class Heartbeat:
    """Used by the worker's thread; `open` is also written where spans start."""

    def __init__(self, runs: Runs, detectors: tuple[Detector, ...], counters: Counter[str], folder: Path | None) -> None:
        self.open = runs.open
        self._guard = runs.guard
        self._leader = runs.leader
        self._ended = next((d for d in detectors if isinstance(d, NeverEnded)), None)
        self._crashed = next((d for d in detectors if isinstance(d, Crashed)), None)
        self._counters = counters
        self._hanging: dict[int, tuple[OpenSpan, list[Verdict]]] = {}
        self._looked_ns = 0
        self._writing = threading.Lock()  # at exit the worker may still be there
        self._left = folder if self._crashed is not None else None  # where others may have left something
        self._journal = None if folder is None or self._crashed is None else Journal(folder)

    @property
    def waits(self) -> bool:
        """Whether there is something to look at although no run is live."""
        return bool(self.open.spans or self._hanging)

    def beat(self, now_ns: int, time_ns: int) -> list[Finding]:
        """Say what hangs, take back what has ended after all, see whose time is up. `now_ns` is monotonic."""
        if now_ns - self._looked_ns < LOOK_NS and self._looked_ns:
            return []
        self._looked_ns = now_ns
        self.look_at_wall_time(time_ns)
        return self._take_back() + self._find_hanging(now_ns, time_ns)

    def look_at_wall_time(self, time_ns: int) -> None:
        """Let each open agent's wall time run from its start, and see whose is up."""
        if any(budget.wall_s for budget in self._guard.budgets):
            for each in self.open.all():
                if each.agent is not None:
                    self._guard.begin(self._leader(each.trace_id), each.agent, each.span._start_time or time_ns)
            self._guard.look_at_clocks()

    def _find_hanging(self, now_ns: int, time_ns: int) -> list[Finding]:
        found: list[Finding] = []
        after_s = 0.0 if self._ended is None else self._ended.open_s
        for each in self.open.overdue(after_s, now_ns, time_ns, self._leader) if after_s and self.open.spans else ():
            step = each.step("never_ended", time_ns)
            if step.span_id not in self._hanging:
                verdicts = _ask(self._ended, step)
                self._hanging[step.span_id] = each, verdicts
                found += _publish(verdicts)
        return found

    def _take_back(self) -> list[Finding]:
        found: list[Finding] = []
        for span_id, (each, verdicts) in list(self._hanging.items()):
            if each.span._end_time is not None:
                del self._hanging[span_id]
                for verdict in verdicts:
                    verdict.withdraw()
                found += _publish(verdicts)
        return found

    def write_journal(self, time_ns: int) -> None:
        """Note who is at work. Does I/O; a disk that fails ends the journal and is counted."""
        if self._journal is None:
            return
        try:
            with self._writing:
                if self._journal is not None:
                    self._journal.write({each.span_id: each.step("crashed", time_ns) for each in self.open.all()})
        except OSError:
            LOG.warning("the journal cannot be written, so that crashes will not be told", exc_info=True)
            self._counters["journal_errors"] += 1
            self._journal = None

    def recall(self) -> list[Finding]:
        """What processes that died have left in their journals; asked once. Does I/O."""
        with self._writing:
            folder, self._left = self._left, None
            steps = [] if folder is None else list(crashed(folder))
        return [finding for step in steps for finding in _publish(_ask(self._crashed, step))]

    def close(self) -> None:
        """The last thing that happens; from now on there is no journal."""
        with self._writing:
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()

    def after_fork(self) -> None:
        """In a forked child: what hangs is the parent's, and so is the journal."""
        self._writing = threading.Lock()
        self._left = None
        self._hanging.clear()
        if self._journal is not None:
            self._journal.after_fork()


def journal_folder(setting: str, sinks: Iterable[Sink]) -> Path | None:
    """Where the journal lies: as set, else beside the findings of the first `jsonl` sink; None: nowhere."""
    if setting:
        return None if setting == OFF else Path(setting)
    return next((sink.path.parent for sink in sinks if isinstance(sink, JsonlSink)), None)


def _ask(detector: Detector | None, step: Step) -> list[Verdict]:
    if detector is None or step.kind not in detector.speaks_of:
        return []
    return list(detector.check(step, RunState(step.trace_id).agent_of(step)))


def _publish(verdicts: list[Verdict]) -> list[Finding]:
    from spantriage.finding import make_finding

    return [make_finding(verdict) for verdict in verdicts]
