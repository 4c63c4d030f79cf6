"""Where spans come in: what the hooks leave, and the reading of it by whoever needs it first.

The hooks take no lock and do no I/O. Everybody else comes through the gate, which is never held during I/O either.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from spantriage.config import Settings
from spantriage.detectors import Detector
from spantriage.ended import Ended, Entry
from spantriage.excuses import excuse
from spantriage.gate import Gate
from spantriage.open_spans import CAP as OPEN_CAP
from spantriage.runs import Runs

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.live_run import LiveRun
    from spantriage.record import Record

__all__ = ["Intake"]

PATIENCE_S: Final = 0.05  # how long a reader of attributes waits for the worker before it goes without a verdict
STATUS_S: Final = 5.0  # how long `status` waits
PLACE: Final = 3  # fields of the entry of a span of which only the place is kept
TRACES: Final = 50_000  # trace ids remembered as an agent's


class Intake(ABC):
    """A bounded queue of ended spans, the open ones, and the live runs that the ended ones are read into."""

    def __init__(self, settings: Settings, detectors: tuple[Detector, ...]) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.traces: OrderedDict[int, None] = OrderedDict()  # of agents; read by the hooks
        self.runs = Runs(settings, detectors, self.counters, self.traces)
        self.opened = self.runs.open.spans  # written by the hooks
        self.cap = settings.queue_size
        self._begin()

    def _begin(self) -> None:
        self.queue: deque[Entry] = deque()
        self._dropped = 0
        self.newest: int | None = None  # the trace that was put last
        self._dropping = threading.RLock()  # `+=` is not atomic; a dropped span is rare, so this costs nothing
        self._gate = Gate()  # guards runs and queue reading; never held during I/O
        self.asleep = True  # there is nobody who would come to the queue without being roused
        self._pid = os.getpid()

    @abstractmethod
    def _rouse(self) -> None:
        """See to it that the queue is read soon."""

    # -- where spans start and end: no lock, no I/O ------------------------------------------------------------------------

    def put(self, entry: Entry) -> None:
        """Queue an ended span."""
        self.queue.append(entry)
        if len(entry) > PLACE:
            self.remember(entry[1].trace_id)
        self.attend()

    def remember(self, trace_id: int) -> None:
        """An agent has been at work in this trace."""
        traces = self.traces
        traces[trace_id] = None
        self.newest = trace_id
        if len(traces) > TRACES:
            traces.popitem(last=False)

    def attend(self) -> None:
        """What the hooks have seen to be needed: forget the oldest of too many, counted, and rouse who comes to the queue."""
        if len(self.queue) > self.cap:
            self._drop_oldest()
        if len(self.opened) > OPEN_CAP:
            self.runs.open.forget_oldest()
            self.count("open_forgotten")
        if self.asleep:
            self._rouse()

    def count(self, name: str) -> None:
        """Count something that went wrong."""
        self.counters[name] += 1

    def _drop_oldest(self) -> None:
        try:
            entry = self.queue.popleft()
        except IndexError:  # the worker was faster
            return
        with self._dropping:
            self._dropped += 1
        self.opened.pop(entry[1].span_id, None)
        if entry[0] is not None:
            entry[0].release()

    # -- where attributes are read -----------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Do the queued work now, on this thread; give up after a short wait and count it."""
        if self._pid != os.getpid() or not self._gate.enter(PATIENCE_S):
            self.count("enrich_timeout")
            return
        try:
            self._drain(len(self.queue))
        finally:
            self._gate.leave()

    def _drain(self, number: int, until: float = float("inf")) -> None:
        """Read so many spans: those that were there when the caller came, for others may go on ending."""
        for _ in range(number):
            if not self.queue or time.monotonic() > until:
                return
            self._drain_one()

    def _drain_one(self) -> None:
        try:
            entry = self.queue.popleft()
        except IndexError:  # a hook dropped it: the queue is full
            return
        self.counters["processed"] += 1
        try:
            enriched, context, parent = entry[:PLACE]
            ended = Ended._make(entry[1:]) if len(entry) > PLACE else None
            self.runs.take(context, parent, enriched, ended, time.monotonic_ns())
        except Exception:
            excuse(self.counters, "step_errors", "a span could not be read and is left out")
        finally:
            if entry[0] is not None:
                entry[0].release()

    def _hand_over(self, findings: list[Finding]) -> None:
        """Let findings that belong to no live run leave with the others."""
        if findings:
            with self._gate:
                self.runs.hand_over(findings)

    def _take_findings(self) -> list[Finding]:
        with self._gate:
            return self.runs.take_findings()

    # -- for whoever asks --------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Agents' records, live runs and our own counters, up to date with every span that has ended."""
        records: dict[str, Record] = {}
        agents: dict[str, Any] = {}
        if self._gate.enter(STATUS_S):
            try:
                self._drain(len(self.queue))
                records = dict(self.runs.records())
                agents = {name: record.as_dict() for name, record in records.items()}
            finally:
                self._gate.leave()
        else:
            self.count("status_timeout")
        live = sum(1 for live in list(self.runs.live.values()) if live.judgement is None)
        unpriced = sum(record.unpriced_calls for record in records.values())
        return {"agents": agents, "runs": {"live": live}, "self": {**self.accounts(), "prices_unknown": unpriced}}

    def unjudged(self) -> set[int]:
        """The traces of runs that are still being added to, each by the one that stands for its run."""
        with self._gate:
            return {key for key, live in self.runs.live.items() if live.judgement is None}

    def overdue(self) -> int:
        """How many runs are complete and wait to be judged."""
        with self._gate:
            return len(self.runs.due(time.monotonic_ns()))

    def latest_runs(self, number: int) -> list[LiveRun]:
        """The live runs that something came to last, newest last. They go on changing: look at copies."""
        with self._gate:
            return list(islice(reversed(self.runs.live.values()), number))[::-1]

    def accounts(self) -> dict[str, int]:
        """Our own counters. Exactly: received = processed + dropped.queue_full + queued."""
        dropped, queued = self._dropped, len(self.queue)
        return {
            "received": self.counters["processed"] + dropped + queued,
            "processed": self.counters["processed"],
            "dropped.queue_full": dropped,
            "queued": queued,
            **{name: number for name, number in sorted(self.counters.items()) if name != "processed"},
            **{f"detector_errors.{code}": number for code, number in sorted(self.runs.engine.errors.items())},
        }
