"""What must be looked at while nothing ends: spans that hang, wall time that is up, and the journal of who is at work."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spantriage.detectors import Detector
from spantriage.detectors.flow_crashed import Crashed
from spantriage.detectors.flow_never_ended import NeverEnded
from spantriage.excuses import excuse
from spantriage.journal import Journal, crashed
from spantriage.late import load_finding
from spantriage.model import Step, Verdict
from spantriage.open_spans import OpenSpan
from spantriage.runs import Runs
from spantriage.sinks.jsonl import JsonlSink
from spantriage.state import RunState

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.sinks import Sink

__all__ = ["Heartbeat", "journal_folder"]

LOOK_NS: Final = 1_000_000_000  # how often open spans are looked through
NOTE_S: Final = 0.5  # how often the journal is written
PATIENCE_S: Final = 0.2  # how long the end of the process waits for the journal
HANGING: Final = 1_000  # spans that are told of at a time, and taken back when they end
OFF: Final = "off"


class Heartbeat:
    """Looked after by the worker's thread."""

    def __init__(self, runs: Runs, detectors: tuple[Detector, ...], counters: Counter[str], folder: Path | None) -> None:
        self._open = runs.open
        self._guard = runs.guard
        self._leader = runs.leader
        self._ended = next((d for d in detectors if isinstance(d, NeverEnded)), None)
        self._crashed = next((d for d in detectors if isinstance(d, Crashed)), None)
        self._counters = counters
        self._hanging: dict[int, tuple[OpenSpan, list[Verdict]]] = {}
        self._looked_ns = 0
        self._noted = 0.0
        self._writing = threading.Lock()  # at exit the worker may still be there
        self._left = folder if self._crashed is not None else None  # where others may have left something
        self._journal = None if folder is None or self._crashed is None else Journal(folder)

    @property
    def waits(self) -> bool:
        """Whether there is something to look at although no run is live."""
        return bool(self._open.spans or self._hanging)

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
            for each in self._open.all():
                if each.agent is not None:
                    self._guard.begin(self._leader(each.trace_id), each.agent, each.span._start_time or time_ns)
            self._guard.look_at_clocks()

    def _find_hanging(self, now_ns: int, time_ns: int) -> list[Finding]:
        found: list[Finding] = []
        after_s = 0.0 if self._ended is None else self._ended.open_s
        for each in self._open.overdue(after_s, now_ns, time_ns, self._leader) if after_s and self._open.spans else ():
            if each.span_id not in self._hanging and len(self._hanging) < HANGING:
                verdicts = _ask(self._ended, each.step("never_ended", time_ns))
                self._hanging[each.span_id] = each, verdicts
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

    def note(self) -> None:
        """Write down who is at work, twice a second at most. Does I/O; a disk that fails ends the journal and is counted."""
        if self._journal is not None and time.monotonic() - self._noted >= NOTE_S:
            self._noted = time.monotonic()
            with self._writing:
                self._write()

    def rest(self) -> None:
        """Write down who is at work now, for this may be the end of the process. Nobody being at work, there is no journal."""
        if self._journal is None or not self._writing.acquire(timeout=PATIENCE_S):
            return
        try:
            self._write(rest=True)
        finally:
            self._writing.release()

    def _write(self, *, rest: bool = False) -> None:
        journal = self._journal
        if journal is None:
            return
        found, now = {each.span_id: each for each in self._open.all()}, time.time_ns()
        try:
            journal.write(found, lambda span_id: found[span_id].step("crashed", now))
            if rest:
                journal.rest()
        except OSError:
            excuse(self._counters, "journal_errors", "the journal cannot be written, so that crashes will not be told")
            self._journal = None

    def recall(self) -> list[Finding]:
        """What processes that died have left in their journals; asked once. Does I/O."""
        with self._writing:
            folder, self._left = self._left, None
            steps = [] if folder is None else list(crashed(folder))
        return [finding for step in steps for finding in _publish(_ask(self._crashed, step))]

    def close(self) -> None:
        """The last thing that happens; from now on there is no journal."""
        self.rest()
        journal, self._journal = self._journal, None
        if journal is not None and self._writing.acquire(timeout=PATIENCE_S):
            try:
                with suppress(OSError):
                    journal.close()
            finally:
                self._writing.release()

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
    return [load_finding().make_finding(verdict) for verdict in verdicts]
