"""Ended spans into a store while the program runs: a span processor with a queue and a thread of its own.

It stands behind the processor that judges, so that verdicts are on the spans when they are written. `on_end` takes no lock
and does no I/O. Exactly: received = written + unsuitable + dropped.queue_full + dropped.not_written + queued.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import Counter, deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from opentelemetry.sdk.trace import SpanProcessor

from spantriage.store.layout import create
from spantriage.store.lines import line
from spantriage.store.spans import LiveRows
from spantriage.store.spool import Spool

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

__all__ = ["StoreProcessor", "capped_line"]

LOG: Final = logging.getLogger("spantriage")
QUEUE: Final = 8_192  # spans that wait; beyond it the oldest is dropped and counted
BATCH: Final = 64  # spans in one write
LINE_BYTES: Final = 4 << 20  # a longer row loses what was said in it
PAUSE_S: Final = 0.2  # how long spans wait for company, and for their verdicts
IDLE_S: Final = 5.0  # how often an idle thread looks whether its file should be closed
EXIT_S: Final = 1.5  # how long the end of the process may wait
RETRY_S: Final = 1.0  # how long it leaves a disk alone that refused to write


class StoreProcessor(SpanProcessor):
    """Give it to `add_span_processor`, or let `attach(store=...)` put it in place.

    Raises StoreError when the folder cannot be written; after that it never raises.
    """

    def __init__(self, folder: str | Path, *, content: bool = False, queue_size: int = QUEUE) -> None:
        self.folder = create(folder)
        self.counters: Counter[str] = Counter()
        self._content, self._cap = content, queue_size
        self._begin()
        atexit.register(self.shutdown)
        if hasattr(os, "register_at_fork"):
            renew = WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := renew()) and method())

    def _begin(self) -> None:
        self._queue: deque[ReadableSpan] = deque()
        self._rows = LiveRows(content=self._content)
        self._spool = Spool(self.folder)
        self._starting = threading.Lock()
        self._writing = threading.Lock()
        self._wake: SimpleQueue[None] | None = None  # the thread's; None: there is none
        self._asleep = False
        self._rest_until = 0.0

    # -- where spans end -------------------------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is kept of spans that have only begun."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span; of too many the oldest is dropped."""
        try:
            self._queue.append(span)
            if len(self._queue) > self._cap:
                self._drop_oldest()
            if self._asleep or self._wake is None:
                self._rouse()
        except Exception:
            self.counters["hook_errors"] += 1

    def _drop_oldest(self) -> None:
        try:
            self._queue.popleft()
        except IndexError:  # the thread was faster
            return
        self.counters["dropped.queue_full"] += 1

    def _rouse(self) -> None:
        if self._wake is None and self._starting.acquire(blocking=False):
            try:
                if self._wake is None:
                    wake: SimpleQueue[None] = SimpleQueue()
                    thread = threading.Thread(target=self._work, args=(wake,), name="spantriage-store", daemon=True)
                    self._wake = wake
                    thread.start()
            except RuntimeError:  # the interpreter is going down: shutdown() will write
                self._wake = None
            finally:
                self._starting.release()
        if self._wake is not None:
            self._asleep = False
            self._wake.put(None)

    # -- on the thread -----------------------------------------------------------------------------------------------------

    def _work(self, wake: SimpleQueue[None]) -> None:
        while self._wake is wake:
            time.sleep(PAUSE_S)
            try:
                self._drain()
            except Exception:
                self.counters["errors"] += 1
                LOG.debug("the store's thread failed once and goes on", exc_info=True)
            self._asleep = True
            rest = self._rest_until - time.monotonic()
            if self._queue and rest <= 0:
                self._asleep = False
                continue
            try:
                wake.get(timeout=min(IDLE_S, rest) if self._queue else IDLE_S)
            except Empty:
                self._close_if_due()
            self._asleep = False

    def _drain(self, until: float = float("inf")) -> bool:
        """Write what is queued; False when the disk refused, or time was up."""
        with self._writing:
            while self._queue:
                if time.monotonic() > until:
                    return False
                spans: list[ReadableSpan] = []
                while self._queue and len(spans) < BATCH:
                    try:
                        spans.append(self._queue.popleft())
                    except IndexError:  # a hook dropped it
                        break
                if not self._write(spans):
                    return False
        return True

    def _write(self, spans: list[ReadableSpan]) -> bool:
        lines: list[bytes] = []
        told = 0
        for span in spans:
            try:
                rows = self._rows.of(span)
                lines += [capped_line(row) for row in rows]
                told += bool(rows)
            except Exception:
                self._excuse("a span could not be read and is not stored")
        unsuitable = len(spans) - told
        self.counters["unsuitable"] += unsuitable
        if not lines:
            return True
        try:
            self._spool.append(b"".join(lines))
        except OSError as error:
            self.counters["unsuitable"] -= unsuitable
            self._put_back(spans)
            self._excuse(f"store {self.folder} cannot be written and will be tried again: {error.strerror or error}")
            self._rest_until = time.monotonic() + RETRY_S
            return False
        self.counters["written"] += told
        return True

    def _put_back(self, spans: list[ReadableSpan]) -> None:
        self._queue.extendleft(reversed(spans))
        while len(self._queue) > self._cap:
            self._drop_oldest()

    def _excuse(self, words: str) -> None:
        self.counters["errors"] += 1
        if self.counters["errors"] == 1:
            LOG.warning(words)

    def _close_if_due(self) -> None:
        with self._writing:
            if self._spool.is_due():
                self._spool.rotate()

    # -- for the caller ------------------------------------------------------------------------------------------------------

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what is queued now, on this thread."""
        try:
            return self._drain(time.monotonic() + timeout_millis / 1_000)
        except Exception:
            self.counters["hook_errors"] += 1
            return False

    def shutdown(self) -> None:
        """Write what is queued and close the file. A processor may be used again after it."""
        try:
            wake, self._wake = self._wake, None
            if wake is not None:
                wake.put(None)
            if not self._drain(time.monotonic() + EXIT_S):
                self.counters["dropped.not_written"] += len(self._queue)
                self._queue.clear()
            with self._writing:
                self._spool.rotate()
        except Exception:
            self.counters["hook_errors"] += 1

    def status(self) -> dict[str, int]:
        """What became of the spans."""
        counters = self.counters
        lost = counters["dropped.queue_full"] + counters["dropped.not_written"]
        queued = len(self._queue)
        return {
            "received": counters["written"] + counters["unsuitable"] + lost + queued,
            "queued": queued,
            **dict(sorted(counters.items())),
        }

    def _after_fork(self) -> None:
        """In a forked child: the parent owns what was queued, and the file."""
        self._spool.disown()
        self.counters.clear()
        self._begin()


def capped_line(row: dict[str, Any]) -> bytes:
    """A row as a line of at most LINE_BYTES: a longer one loses what was said in it."""
    made = line(row)
    if len(made) > LINE_BYTES:
        kept = {key: value for key, value in row.items() if key not in ("content", "otel_events", "attributes_json_schema")}
        made = line(kept)
    if len(made) > LINE_BYTES:
        made = line({**kept, "attributes": {}, "otel_links": None, "message": row["span_name"][:200], "odd": []})
    return made
