"""A queue with a thread of its own, for sinks whose far end may be slow or dead: the other sinks must not wait for it."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["Later", "Outbox"]

LOG: Final = logging.getLogger("spantriage")
T = TypeVar("T")
BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0)  # between attempts at one batch; then it is given up
JITTER: Final = 0.25  # share by which a pause is longer, so that many programs do not come back at once
_OUTBOXES: Final[weakref.WeakSet[Outbox[object]]] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Later:
    """What `send` answers when a batch must wait for a time that the far end, or a rate limit, has set."""

    wait_s: float
    failed: bool = True  # an attempt was made; otherwise the entries go back into the queue, and company may join them


class Outbox(Generic[T]):
    """Hands batches to `send` on a daemon thread. A failed batch is tried again; a full queue drops its oldest entry.

    `send` may take entries out of its batch as they leave: those are not given to it again, and not counted as dropped.
    """

    def __init__(
        self,
        send: Callable[[list[T]], bool | Later],
        *,
        size: int = 2_048,
        batch: int = 512,
        wait_s: float = 0.2,
        backoff_s: tuple[float, ...] | None = None,
    ) -> None:
        self._send, self._size, self._batch, self._wait_s, self._backoff_s = send, size, batch, wait_s, backoff_s
        self._begin()
        self._start()  # at once: at the end of the process, when the first entry may come, no thread can be started any more
        _OUTBOXES.add(self)  # type: ignore[arg-type]  # what the entries are does not matter there

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[T] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._hurry = self._closed = False
        self._busy = 0  # entries that are being sent
        self.sent = self.dropped = 0

    @property
    def waiting(self) -> int:
        """How many entries have not left yet."""
        return len(self._queue) + self._busy

    @property
    def has_no_thread(self) -> bool:
        """Whether sending is left to whoever flushes, as at the end of the process."""
        return self._thread is None

    def put(self, entries: Iterable[T]) -> None:
        """Queue entries; never waits for the far end."""
        if self._pid != os.getpid():
            self._begin()
        with self._changed:
            self._closed = False
            self._queue.extend(entries)
            while len(self._queue) > self._size:
                self._queue.popleft()
                self.dropped += 1
            if self._thread is None or not self._thread.is_alive():
                self._start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Send all that waits, now; False when that took too long or something was dropped."""
        deadline, lost = time.monotonic() + timeout_s, self.dropped
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            if self._thread is None and self._queue:
                self._deliver_here()
            done = self._changed.wait_for(lambda: not self.waiting or self._thread is None, max(0.0, deadline - time.monotonic()))
            self._hurry = False
        return done and not self.waiting and self.dropped == lost

    def close(self, timeout_s: float) -> bool:
        """Flush, then let the thread end; what has not left counts as dropped. `put` opens the box again."""
        done = self.flush(timeout_s)
        with self._changed:
            self._closed = True
            self.dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        return done

    def after_fork(self) -> None:
        """In a forked child: what waited is the parent's, and the thread stayed there."""
        self._begin()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="spantriage-outbox", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            self._thread = None
            return
        self._thread = thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    self._thread = None
                    self._changed.notify_all()
                    return
                if len(self._queue) < self._batch:  # company may come
                    self._changed.wait_for(lambda: self._hurry or self._closed or len(self._queue) >= self._batch, self._wait_s)
                batch = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
                self._busy = len(batch)
            if batch:
                self._deliver(batch)

    def _deliver_here(self) -> None:
        """Without a thread: one attempt on the caller's."""
        batch = list(self._queue)
        self._queue.clear()
        number = len(batch)
        self._account(number, 0 if self._try(batch) is True else len(batch))

    def _deliver(self, batch: list[T]) -> None:
        number = left = len(batch)
        pauses = iter(self._pauses())
        while True:
            answer = self._try(batch)
            with self._changed:
                self._busy = len(batch)
                if len(batch) < left:  # some have left: the far end is alive
                    left, pauses = len(batch), iter(self._pauses())
                if isinstance(answer, Later) and not answer.failed and not self._closed:
                    self._put_back(number, batch, answer.wait_s)
                    return
                pause_s = None if answer is True or self._closed else next(pauses, None)
                if pause_s is None:
                    self._account(number, 0 if answer is True else len(batch))
                    return
                self._pause(max(pause_s, answer.wait_s) if isinstance(answer, Later) else pause_s)

    def _pauses(self) -> tuple[float, ...]:
        return BACKOFF_S if self._backoff_s is None else self._backoff_s

    def _put_back(self, number: int, batch: list[T], wait_s: float) -> None:
        """Let the batch wait in the queue, where it is the oldest."""
        self._account(number - len(batch), 0)
        self._queue.extendleft(reversed(batch))
        while len(self._queue) > self._size:
            self._queue.popleft()
            self.dropped += 1
        self._pause(wait_s)

    def _account(self, number: int, lost: int) -> None:
        self._busy = 0
        self.sent += number - lost
        self.dropped += lost
        self._changed.notify_all()

    def _pause(self, pause_s: float) -> None:
        """Wait before the next attempt; a flush that begins meanwhile ends the wait."""
        hurried = self._hurry
        longer_s = pause_s * (1 + random.uniform(0, JITTER))  # noqa: S311  # nothing to guess here
        self._changed.wait_for(lambda: self._closed or (self._hurry and not hurried), longer_s)

    def _try(self, batch: list[T]) -> bool | Later:
        try:
            return self._send(batch)
        except Exception:
            LOG.debug("a batch could not be sent", exc_info=True)
            return False


def _renew_all() -> None:
    for outbox in list(_OUTBOXES):
        outbox.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
