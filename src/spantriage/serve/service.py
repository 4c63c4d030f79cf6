"""The service behind the web server: what it takes a request with, what it says of itself, how it ends."""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spantriage import __version__
from spantriage.config import Settings, configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.errors import ConfigError
from spantriage.serve import receiving
from spantriage.serve.board import Board
from spantriage.serve.events import OutboxSink
from spantriage.serve.forwarding import Forwarder
from spantriage.serve.ledger import Ledger
from spantriage.serve.records import Full
from spantriage.serve.road import SPANS, Keeper, Road
from spantriage.sinks.jsonl import JsonlSink
from spantriage.store.layout import create
from spantriage.store.spool import Spool
from spantriage.store.target import read_target
from spantriage.worker import Worker

if TYPE_CHECKING:
    from spantriage.sinks import Sink

__all__ = ["Limits", "Service", "need_key"]

STATE: Final = ".spantriage/serve"
FINDINGS_BYTES: Final = 1 << 40  # a store's files of findings are not rotated: their time comes with their day's
FORWARDED: Final = (
    *("sent.spans", "sent.findings", "refused.spans", "refused.findings", "rejected.spans"),
    *("attempts_failed", "requests"),
)
MEBI: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the service takes; sizes in bytes."""

    body_bytes: int = 20 * MEBI  # of one request, also when it is unpacked
    inflight_bytes: int = 64 * MEBI  # of all requests that are being received
    inbox_bytes: int = 256 * MEBI  # acknowledged and not processed; beyond it 429
    kept_bytes: int = 256 * MEBI  # processed, and kept for a restart while their runs are live
    spool_bytes: int = 1_024 * MEBI  # processed and not handed on; beyond it nothing is processed, and the inbox fills
    request_s: float = 30.0  # how long a client may take to send a request


class Service:
    """Takes requests from any thread. Raises what `Worker`, `Ledger` and stores raise for what cannot be had.

    `key` is the bearer key that every request must bring; empty: none. `state` is the folder of what is under way.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        sinks: Iterable[str | Sink] | None = None,
        store: str = "",
        forward: str = "",
        state: str | Path = "",
        key: str = "",
        limits: Limits | None = None,
        backoff_s: tuple[float, ...] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.settings = settings or load_settings()
        self.key = key.encode()
        self.began = time.time()
        self.counters: Counter[str] = Counter()  # requests by status; spans rejected
        target = read_target(store) if store else None
        folder = Path(state) if state else (create(target.folder) / "serve" if target is not None else Path(STATE))
        self.inbox = Ledger(folder / "inbox", cap_bytes=self.limits.inbox_bytes)
        outbox = Ledger(folder / "outbox", cap_bytes=self.limits.spool_bytes) if forward else None
        self.forwarder = None if outbox is None else Forwarder(forward, outbox, **({} if backoff_s is None else {"backoff_s": backoff_s}))
        self.worker = Worker(self.settings, configure_detectors(self.settings, all_detectors()), sinks)
        self.board = Board(self.worker)
        self.worker.add_sink(self.board)
        self.closing = False
        keeper = None
        if target is not None:
            keeper = Keeper(Spool(create(target.folder)), target.content)
            path = Path(target.folder) / "findings" / "findings.jsonl"
            self.worker.add_sink(JsonlSink(path, shared=False, max_bytes=FINDINGS_BYTES))
            if target.keep_days is not None:
                from spantriage.store.packing import keep_days

                keep_days(create(target.folder), target.keep_days)
        if outbox is not None and self.forwarder is not None:
            self.worker.add_sink(OutboxSink(outbox, for_logfire="logfire" in self.forwarder.host))
        self.road = Road(self.worker, self.inbox, outbox, keeper, kept_bytes=self.limits.kept_bytes)

    def start(self) -> None:
        """Go on where an earlier process stopped."""
        self.road.start()
        if self.forwarder is not None:
            self.forwarder.start()

    def admit(self, authorization: str) -> None:
        """Raise Refused unless the key is there, if there is one."""
        if self.key and not hmac.compare_digest(authorization.encode("utf-8", "replace"), b"Bearer " + self.key):
            raise receiving.Refused(401, "a bearer key is needed")

    def take(self, body: bytes, content_type: str, encoding: str) -> tuple[str, bytes]:
        """Acknowledge a request: it is on disk when this returns. Gives the answer; raises Refused."""
        kind = receiving.kind_of(content_type)
        received = receiving.read(receiving.unpack(body, encoding, self.limits.body_bytes), kind)
        if received.spans:
            try:
                self.inbox.append(SPANS, received.spans, received.request.SerializeToString())
            except Full:
                raise receiving.Refused(429, "too many spans wait to be processed", retry_after_s=2) from None
            except OSError as error:
                raise receiving.Refused(503, f"nothing can be written: {error.strerror}", retry_after_s=5) from error
        self.counters["rejected"] += received.rejected
        return kind, receiving.answer(kind, received.rejected, received.why)

    def accounts(self) -> dict[str, int]:
        """What became of spans. Exactly: accepted = done + lost + waiting, and forward.accepted = the other three."""
        road, inbox = self.road.counters, self.inbox
        found = {"accepted": road["done"] + road["lost"] + inbox.waiting, "done": road["done"], "lost": road["lost"]}
        found |= {"waiting": inbox.waiting, "rejected": self.counters["rejected"]}
        found |= {name: road[name] for name in ("recalled", "stored", "enriched", "held", "kept_too_long", "errors")}
        found["damaged_requests"] = inbox.damaged
        if self.forwarder is not None and self.road.outbox is not None:
            outbox, sent = self.road.outbox, self.forwarder.counters
            found["forward.waiting"] = outbox.waiting
            found |= {f"forward.{name}": sent[name] for name in FORWARDED}
        return found

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether spans can be taken just now, and why not."""
        failing = "" if self.forwarder is None else self.forwarder.failing
        told = {"version": __version__, "held": self.road.held, "forward": failing, "waiting": self.inbox.waiting}
        return not self.road.held, {"status": "held" if self.road.held else "ok", **told}

    def close(self, timeout_s: float) -> None:
        """Process, judge and hand on what is there, as far as the time allows; what is not is on disk for the next process."""
        deadline = time.monotonic() + timeout_s
        self.closing = True
        self.road.close(timeout_s / 2)
        self.worker.close(max(0.5, (deadline - time.monotonic()) / 2))
        if self.forwarder is not None:
            self.forwarder.close(max(0.1, deadline - time.monotonic()))
        self.worker.close_sinks(max(0.1, deadline - time.monotonic()))
        self.inbox.close()
        if self.road.outbox is not None:
            self.road.outbox.close()


def need_key(host: str, key: str) -> None:
    """Raise ConfigError where the service could be reached from elsewhere and asks for no key."""
    if host not in ("127.0.0.1", "::1", "localhost") and not key:
        raise ConfigError(f"a service at {host} can be reached from other machines: give it a key with SPANTRIAGE_SERVE_KEY")
