"""The road of a span that was acknowledged: judged, kept, enriched, handed on. One thread, one request after the other.

What cannot be written waits here until it can; the requests behind it wait on disk, and new ones are refused when there
are too many. Exactly: accepted = done + waiting.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spantriage.dialects import speaks_agent
from spantriage.serve.ledger import Ledger
from spantriage.serve.records import Full, Record, Segment
from spantriage.serve.served import Served, put, read, set_value
from spantriage.store.live import capped_line
from spantriage.store.rows import Status as RowStatus
from spantriage.store.rows import rows_of
from spantriage.store.spool import Spool
from spantriage.worker import Worker

__all__ = ["SPANS", "Keeper", "Road"]

LOG: Final = logging.getLogger("spantriage")
SPANS: Final = 1  # kind of a record
SLICE: Final = 512  # spans judged at a stretch
HOLD_S: Final = 0.5  # between attempts at what could not be written
PRUNE_S: Final = 1.0
STEP_S: Final = 0.1  # how often it looks whether the worker is still with it
AHEAD: Final = 200  # complete runs that may wait to be judged
_CODES: Final = {1: "OK", 2: "ERROR"}


@dataclass(slots=True)
class Keeper:
    """Where rows go: a store's file, and whether what people and models said is kept."""

    spool: Spool
    content: bool


class Road:
    """Takes what is in `inbox` to the worker, the store and `outbox`, each once; after a crash what was not done once more."""

    def __init__(self, worker: Worker, inbox: Ledger, outbox: Ledger | None, keeper: Keeper | None, *, kept_bytes: int) -> None:
        self._worker, self.inbox, self.outbox, self._keeper = worker, inbox, outbox, keeper
        self._kept_bytes = kept_bytes  # of requests that are done, kept for a restart while their runs are live
        self._known = inbox.done_number  # what an earlier process has done: judged again, for the runs it belongs to, and no more
        self._stop = threading.Event()
        self._pruned = self._stepped = 0.0
        self.held = ""  # why nothing moves
        self.counters: Counter[str] = Counter()  # spans: done, recalled; and stored, enriched, held (attempts), kept_too_long (files)
        self._thread = threading.Thread(target=self._work, name="spantriage-road", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process has left."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Finish what is there, as far as the time allows; the rest is on disk for the next process."""
        deadline = time.monotonic() + timeout_s
        while self.inbox.waiting and not self.held and time.monotonic() < deadline and self._thread.is_alive():
            self._stop.wait(0.01)
        self._stop.set()
        with self.inbox.arrived:
            self.inbox.arrived.notify_all()
        if self._thread.ident is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
        if self._keeper is not None and not self._thread.is_alive():
            self._keeper.spool.rotate()

    def _work(self) -> None:
        while not self._stop.is_set():
            record = None
            try:
                record = self.inbox.read()
                if record is not None:
                    self._take(record)
            except Exception:  # a request that cannot be taken must not end the road
                self.counters["errors"] += 1
                LOG.warning("a request could not be processed and is left out", exc_info=self.counters["errors"] == 1)
                if record is not None:
                    self.counters["lost"] += record.things
                    self.inbox.done(record.number, record.things, len(record.body))
            self._tidy(idle=record is None)
            self._keep_step()
            if record is None:
                with self.inbox.arrived:
                    if not self._stop.is_set():
                        self.inbox.arrived.wait(PRUNE_S)

    def _take(self, record: Record) -> None:
        request = ExportTraceServiceRequest.FromString(record.body)
        served = list(read(request, rows=self._keeper is not None))
        self._judge(served, record.segment)
        if record.number <= self._known:
            self.counters["recalled"] += record.things
            return
        if self._keeper is not None and not self._until_it_works("store", self._keep(served, self._keeper)):
            return
        if self.outbox is not None and not self._until_it_works("spool", self._hand_on(request, served, self.outbox)):
            return
        self.counters["done"] += record.things
        self.inbox.done(record.number, record.things, len(record.body))

    def _keep_step(self) -> None:
        """Wait for the worker where it has fallen behind: complete runs that are not judged yet take memory."""
        if time.monotonic() - self._stepped < STEP_S:
            return
        if self._worker.overdue() > AHEAD:
            self.counters["paused"] += 1
            while self._worker.overdue() > AHEAD // 2 and not self._stop.is_set():
                self._stop.wait(0.02)
        self._stepped = time.monotonic()

    # -- judged --------------------------------------------------------------------------------------------------------------

    def _judge(self, served: list[Served], segment: Segment) -> None:
        worker = self._worker
        agents = [speaks_agent(each.span.instrumentation_scope.name, each.span.attributes) for each in served]
        for each, is_agents in zip(served, agents, strict=True):
            if is_agents:  # first: what comes before the agent's own span in a request may belong to its run
                segment.traces.add(each.span.context.trace_id)
                worker.remember(each.span.context.trace_id)
        # By their end, as they would come in one process: what is below a span is there before it.
        order = sorted(range(len(served)), key=lambda number: served[number].span.end_time or 0)
        for begin in range(0, len(order), SLICE):
            for number in order[begin : begin + SLICE]:
                put(served[number], worker, is_agents=agents[number])
            while worker.queue and not self._stop.is_set():
                worker.catch_up()

    # -- kept and handed on --------------------------------------------------------------------------------------------------

    def _keep(self, served: list[Served], keeper: Keeper) -> Callable[[], None]:
        lines: list[bytes] = []
        stored = 0
        for each in served:
            span = each.span
            attributes = {**span.attributes, **each.shows.found()} if each.shows is not None else span.attributes
            ids = span.context.trace_id, span.context.span_id, None if span.parent is None else span.parent.span_id
            status = RowStatus(_CODES.get(each.message.status.code), span.status.description)
            rows = rows_of(span, attributes, ids, status, each.resource or {}, content=keeper.content)
            lines += [capped_line(row) for row in rows]
            stored += bool(rows)

        def write() -> None:
            if lines:
                keeper.spool.append(b"".join(lines))
            self.counters["stored"] += stored

        return write

    def _hand_on(self, request: ExportTraceServiceRequest, served: list[Served], outbox: Ledger) -> Callable[[], None]:
        for each in served:
            found = {} if each.shows is None else each.shows.found()
            for key, value in found.items():
                if key not in each.span.attributes:
                    pair = each.message.attributes.add()
                    pair.key = key
                    set_value(pair.value, value)
            self.counters["enriched"] += bool(found)
        body = request.SerializeToString()

        def write() -> None:
            outbox.append(SPANS, len(served), body)

        return write

    def _until_it_works(self, what: str, write: Callable[[], None]) -> bool:
        """Try until it is written; False when the service ends first."""
        while not self._stop.is_set():
            try:
                write()
            except (OSError, Full) as error:
                if not self.held:
                    LOG.warning("the %s takes no spans, which wait until it does: %s", what, str(error) or "it is full")
                self.held = f"{what}: {'full' if isinstance(error, Full) else getattr(error, 'strerror', None) or 'cannot be written'}"
                self.counters["held"] += 1
                self._stop.wait(HOLD_S)
                continue
            self.held = ""
            return True
        return False

    # -- tidied --------------------------------------------------------------------------------------------------------------

    def _tidy(self, *, idle: bool) -> None:
        now = time.monotonic()
        if now - self._pruned < PRUNE_S:
            return
        self._pruned = now
        if idle and self._keeper is not None and self._keeper.spool.is_due():
            self._keeper.spool.rotate()
        runs = self._worker.runs
        live = self._worker.unjudged()
        over = self.inbox.size() - self.inbox.waiting_bytes - self._kept_bytes

        def keeps(segment: Segment) -> bool:
            nonlocal over
            if not any(runs.leader(trace_id) in live for trace_id in segment.traces):
                return False
            if over > 0:
                over -= segment.size
                self.counters["kept_too_long"] += 1
                return False
            return True

        self.inbox.prune(keeps)
