"""The worker: everything that need not happen where spans end. Reads messages, judges runs, feeds the sinks.

One daemon thread, started by the first span, asleep while there is nothing to do, gone after `close` and after a fork,
and made anew by the next span. Whoever reads a span's attributes before the worker has come to it does the queued work
itself (`catch_up`).
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod, ref

from opentelemetry.trace import get_current_span

from spantriage import prices
from spantriage.budget import Budget
from spantriage.config import Settings
from spantriage.delivery import Delivery
from spantriage.detectors import Detector
from spantriage.ended import Ended
from spantriage.enrichment import Enriched
from spantriage.gate import Gate
from spantriage.heartbeat import Heartbeat, journal_folder
from spantriage.late import load_finding
from spantriage.open_spans import CAP as OPEN_CAP
from spantriage.runs import Runs
from spantriage.survey import Survey

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import SpanContext

    from spantriage.record import Record
    from spantriage.sinks import Sink

__all__ = ["Entry", "Worker"]

LOG: Final = logging.getLogger("spantriage")
PULSE_S: Final = 0.1  # how often an awake worker looks; the longest a finding waits for company
PATIENCE_S: Final = 0.05  # how long a reader of attributes waits for the worker before it goes without a verdict
STATUS_S: Final = 5.0  # how long `status` waits
LEAST_S: Final = 0.2  # what spans that end in the very last exit handlers are given
READING: Final = 0.6  # share of the time to finish that may go into reading and judging; the rest is the sinks'
SLICE: Final = 16  # spans read at a stretch; a reader of attributes waits for one slice at most
TRACES: Final = 50_000  # trace ids remembered as an agent's

# The span's context and its parent's, where its verdict goes (None: nowhere), and if it is an agent's what it says.
Entry = tuple["SpanContext", "SpanContext | None", Enriched | None, Ended | None]


class Worker:
    """Takes ended spans over from the hooks and turns them into findings in the sinks."""

    def __init__(self, settings: Settings, detectors: tuple[Detector, ...], sinks: Iterable[str | Sink] | None) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.traces: OrderedDict[int, None] = OrderedDict()  # of agents; read by the hooks
        self.runs = Runs(settings, detectors, self.counters, self.traces)
        self.survey = Survey(self.runs, detectors, self.counters, lambda: self._gate)
        self.delivery = Delivery(self.counters)
        self.delivery.open(settings.sinks if sinks is None else tuple(sinks), strict=sinks is not None)
        self.heartbeat = Heartbeat(self.runs, detectors, self.counters, journal_folder(settings.journal, self.delivery.sinks))
        if settings.budget_usd or settings.budget_tokens or settings.budget_steps:
            self.runs.guard.add(Budget(settings.budget_usd, settings.budget_tokens, settings.budget_steps))
        self._keep_farewells()
        self._open = self.runs.open.spans
        self._cap = settings.queue_size
        self._finalizer: Any = None
        self._leave_by: float | None = None  # set when the process ends
        self._begin()
        if hasattr(os, "register_at_fork"):
            renew = WeakMethod(self.after_fork)
            os.register_at_fork(after_in_child=lambda: (method := renew()) and method())

    def _begin(self) -> None:
        self._queue: deque[Entry] = deque()
        self._dropped = 0
        self._dropping = threading.RLock()  # `+=` is not atomic; a dropped span is rare, so this costs nothing
        self._gate = Gate()  # guards runs and queue reading; never held during I/O
        self._starting = threading.Lock()
        self._wake: SimpleQueue[None] | None = None  # the thread's; None: there is none. Unlike an Event it may interrupt itself.
        self._asleep = False  # set by the thread, cleared by whoever wakes it
        self._ident = 0
        self._orders: deque[tuple[float, SimpleQueue[bool]]] = deque()  # who waits for delivery: until when, where to answer
        self._pid = os.getpid()

    # -- where spans end: no lock, no I/O ------------------------------------------------------------------------------

    def start(self, span: SdkSpan, agent: object) -> None:
        """An agent's, a model call's or a tool's span has started. Of too many the oldest is forgotten."""
        context: Any = span._context
        started = self._open
        started[context.span_id] = (context.trace_id, agent if type(agent) is str else None, ref(span))
        if len(started) > OPEN_CAP:
            started.popitem(last=False)
            self.count("open_forgotten")
        if self._asleep or self._wake is None:
            self._rouse()

    def put(self, entry: Entry) -> None:
        """Queue an ended span. A full queue drops its oldest entry and counts it."""
        queue = self._queue
        queue.append(entry)
        if entry[3] is not None:
            traces = self.traces
            traces[entry[0].trace_id] = None
            if len(traces) > TRACES:
                traces.popitem(last=False)
        if len(queue) > self._cap:
            self._drop_oldest()
        if self._asleep or self._wake is None:
            self._rouse()

    def count(self, name: str) -> None:
        """Count something that went wrong."""
        self.counters[name] += 1

    def _drop_oldest(self) -> None:
        try:
            entry = self._queue.popleft()
        except IndexError:  # the worker was faster
            return
        with self._dropping:
            self._dropped += 1
        self._open.pop(entry[0].span_id, None)
        if entry[2] is not None:
            entry[2].release()

    def _rouse(self) -> None:
        """Wake the thread, or start it: one, however many come at once or interrupt each other."""
        if self._wake is None and self._starting.acquire(blocking=False):
            try:
                if self._wake is None:
                    self._start()
            finally:
                self._starting.release()
        wake = self._wake
        if wake is not None:
            self._asleep = False
            wake.put(None)

    def _start(self) -> None:
        self._arm_exit()
        wake: SimpleQueue[None] = SimpleQueue()
        thread = threading.Thread(target=self._work, args=(wake,), name="spantriage", daemon=True)
        self._wake = wake
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down: close() will do the work
            self._wake = None

    # -- where attributes are read ---------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Do the queued work now, on this thread; give up after a short wait and count it."""
        if self._pid != os.getpid() or not self._gate.enter(PATIENCE_S):
            self.count("enrich_timeout")
            return
        try:
            self._drain(len(self._queue))
        finally:
            self._gate.leave()

    def _drain(self, number: int, until: float = float("inf")) -> None:
        """Read so many spans: those that were there when the caller came, for others may go on ending."""
        for _ in range(number):
            if not self._queue or time.monotonic() > until:
                return
            self._drain_one()

    def _drain_one(self) -> None:
        try:
            entry = self._queue.popleft()
        except IndexError:  # a hook dropped it: the queue is full
            return
        self.counters["processed"] += 1
        try:
            self.runs.take(*entry, time.monotonic_ns())
        except Exception:
            self._excuse("step_errors", "a span could not be read and is left out")
        finally:
            if entry[2] is not None:
                entry[2].release()

    # -- on the worker's thread --------------------------------------------------------------------------------------------

    def _work(self, wake: SimpleQueue[None]) -> None:
        self._ident = threading.get_ident()
        warm_up()
        self.delivery.introduce(self.survey)
        try:
            while self._wake is wake:
                for duty in (self._turn, self._recall, self._fill_orders):
                    try:
                        duty()
                    except Exception:
                        self._excuse("worker_errors", "the worker failed once and goes on")
                self._asleep = True  # said before anything is looked at again: no span slips between
                self._asleep = asleep = not (self.runs.live or self.heartbeat.waits)
                if not (self._queue or self._orders) and self._wake is wake:
                    with suppress(Empty):
                        wake.get(timeout=None if asleep else PULSE_S)
        finally:
            if self._wake is wake:
                self._wake = None
        if self._queue:  # ended while we were let go
            self._rouse()

    def _recall(self) -> None:
        """Tell what an earlier process was doing when it died; once."""
        findings = self.heartbeat.recall()
        if findings:
            with self._gate:
                self.runs.hand_over(findings)
            self._deliver()

    def _turn(self) -> None:
        while self._queue:
            with self._gate:
                self._drain(SLICE)
            self._deliver()
        with self._gate:
            due = self.runs.due(time.monotonic_ns())
        for live, version in due:  # judging a long run takes a while: not behind the gate
            judgement = self.runs.judge(live)
            with self._gate:
                self.runs.conclude(live, judgement, version)
        with self._gate:
            self.runs.forget(time.monotonic_ns())
            self.runs.hand_over(self.heartbeat.beat(time.monotonic_ns(), time.time_ns()))
        self._deliver()
        self.heartbeat.note()
        self.runs.guard.tell(self.count)

    def _fill_orders(self) -> None:
        while self._orders:
            deadline, answer = self._orders.popleft()
            done = False
            try:
                self._deliver()
                self.runs.guard.tell(self.count)
                done = self.delivery.flush(deadline)
            finally:
                answer.put(done)

    def _deliver(self) -> None:
        self.delivery.write(self._take_findings)

    def _take_findings(self) -> list[Any]:
        with self._gate:
            return self.runs.take_findings()

    def _excuse(self, counter: str, words: str) -> None:
        self.count(counter)
        if self.counters[counter] == 1:
            LOG.warning(words, exc_info=True)

    # -- for the caller ------------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Read what is queued, judge runs whose root has ended, deliver, flush the sinks; False when that took too long."""
        return self._finish(timeout_s, self.runs.settle_rooted)

    def close(self, timeout_s: float) -> None:
        """Judge everything that is live, deliver, flush, end the thread. May be called twice; a later span begins again."""
        if self._leave_by is not None:  # the provider shuts us down once more, after our own exit handler
            timeout_s = min(timeout_s, max(LEAST_S, self._leave_by - time.monotonic()))
        if not self._finish(timeout_s, self.runs.settle_all):
            self.count("shutdown_timeout")
        self.heartbeat.rest()
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.put(None)
        self._disarm_exit()

    def _finish(self, timeout_s: float, settle: Callable[[float], bool]) -> bool:
        if self._queue or self.runs.live:
            warm_up()
        began = time.monotonic()
        until, deadline = began + READING * timeout_s, began + timeout_s
        if not self._gate.enter(timeout_s):
            return False
        try:
            self._drain(len(self._queue), until)
            settled = settle(until)
        finally:
            self._gate.leave()
        return self._order(deadline) and settled

    def _order(self, deadline: float) -> bool:
        """Have all findings delivered by the thread, which a sink may hold up longer than we can wait."""
        wake = self._wake
        if wake is None or self._ident == threading.get_ident():  # none, or a sink calls from `write`
            self.delivery.introduce(self.survey)
            self.runs.hand_over(self.heartbeat.recall())
            self.delivery.write(self._take_findings, deadline)
            self.runs.guard.tell(self.count)
            return self.delivery.flush(deadline)
        answer: SimpleQueue[bool] = SimpleQueue()
        self._orders.append((deadline, answer))
        wake.put(None)
        try:
            return answer.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return False

    def should_stop(self, agent: str) -> bool:
        """Say whether a budget of this agent is used up, with every span that has ended counted in."""
        guard = self.runs.guard
        if not guard.budgets:
            return False
        try:
            self.catch_up()
            self.heartbeat.look_at_wall_time(time.time_ns())
            context = get_current_span().get_span_context()
            stop = guard.should_stop(agent, self.runs.leader(context.trace_id) if context.is_valid else None)
            wake = self._wake
            if guard.waits and wake is not None:
                wake.put(None)  # so that callbacks come at once
        except Exception:
            self._excuse("hook_errors", "a budget could not be looked at, and the agent goes on")
            return False
        return stop

    def status(self) -> dict[str, Any]:
        """Agents' records, live runs and our own counters, up to date with every span that has ended."""
        records: dict[str, Record] = {}
        agents: dict[str, Any] = {}
        if self._gate.enter(STATUS_S):
            try:
                self._drain(len(self._queue))
                records = dict(self.runs.records())
                agents = {name: record.as_dict() for name, record in records.items()}
            finally:
                self._gate.leave()
        else:
            self.count("status_timeout")
        live = sum(1 for live in list(self.runs.live.values()) if live.judgement is None)
        unpriced = sum(record.unpriced_calls for record in records.values())
        return {"agents": agents, "runs": {"live": live}, "self": {**self.accounts(), "prices_unknown": unpriced}}

    def accounts(self) -> dict[str, int]:
        """Our own counters. Exactly: received = processed + dropped.queue_full + queued."""
        dropped, queued = self._dropped, len(self._queue)
        return {
            "received": self.counters["processed"] + dropped + queued,
            "processed": self.counters["processed"],
            "dropped.queue_full": dropped,
            "queued": queued,
            **{name: number for name, number in sorted(self.counters.items()) if name != "processed"},
            **{f"detector_errors.{code}": number for code, number in sorted(self.runs.detector_errors.items())},
            **self.delivery.dropped(),
        }

    def add_sink(self, sink: Sink) -> None:
        """Feed one more sink from now on."""
        self.delivery.sinks.append(sink)
        self._keep_farewells()
        if self._wake is not None:
            self.delivery.introduce(self.survey)

    def _keep_farewells(self) -> None:
        if any(hasattr(sink, "watch") for sink in self.delivery.sinks):
            self.runs.farewell = self.survey.remember

    def close_sinks(self, timeout_s: float) -> None:
        """Let the journal and the sinks go; the last thing that happens to a worker."""
        self.heartbeat.close()
        self.delivery.close(time.monotonic() + timeout_s)

    # -- at the end of the process, and in a new one -------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a forked child: the parent owns what was queued and open; new locks now, a new thread with the next span."""
        self._begin()
        self.delivery.after_fork()
        self.runs.clear()
        self.heartbeat.after_fork()
        self.survey.clear()
        self._keep_farewells()
        self.counters.clear()

    def _arm_exit(self) -> None:
        """Be the first at exit: handlers run last in, first out, and a logger provider made later would go before us."""
        self._disarm_exit()
        atexit.register(self._at_exit)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # children of multiprocessing leave through os._exit and skip atexit
            self._finalizer = util.Finalize(None, self._at_exit, exitpriority=100)

    def _disarm_exit(self) -> None:
        atexit.unregister(self._at_exit)
        if self._finalizer is not None:
            self._finalizer.cancel()
            self._finalizer = None

    def _at_exit(self) -> None:
        self._leave_by = time.monotonic() + self.settings.exit_s
        try:
            self.close(self.settings.exit_s)
        except Exception:
            self.count("exit_errors")


def warm_up() -> None:
    """Load what findings are made with, and prices. Twice if need be: pydantic's plugins may fail to load while the program ends."""
    for _ in range(2):
        with suppress(Exception):
            load_finding()
            break
    prices.load()
