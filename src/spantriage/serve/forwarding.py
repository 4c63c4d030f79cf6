"""Handing on: what lies in the outbox goes to another OTLP receiver, oldest first, each request until it is taken.

| the receiver says | what happens |
|---|---|
| 2xx | done; spans that it rejects (partial success) are counted |
| nothing, 401, 403, 404, 408, 429, 5xx | the same again later, longer and longer, or when it says |
| 413 to several requests put together | each by itself |
| any other | counted as refused: the same request would be refused again |
"""

from __future__ import annotations

import gzip
import logging
import os
import random
import threading
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import requests
from opentelemetry import context as otel_context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util.re import parse_env_headers

from spantriage import __version__
from spantriage.errors import ConfigError
from spantriage.serve.ledger import Ledger
from spantriage.serve.receiving import PROTOBUF
from spantriage.serve.records import Record
from spantriage.serve.road import SPANS
from spantriage.sinks._untraced import UNTRACED

__all__ = ["FINDINGS", "Forwarder"]

LOG: Final = logging.getLogger("spantriage")
FINDINGS: Final = 2  # kind of a record
PATHS: Final = {SPANS: "/v1/traces", FINDINGS: "/v1/logs"}
NAMES: Final = {SPANS: "spans", FINDINGS: "findings"}
TOGETHER_BYTES: Final = 4 << 20  # requests put together in one
TIMEOUT_S: Final = 10.0
BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
WAIT_CAP_S: Final = 300.0  # the longest Retry-After that is obeyed
LATER: Final = frozenset({401, 403, 404, 408, 429})  # and 5xx: what a person or time may mend
TOO_LARGE: Final = 413


class Forwarder:
    """Empties `outbox` on a thread of its own. Headers are those of `OTEL_EXPORTER_OTLP_HEADERS`."""

    def __init__(self, url: str, outbox: Ledger, *, backoff_s: tuple[float, ...] = BACKOFF_S) -> None:
        self._urls = {kind: _endpoint(url, path) for kind, path in PATHS.items()}
        self.host = urlsplit(url).hostname or ""
        self._outbox, self._backoff_s = outbox, backoff_s
        self._session = requests.Session()
        self._session.headers.update(parse_env_headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True))
        self._session.headers.update({"Content-Type": PROTOBUF, "Content-Encoding": "gzip", "User-Agent": f"spantriage/{__version__}"})
        self._stop = threading.Event()
        self._next: Record | None = None
        self._together_bytes = TOGETHER_BYTES
        self.failing = ""  # why the last attempt failed
        self.counters: Counter[str] = Counter()  # sent, refused, rejected by kind; requests, attempts_failed
        outbox.skip_done()
        self._thread = threading.Thread(target=self._work, name="spantriage-forward", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process has left."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Send what waits, as far as the time allows and the receiver is there; the rest is on disk for the next process."""
        deadline = time.monotonic() + timeout_s
        while self._outbox.waiting and not self.failing and time.monotonic() < deadline and self._thread.is_alive():
            self._stop.wait(0.01)
        self._stop.set()
        with self._outbox.arrived:
            self._outbox.arrived.notify_all()
        if self._thread.ident is not None:
            self._thread.join(max(0.1, deadline - time.monotonic()))
        self._session.close()

    def _work(self) -> None:
        token = otel_context.attach(UNTRACED)  # our requests must not become spans
        try:
            while not self._stop.is_set():
                batch = self._gather()
                if batch:
                    self._deliver(batch)
                    self._outbox.prune(lambda _: False)
                    continue
                with self._outbox.arrived:
                    if not self._stop.is_set() and not self._outbox.waiting:
                        self._outbox.arrived.wait(1.0)
        finally:
            otel_context.detach(token)

    def _gather(self) -> list[Record]:
        """Requests of one kind, in their order; put behind each other, messages of protobuf are one message."""
        batch: list[Record] = []
        size = 0
        while (record := self._next or self._outbox.read()) is not None:
            self._next = record
            if batch and (record.kind != batch[0].kind or size + len(record.body) > self._together_bytes):
                break
            batch.append(record)
            size += len(record.body)
            self._next = None
        return batch

    def _deliver(self, batch: list[Record]) -> None:
        failures = 0
        while batch and not self._stop.is_set():
            status, wait_s = self._post(batch)
            if 200 <= status < 300:
                self._settle(batch, "sent")
                self.failing = ""
                return
            if status == TOO_LARGE and len(batch) > 1:
                self._together_bytes = 0
                for record in batch:
                    self._deliver([record])
                self._together_bytes = TOGETHER_BYTES
                return
            if status and status not in LATER and status < 500:
                self._warn(f"status {status}: the receiver will not have it")
                self._settle(batch, "refused")
                return
            self._warn(f"status {status}" if status else "no answer")
            pause_s = self._backoff_s[min(failures, len(self._backoff_s) - 1)] * (1 + random.uniform(0, 0.25))  # noqa: S311  # no secret
            failures += 1
            self._stop.wait(pause_s if wait_s is None else min(max(pause_s, wait_s), WAIT_CAP_S))

    def _settle(self, batch: list[Record], fate: str) -> None:
        for record in batch:
            self.counters[f"{fate}.{NAMES[record.kind]}"] += record.things
            self._outbox.done(record.number, record.things, len(record.body))

    def _post(self, batch: list[Record]) -> tuple[int, float | None]:
        """The status, 0 for no answer, and how long the receiver wants us to wait."""
        body = gzip.compress(b"".join(record.body for record in batch), 1)
        self.counters["requests"] += 1
        try:
            answer = self._session.post(self._urls[batch[0].kind], data=body, timeout=TIMEOUT_S, allow_redirects=False)
        except (requests.RequestException, OSError):
            return 0, None
        if answer.ok and batch[0].kind == SPANS and answer.content and answer.headers.get("Content-Type", "").startswith(PROTOBUF):
            try:
                self.counters["rejected.spans"] += ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans
            except Exception:  # an answer that cannot be read says nothing of spans
                LOG.debug("the receiver's answer could not be read", exc_info=True)
        return answer.status_code, _seconds(answer.headers.get("Retry-After"))

    def _warn(self, why: str) -> None:
        self.counters["attempts_failed"] += 1
        if why != self.failing:
            LOG.warning("forwarding to %s: %s", self.host, why)
        self.failing = why


def _endpoint(url: str, path: str) -> str:
    """The URL of a signal below a receiver's address. Raises ConfigError for what is none."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError("spans are forwarded to a URL such as http://127.0.0.1:4318")
    base = parts.path.rstrip("/").removesuffix("/v1/traces")
    return urlunsplit((parts.scheme, parts.netloc, base + path, parts.query, ""))


def _seconds(said: str | None) -> float | None:
    if said is None:
        return None
    try:
        return float(said) if said.strip().isdecimal() else parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
