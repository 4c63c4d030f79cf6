"""The worker: everything that need not happen where spans end. Reads messages, judges runs, feeds the sinks.

One daemon thread, started by the first span, asleep while there is nothing to do, gone and made anew after a fork.
Whoever reads a span's attributes before the worker has come to it does the queued work itself (`catch_up`).
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
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from spantriage import prices
from spantriage.budget import Budget
from spantriage.config import Settings
from spantriage.detectors import Detector
from spantriage.enrichment import Enriched
from spantriage.heartbeat import Heartbeat, journal_folder
from spantriage.open_spans import CAP as OPEN_CAP
from spantriage.runs import Runs

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace import Span as SdkSpan

    from spantriage.sinks import Sink

__all__ = ["Entry", "Worker"]

LOG: Final = logging.getLogger("spantriage")
PULSE_S: Final = 0.1  # how often an awake worker looks; the longest a finding waits for company
WATCH_S: Final = 0.5  # the same while nothing has ended yet and somebody is at work
PATIENCE_S: Final = 0.05  # how long a reader of attributes waits for the worker before it goes without a verdict
TRACES: Final = 50_000  # trace ids remembered as an agent's

# The span, its own attributes, where its verdict goes (None: nowhere), whether it is an agent's.
Entry = tuple["ReadableSpan", dict[str, Any], Enriched | None, bool]


class Worker:
    """Takes ended spans over from the hooks and turns them into findings in the sinks."""

    def __init__(self, settings: Settings, detectors: tuple[Detector, ...], sinks: Iterable[str | Sink] | None) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.traces: OrderedDict[int, None] = OrderedDict()  # of agents; read by the hooks
        self.runs = Runs(settings, detectors, self.counters, self.traces)
        self.sinks: list[Sink] = []
        self._open_sinks(settings.sinks if sinks is None else tuple(sinks), strict=sinks is not None)
        self.heartbeat = Heartbeat(self.runs, detectors, self.counters, journal_folder(settings.journal, self.sinks))
        self._open = self.runs.open
        if settings.budget_usd or settings.budget_tokens or settings.budget_steps:
            self.runs.guard.add(Budget(settings.budget_usd, settings.budget_tokens, settings.budget_steps))
        self._queue: deque[Entry] = deque()
        self._dropped = 0
        self._dropping = threading.RLock()  # `+=` is not atomic; a dropped span is rare, so this costs nothing
        self._cap = settings.queue_size
        self._lock = threading.RLock()  # guards runs and queue reading; never held during I/O
        self._out = threading.RLock()  # guards the sinks
        self._wake = threading.Event()
        self._asleep = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    # -- where spans end: no lock, no I/O ------------------------------------------------------------------------------

    def start(self, span: SdkSpan, agent: object) -> None:
        """An agent's or a model call's span has started. Of too many the oldest is forgotten."""
        context: Any = span._context
        started = self._open.spans
        started[context.span_id] = (context.trace_id, agent if type(agent) is str else None, span)
        if len(started) > OPEN_CAP:
            self._open.shrink()
            self.count("open_forgotten")
        if self._asleep or self._thread is None:
            self._rouse()

    def put(self, entry: Entry) -> None:
        """Queue an ended span. A full queue drops its oldest entry and counts it."""
        queue = self._queue
        queue.append(entry)
        if entry[3]:
            traces = self.traces
            traces[entry[0]._context.trace_id] = None  # type: ignore[union-attr]  # an ended span has a context
            if len(traces) > TRACES:
                traces.popitem(last=False)
        if len(queue) > self._cap:
            self._drop_oldest()
        if self._asleep or self._thread is None:
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
        if entry[2] is not None:
            entry[2].release()

    def _rouse(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._work, name="spantriage", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # the interpreter is going down: close() will do the work
                self._stopping = True
        self._wake.set()

    # -- where attributes are read ---------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Do the queued work now, on this thread; give up after a short wait and count it."""
        if self._pid != os.getpid() or not self._lock.acquire(timeout=PATIENCE_S):
            self.count("enrich_timeout")
            return
        try:
            self._drain()
        finally:
            self._lock.release()

    def _drain(self) -> None:
        while self._queue:
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
            self.count("step_errors")
            if self.counters["step_errors"] == 1:
                LOG.warning("a span could not be read and is left out", exc_info=True)
        finally:
            if entry[2] is not None:
                entry[2].release()

    # -- on the worker's thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._arm_exit()
        self._recall()
        self._load_prices()
        while not self._stopping and self._pid == os.getpid():
            try:
                self._turn()
            except Exception:
                self.count("worker_errors")
                if self.counters["worker_errors"] == 1:
                    LOG.warning("the worker failed once and goes on", exc_info=True)
            self._asleep = not self.runs.live and not self.heartbeat.waits
            if not self._queue:
                self._wake.wait(None if self._asleep else PULSE_S if self.runs.live else WATCH_S)
                self._wake.clear()
            self._asleep = False

    def _load_prices(self) -> None:
        """Not under the lock, where a reader of attributes would wait for it."""
        try:
            prices.load()
        except Exception:
            LOG.warning("there are no prices, so that costs stay unknown", exc_info=True)

    def _recall(self) -> None:
        """Tell what an earlier process was doing when it died."""
        try:
            findings = self.heartbeat.recall()
            with self._lock:
                self.runs.hand_over(findings)
        except Exception:
            self.count("journal_errors")
            LOG.warning("what an earlier process has left could not be read", exc_info=True)

    def _turn(self) -> None:
        while self._queue:  # in slices, so that a reader of attributes waits for one slice at most
            with self._lock:
                self._drain_slice()
            self._deliver()
        with self._lock:
            due = self.runs.due(time.monotonic_ns())
        for live in due:  # judging a long run takes a while: not under the lock
            judged = self.runs.judge(live)
            with self._lock:
                self.runs.conclude(live, judged)
        with self._lock:
            self.runs.forget(time.monotonic_ns())
            self.runs.hand_over(self.heartbeat.beat(time.monotonic_ns(), time.time_ns()))
        self._deliver()
        self.heartbeat.write_journal(time.time_ns())
        self.runs.guard.tell(self.count)

    def _drain_slice(self) -> None:
        for _ in range(16):
            if self._queue:
                self._drain_one()

    def _deliver(self) -> None:
        """Hand findings to every sink; one that fails is counted and asked again with the next findings."""
        with self._out:
            with self._lock:
                findings = self.runs.take_findings()
            if not findings:
                return
            self.counters["findings"] += len(findings)
            for sink in self.sinks:
                try:
                    sink.write(findings)
                except Exception as error:
                    self._blame(sink, error, len(findings))

    def _blame(self, sink: Sink, error: Exception, lost: int) -> None:
        name = sink_name(sink)
        if not hasattr(sink, "dropped"):  # a sink that keeps what it could not write counts for itself
            self.counters[f"findings_dropped.{name}"] += lost
        self.counters[f"sink_errors.{name}"] += 1
        if self.counters[f"sink_errors.{name}"] == 1:
            LOG.warning("sink %s failed and will be asked again: %s", name, error)

    # -- for the caller ------------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Read what is queued, judge runs whose root has ended, deliver, flush the sinks; all on the caller's thread."""
        return self._finish(timeout_s, self.runs.settle_rooted)

    def close(self, timeout_s: float) -> None:
        """Judge everything that is live, deliver, flush. May be called twice; a later span starts the worker again."""
        if not self._finish(timeout_s, lambda: self.runs.settle_all("shutdown")):
            self.count("shutdown_timeout")

    def _finish(self, timeout_s: float, settle: Callable[[], None]) -> bool:
        deadline = time.monotonic() + timeout_s
        self._recall()  # the thread may not have come to it yet
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return False
        try:
            self._drain()
            settle()
        finally:
            self._lock.release()
        if not self._out.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return False
        try:
            self._deliver()
            self.runs.guard.tell(self.count)
            flushed = [self._flush_sink(sink, (deadline - time.monotonic()) / len(self.sinks)) for sink in self.sinks]
            return all(flushed)
        finally:
            self._out.release()

    def _flush_sink(self, sink: Sink, left_s: float) -> bool:
        try:
            return sink.flush(max(0.05, left_s))
        except Exception as error:
            self._blame(sink, error, 0)
            return False

    def should_stop(self, agent: str) -> bool:
        """Say whether a budget of this agent is used up, with every span that has ended counted in."""
        try:
            self.catch_up()
            self.heartbeat.look_at_wall_time(time.time_ns())
            context = get_current_span().get_span_context()
            run = self.runs.leader(context.trace_id) if context.is_valid else None
            stop = self.runs.guard.should_stop(agent, run)
            self._wake.set()  # so that callbacks come at once
        except Exception:
            self.count("hook_errors")
            return False
        return stop

    def status(self) -> dict[str, Any]:
        """Agents' records, live runs and our own counters, up to date with every span that has ended."""
        with self._lock:
            self._drain()
            records = dict(self.runs.records())
            agents = {name: record.as_dict() for name, record in records.items()}
            live = sum(1 for live in self.runs.live.values() if live.judgement is None)
            unpriced = sum(record.unpriced_calls for record in records.values())
            return {"agents": agents, "runs": {"live": live}, "self": {**self.accounts(), "prices_unknown": unpriced}}

    def accounts(self) -> dict[str, int]:
        """Our own counters. Exactly: received = processed + dropped.queue_full + queued."""
        dropped = self._dropped
        queued = len(self._queue)
        return {
            "received": self.counters["processed"] + dropped + queued,
            "processed": self.counters["processed"],
            "dropped.queue_full": dropped,
            "queued": queued,
            **{name: number for name, number in sorted(self.counters.items()) if name != "processed"},
            **{f"findings_dropped.{sink_name(sink)}": lost for sink in self.sinks if (lost := getattr(sink, "dropped", 0))},
        }

    def add_sink(self, sink: Sink) -> None:
        """Feed one more sink from now on."""
        with self._out:
            self.sinks.append(sink)

    def close_sinks(self, timeout_s: float) -> None:
        """Let the journal and the sinks go; the last thing that happens to a worker."""
        self.heartbeat.close()
        with self._out:
            for sink in self.sinks:
                try:
                    sink.close(timeout_s / len(self.sinks))
                except Exception as error:
                    self._blame(sink, error, 0)
            self.sinks.clear()

    def after_fork(self) -> None:
        """In a forked child: the parent owns what was queued and open; new locks now, a new thread with the next span."""
        self._lock, self._out, self._dropping = threading.RLock(), threading.RLock(), threading.RLock()
        self._wake, self._queue, self._dropped = threading.Event(), deque(), 0
        self.runs.clear()
        self.heartbeat.after_fork()
        self.counters.clear()
        self._thread, self._asleep, self._stopping, self._pid = None, False, False, os.getpid()
        self._arm_exit()

    def _open_sinks(self, specs: Iterable[str | Sink], *, strict: bool) -> None:
        from spantriage.sinks import open_sink

        for spec in specs:
            try:
                self.sinks.append(open_sink(spec) if isinstance(spec, str) else spec)
            except Exception as error:
                if strict:
                    raise
                LOG.warning("sink %s is left out: %s", spec, error)
                self.count("sinks_left_out")

    def _arm_exit(self) -> None:
        """Be the first at exit: handlers run last in, first out, and a logger provider made later would go before us."""
        try:
            atexit.unregister(self._at_exit)
            atexit.register(self._at_exit)
        except RuntimeError:
            return
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # children of multiprocessing leave through os._exit and skip atexit
            util.Finalize(None, self._at_exit, exitpriority=100)

    def _at_exit(self) -> None:
        try:
            self.close(self.settings.exit_s)
            self.heartbeat.write_journal(time.time_ns())
            self.heartbeat.close()
        except Exception:
            self.count("exit_errors")


def sink_name(sink: Sink) -> str:
    """The sink's scheme."""
    return type(sink).__module__.rpartition(".")[2]
