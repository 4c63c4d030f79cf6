"""The last stretch of the road: findings to every sink, whatever one of them does."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.sinks import Sink, Survey

__all__ = ["Delivery", "Orders"]

LOG: Final = logging.getLogger("spantriage")
FOREVER: Final = float("inf")
LEAST_S: Final = 0.05  # what every sink is given to flush, however late it is


class Delivery:
    """The sinks, and what went wrong with them. One thread at a time writes; a sink that hangs holds up that thread alone."""

    def __init__(self, counters: Counter[str]) -> None:
        self.sinks: list[Sink] = []
        self._counters = counters
        self._writing = threading.RLock()  # a sink may flush us from its own `write`

    def open(self, specs: Iterable[str | Sink], *, strict: bool) -> None:
        """Open sinks by name. With `strict` raises what is wrong with one; without it is left out with a warning."""
        from spantriage.sinks import open_sink, shown

        for spec in specs:
            try:
                self.sinks.append(open_sink(spec) if isinstance(spec, str) else spec)
            except Exception as error:
                if strict:
                    raise
                LOG.warning("sink %s is left out: %s", shown(spec) if isinstance(spec, str) else name_of(spec), error)
                self._counters["sinks_left_out"] += 1

    def introduce(self, survey: Survey) -> None:
        """Show every sink that wants to watch how far runs have come; when the worker begins, and again in a forked child."""
        for sink in list(self.sinks):
            watch = getattr(sink, "watch", None)
            if watch is None:
                continue
            try:
                watch(survey)
            except Exception as error:
                self._blame(sink, error, 0)

    def write(self, take: Callable[[], list[Finding]], deadline: float = FOREVER) -> None:
        """Hand what `take` gives to every sink; one that fails is counted and asked again with the next findings.

        With a deadline it is not waited for longer that another thread has done with them.
        """
        if not self._writing.acquire(timeout=-1 if deadline == FOREVER else max(0.0, deadline - time.monotonic())):
            return
        try:
            findings = take()
            if not findings:
                return
            self._counters["findings"] += len(findings)
            for sink in list(self.sinks):
                try:
                    sink.write(findings)
                except Exception as error:
                    self._blame(sink, error, len(findings))
        finally:
            self._writing.release()

    def flush(self, deadline: float) -> bool:
        """Have every sink hand on what it holds, until `deadline` of the monotonic clock; False when one could not."""
        if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return False
        try:
            sinks = list(self.sinks)
            flushed = [self._flush(sink, (deadline - time.monotonic()) / len(sinks)) for sink in sinks]  # each, whatever one says
            return all(flushed)
        finally:
            self._writing.release()

    def _flush(self, sink: Sink, left_s: float) -> bool:
        try:
            return sink.flush(max(LEAST_S, left_s))
        except Exception as error:
            self._blame(sink, error, 0)
            return False

    def close(self, deadline: float) -> None:
        """Let the sinks go; one that is in use just now is left to itself."""
        if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return
        try:
            sinks, self.sinks = self.sinks, []
            for sink in sinks:
                try:
                    sink.close(max(LEAST_S, (deadline - time.monotonic()) / len(sinks)))
                except Exception as error:
                    self._blame(sink, error, 0)
        finally:
            self._writing.release()

    def dropped(self) -> dict[str, int]:
        """Findings that sinks say they have lost, by sink."""
        lost: Counter[str] = Counter()
        for sink in list(self.sinks):
            lost[f"findings_dropped.{name_of(sink)}"] += getattr(sink, "dropped", 0)
        return {name: number for name, number in lost.items() if number}

    def after_fork(self) -> None:
        """In a forked child: the lock may be held by a thread that is not here."""
        self._writing = threading.RLock()

    def _blame(self, sink: Sink, error: Exception, lost: int) -> None:
        name = name_of(sink)
        if not hasattr(sink, "dropped"):  # a sink that keeps what it could not write counts for itself
            self._counters[f"findings_dropped.{name}"] += lost
        self._counters[f"sink_errors.{name}"] += 1
        if self._counters[f"sink_errors.{name}"] == 1:
            LOG.warning("sink %s failed and will be asked again: %s", name, error)


class Orders:
    """Those who wait for delivery: it is one thread's business, which a sink may hold up longer than they can wait."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, SimpleQueue[bool]]] = deque()  # until when, where to answer

    @property
    def waits(self) -> bool:
        """Whether somebody does."""
        return bool(self._waiting)

    def place(self, deadline: float, wake: SimpleQueue[None]) -> bool:
        """Have everything delivered by the thread that waits at `wake`; False when it cannot be, or is not until the deadline."""
        answer: SimpleQueue[bool] = SimpleQueue()
        self._waiting.append((deadline, answer))
        wake.put(None)
        try:
            return answer.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return False

    def fill(self, deliver: Callable[[float], bool]) -> None:
        """Deliver for each, and say how it went; on the thread in question."""
        while self._waiting:
            deadline, answer = self._waiting.popleft()
            done = False
            try:
                done = deliver(deadline)
            finally:
                answer.put(done)


def name_of(sink: Sink) -> str:
    """The sink's scheme."""
    return type(sink).__module__.rpartition(".")[2]
