"""Findings for a web service: `webhook:https://example.com/path`, as JSON, or with `?shape=slack` as a message of Slack's.

Options follow a question mark; other parameters stay in the URL. `threshold=error` says from which severity on (`warning`,
`error`, `critical`); `rate=20` how many messages a minute, the rest being told in one summary; `window_s=3600` how long
the same finding is not told again; `timeout_s=5` how long one request may take; `allow=a.example,b.example` (or `allow=`
several times, where commas stand between sinks) which hosts the URL may name; without it the URL's own is the only one.
How requests are kept inside their bounds is said in `_web.py`.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.sinks import _options
from spantriage.sinks._alerts import LEVELS, Alerts
from spantriage.sinks._outbox import Later, Outbox
from spantriage.sinks._shapes import SHAPES
from spantriage.sinks._web import Answer, Receiver, Resolve

__all__ = ["WebhookSink", "open"]

LOG: Final = logging.getLogger("spantriage")
QUEUE: Final = 1_024  # findings that may wait
MINUTE_S: Final = 60.0
BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
TOLD: Final = 10_000  # findings remembered as told, so that they can be withdrawn
UNSPEAKABLE: Final = 0  # stands for the status of a message that cannot be written
TRY_AGAIN: Final = frozenset({408, 425, 429})  # and 5xx; every other answer but 2xx is a no


def open(target: str) -> WebhookSink:  # noqa: A001  # what every sink calls it
    """Open `url?option=value`. Raises ConfigError, which does not tell the URL."""
    url, options = _options.split("webhook", target, _READERS)
    return WebhookSink(url, **options)  # type: ignore[arg-type]  # _READERS gives each its type


_READERS: Final[_options.Readers] = {
    "shape": {name: name for name in SHAPES}.__getitem__,
    "threshold": LEVELS.__getitem__,
    "rate": _options.number,
    "window_s": _options.seconds,
    "timeout_s": _options.seconds,
    "allow": _options.words,
}


class WebhookSink:
    """Posts each severe finding once, on a thread of its own. `resolve` and `clock` are for those who have their own."""

    def __init__(
        self,
        url: str,
        *,
        shape: str = "generic",
        threshold: str = "error",
        rate: int = 20,
        window_s: float = 3_600.0,
        timeout_s: float = 5.0,
        allow: tuple[str, ...] = (),
        backoff_s: tuple[float, ...] = BACKOFF_S,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._receiver = Receiver(url, allow=allow, timeout_s=timeout_s, resolve=resolve)
        self._shape, self._rate, self._clock = SHAPES[shape], rate, clock
        self._alerts = Alerts(LEVELS[threshold], window_s, clock)
        self._writer_id = f"{os.getpid()}-{int(time.time())}-{os.urandom(4).hex()}"
        self._told: OrderedDict[str, None] = OrderedDict()  # ids of findings that have arrived
        self._recent: deque[float] = deque()  # when messages arrived in the last minute
        self._closed_until = 0.0  # the receiver asked us to wait
        self._flushing = False
        self.messages = self.failures = 0  # requests that arrived, and that did not
        self.summarised = self.refused = 0  # findings that were told in summaries, and that the receiver would not have
        self.outbox: Outbox[Finding] = Outbox(self._send, size=QUEUE, batch=QUEUE, backoff_s=backoff_s)

    def __repr__(self) -> str:
        return f"WebhookSink({self._receiver.host})"

    @property
    def dropped(self) -> int:
        """Findings that the receiver never got: it was away for too long, refused them, or there were too many."""
        return self.outbox.dropped + self.refused

    def write(self, findings: Sequence[Finding]) -> None:
        """Queue what is worth a message; never waits for the network."""
        picked = self._alerts.pick(findings)
        if picked:
            self.outbox.put(finding.model_copy() for finding in picked)

    def flush(self, timeout_s: float) -> bool:
        """Send what waits, at once: what the rate does not allow in one summary. False when that took too long."""
        self._flushing = True
        try:
            return self.outbox.flush(timeout_s)
        finally:
            self._flushing = False

    def close(self, timeout_s: float) -> None:
        """Flush and let the thread end; a later `write` starts it again."""
        self._flushing = True
        try:
            self.outbox.close(timeout_s)
        finally:
            self._flushing = False

    def _send(self, batch: list[Finding]) -> bool | Later:
        """Post one message after the other, taking each finding out of the batch when it has left."""
        batch[:] = self._latest(batch)
        while batch:
            now = self._clock()
            if now < self._closed_until:
                return Later(self._closed_until - now, failed=False)
            room = self._room(now)
            if not room and not self._flushing:
                return Later(self._recent[0] + MINUTE_S - now, failed=False)
            number = len(batch) if room <= 1 else 1
            answer = self._post(batch[:number])
            if answer is None or answer.status in TRY_AGAIN or answer.status >= 500:
                return self._fail(answer)
            self._count(answer.status, batch[:number])
            del batch[:number]
        return True

    def _latest(self, batch: Sequence[Finding]) -> list[Finding]:
        """Each finding as it was written last; too many for the rate: the worst first; nothing taken back that was not told."""
        latest = list({finding.finding_id: finding for finding in batch}.values())
        latest = [finding for finding in latest if not finding.withdrawn or finding.finding_id in self._told]
        if len(latest) > self._rate - len(self._recent):
            latest.sort(key=lambda finding: -RANK.get(finding.severity, 0))
        return latest

    def _room(self, now: float) -> int:
        while self._recent and now - self._recent[0] >= MINUTE_S:
            self._recent.popleft()
        return max(0, self._rate - len(self._recent))

    def _post(self, findings: Sequence[Finding]) -> Answer | None:
        """One request; None when there was no answer."""
        try:
            if len(findings) > 1:
                body = self._shape.many(findings, time.time_ns())
            else:
                body = self._shape.one(findings[0], self._writer_id, self.messages + 1)
        except Exception:  # a finding with broken values must not hold up the others
            return Answer(UNSPEAKABLE)
        try:
            return self._receiver.post(body)
        except Exception as error:  # its words may quote the URL: only its kind is told
            self._warn(type(error).__name__)
            return None

    def _fail(self, answer: Answer | None) -> Later | bool:
        if answer is not None:
            self._warn(f"status {answer.status}")
        wait_s = answer.retry_after_s if answer is not None else None
        if wait_s is None:
            return False
        self._closed_until = self._clock() + wait_s
        return Later(wait_s)

    def _count(self, status: int, findings: Sequence[Finding]) -> None:
        if not 200 <= status < 300:
            self.refused += len(findings)
            self._warn(f"status {status}" + ", a redirect, which is not followed" * (300 <= status < 400))
            return
        self.messages += 1
        self.summarised += len(findings) if len(findings) > 1 else 0
        self._recent.append(self._clock())
        for finding in findings:
            self._told[finding.finding_id] = None
            self._told.move_to_end(finding.finding_id)
            if len(self._told) > TOLD:
                self._told.popitem(last=False)

    def _warn(self, why: str) -> None:
        self.failures += 1
        if self.failures == 1:
            LOG.warning("webhook at %s failed: %s", self._receiver.host, why)
