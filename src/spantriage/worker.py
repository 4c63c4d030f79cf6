"""The worker: everything that need not happen where spans end. Reads messages, judges runs, feeds the sinks.

One daemon thread, started by the first span, asleep while there is nothing to do, gone after `close` and after a fork,
and made anew by the next span. Its duties come one after the other; whoever waits for delivery leaves an order.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

from opentelemetry.trace import get_current_span

from spantriage import prices
from spantriage.budget import Budget
from spantriage.config import Settings
from spantriage.delivery import Delivery, Orders
from spantriage.detectors import Detector
from spantriage.excuses import excuse
from spantriage.heartbeat import Heartbeat, journal_folder
from spantriage.intake import Intake
from spantriage.late import warm_up
from spantriage.leaving import LastCall
from spantriage.survey import Survey

if TYPE_CHECKING:
    from spantriage.sinks import Sink

__all__ = ["Worker"]

PULSE_S: Final = 0.1  # how often an awake worker looks; the longest a finding waits for company
READING: Final = 0.6  # share of the time to finish that may go into reading and judging; the rest is the sinks'
SLICE: Final = 16  # spans read at a stretch; a reader of attributes waits for one slice at most


class Worker(Intake):
    """Takes ended spans over from the hooks and turns them into findings in the sinks."""

    def __init__(self, settings: Settings, detectors: tuple[Detector, ...], sinks: Iterable[str | Sink] | None) -> None:
        super().__init__(settings, detectors)
        self.survey = Survey(self.runs, detectors, self.counters, lambda: self._gate)
        self.delivery = Delivery(self.counters)
        self.delivery.open(settings.sinks if sinks is None else tuple(sinks), strict=sinks is not None)
        self.heartbeat = Heartbeat(self.runs, detectors, self.counters, journal_folder(settings.journal, self.delivery.sinks))
        if settings.budget_usd or settings.budget_tokens or settings.budget_steps:
            self.add_budget(Budget(settings.budget_usd, settings.budget_tokens, settings.budget_steps))
        self._keep_farewells()
        self._last_call = LastCall(self.close, settings.exit_s, lambda: self.count("exit_errors"))
        if hasattr(os, "register_at_fork"):
            renew = WeakMethod(self.after_fork)
            os.register_at_fork(after_in_child=lambda: (method := renew()) and method())

    def _begin(self) -> None:
        super()._begin()
        self._starting = threading.Lock()
        self._wake: SimpleQueue[None] | None = None  # the thread's; None: there is none. Unlike an Event it may interrupt itself.
        self._ident = 0
        self._orders = Orders()

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
            self.asleep = False
            wake.put(None)

    def _start(self) -> None:
        self._last_call.arm()
        wake: SimpleQueue[None] = SimpleQueue()
        thread = threading.Thread(target=self._work, args=(wake,), name="spantriage", daemon=True)
        self._wake = wake
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down: close() will do the work
            self._let_go()

    def _let_go(self) -> None:
        """There is no thread any more; the next span starts one."""
        self._wake, self.asleep = None, True

    # -- on the worker's thread --------------------------------------------------------------------------------------------

    def _work(self, wake: SimpleQueue[None]) -> None:
        self._ident = threading.get_ident()
        duties = (self._recall, self._turn, prices.load, lambda: self._orders.fill(self._deliver_all))
        warm_up()
        self.delivery.introduce(self.survey)
        try:
            while self._wake is wake:
                for duty in duties:
                    try:
                        duty()
                    except Exception:
                        excuse(self.counters, "worker_errors", "the worker failed once and goes on")
                if self._wake is not wake:
                    break
                self.asleep = True  # said before anything is looked at again: no span slips between
                self.asleep = asleep = not (self.runs.live or self.heartbeat.waits)
                if not (self.queue or self._orders.waits):
                    with suppress(Empty):
                        wake.get(timeout=None if asleep else PULSE_S)
        finally:
            if self._wake in (wake, None):
                self._let_go()
        if self.queue:  # ended while we were let go
            self._rouse()

    def _recall(self) -> None:
        """Tell what an earlier process was doing when it died; once."""
        self._hand_over(self.heartbeat.recall())

    def _turn(self) -> None:
        while self.queue:
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
            found = self.heartbeat.beat(time.monotonic_ns(), time.time_ns())
        self._hand_over(found)
        self._deliver()
        self.heartbeat.note()
        self.runs.guard.tell(self.counters)

    def _deliver_all(self, deadline: float) -> bool:
        self._deliver()
        self.runs.guard.tell(self.counters)
        return self.delivery.flush(deadline)

    def _deliver(self) -> None:
        self.delivery.write(self._take_findings)

    # -- for the caller ------------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Read what is queued, judge runs whose root has ended, deliver, flush the sinks; False when that took too long."""
        return self._finish(timeout_s, self.runs.settle_rooted)

    def close(self, timeout_s: float) -> None:
        """Judge everything that is live, deliver, flush, end the thread. May be called twice; a later span begins again."""
        if not self._finish(self._last_call.left_s(timeout_s), self.runs.settle_all):
            self.count("shutdown_timeout")
        self.heartbeat.rest()
        wake = self._wake
        self._let_go()
        if wake is not None:
            wake.put(None)
        self._last_call.disarm()

    def _finish(self, timeout_s: float, settle: Callable[[float], bool]) -> bool:
        if self.queue or self.runs.live:
            warm_up()
            prices.load()
        began = time.monotonic()
        until, deadline = began + READING * timeout_s, began + timeout_s
        if not self._gate.enter(timeout_s):
            return False
        try:
            self._drain(len(self.queue), until)
            settled = settle(until)
        finally:
            self._gate.leave()
        return self._order(deadline) and settled

    def _order(self, deadline: float) -> bool:
        """Have all findings delivered by the thread, which a sink may hold up longer than we can wait."""
        wake = self._wake
        if wake is None or self._ident == threading.get_ident():  # none, or a sink calls from `write`
            self.delivery.introduce(self.survey)
            self._recall()
            self.delivery.write(self._take_findings, deadline)
            self.runs.guard.tell(self.counters)
            return self.delivery.flush(deadline)
        return self._orders.place(deadline, wake)

    def add_budget(self, budget: Budget) -> None:
        """Watch one more budget from now on. Dollars want prices, and from the first call on."""
        if budget.usd:
            prices.load()
        self.runs.guard.add(budget)

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
            excuse(self.counters, "hook_errors", "a budget could not be looked at, and the agent goes on")
            return False
        return stop

    def accounts(self) -> dict[str, int]:
        """Our own counters, and what sinks have lost."""
        return {**super().accounts(), **self.delivery.dropped()}

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
