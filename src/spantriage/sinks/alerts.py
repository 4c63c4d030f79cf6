"""Alerts by rules: `alerts:alerts.toml`, in which each `[[rule]]` says what is told to whom.

```toml
[[rule]]
name = "loops"
codes = ["loop"]
agents = ["coder*"]
at_least = 3
within_s = 600
quiet = ["22:00-07:00"]
to = ["webhook:https://hooks.slack.com/services/...?shape=slack"]
```
Rules are read once. Messages are findings whose code is `alert.<name of the rule>`; recovery is one that is withdrawn.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spantriage.finding import Finding
from spantriage.sinks import open_sink
from spantriage.sinks._groups import Group
from spantriage.sinks._rules import Rule, read_rules
from spantriage.sinks._standing import Spending, as_finding

if TYPE_CHECKING:
    from spantriage.progress import Progress
    from spantriage.sinks import Sink, Survey

__all__ = ["AlertsSink", "open"]

LOG: Final = logging.getLogger("spantriage")
GROUPS: Final = 2_000  # of one rule; the one that was touched longest ago is forgotten and counted
TICK_S: Final = 0.1
LOOK_S: Final = 2.0  # how often records are looked at, at most
SHARE: Final = 0.05  # of one core that goes into looking
_SINKS: Final[weakref.WeakSet[AlertsSink]] = weakref.WeakSet()
DISTURBING: Final = ("webhook", "command")  # they have a threshold and a memory of their own, which the rule stands in for


def open(target: str) -> AlertsSink:  # noqa: A001  # what every sink calls it
    """Read the rules. Raises ConfigError, and SinkError for whoever cannot be told."""
    return AlertsSink(read_rules(Path(target)))


class AlertsSink:
    """Tells by rules, on a thread of its own; a receiver's failure is its sink's affair. `clock` and `wall` are for tests."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        targets: dict[str, Sink] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rules = tuple(rules)
        self._clock, self._wall = clock, wall
        self._targets = targets if targets is not None else {said: _open(said) for rule in self.rules for said in rule.to}
        self._survey: Survey | None = None
        self._begin_anew()
        _SINKS.add(self)

    def _begin_anew(self) -> None:
        """Know nothing: at first, and in a forked child, where what was seen is the parent's."""
        self._groups: dict[str, OrderedDict[tuple[str, ...], Group]] = {rule.name: OrderedDict() for rule in self.rules}
        self._spending = {rule.name: Spending(rule.within_s) for rule in self.rules}
        self._mutex = threading.Lock()
        self._look_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.told: Counter[str] = Counter()  # messages, by rule
        self.forgotten = self.failures = 0

    @property
    def dropped(self) -> int:
        """Messages that did not arrive, by what the receivers' sinks say."""
        return self.failures + sum(getattr(sink, "dropped", 0) for sink in self._targets.values())

    def watch(self, survey: Survey) -> None:
        """Look at records too, where a rule wants it."""
        self._survey = survey if any(rule.watches for rule in self.rules) else None
        self._begin()

    def write(self, findings: Sequence[Finding]) -> None:
        """Sort findings into groups; telling is the thread's."""
        now = self._clock()
        with self._mutex:
            for finding in findings:
                for rule in self.rules:
                    self._sort(rule, finding, now)
        self._begin()

    def flush(self, timeout_s: float) -> bool:
        """Tell what is due, and have everybody told; False when that takes too long."""
        deadline = time.monotonic() + timeout_s
        self.tick(hurry=True)
        sinks = list(self._targets.values())
        flushed = [sink.flush(max(0.05, (deadline - time.monotonic()) / len(sinks))) for sink in sinks]  # each, whatever one says
        return all(flushed)

    def close(self, timeout_s: float) -> None:
        """Flush and let go; a later `write` begins anew."""
        deadline = time.monotonic() + timeout_s
        self._stop.set()
        self.tick(hurry=True)
        for sink in self._targets.values():
            sink.close(max(0.05, (deadline - time.monotonic()) / len(self._targets)))

    def tick(self, *, hurry: bool = False) -> None:
        """Tell what is due. With `hurry` nothing waits for company."""
        now, wall = self._clock(), self._wall()
        self._look(now)
        messages: list[tuple[Rule, Finding]] = []
        with self._mutex:
            for rule in self.rules:
                quiet, groups = rule.is_quiet(wall), self._groups[rule.name]
                for key, group in list(groups.items()):
                    message = group.due(now + (rule.group_s if hurry else 0.0), quiet=quiet)
                    if message is not None:
                        messages.append((rule, message))
                    if group.is_over(now):
                        del groups[key]
        for rule, message in messages:
            self.told[rule.name] += 1
            for said in dict.fromkeys(rule.to):
                self._tell(self._targets[said], message)

    def _tell(self, sink: Sink, message: Finding) -> None:
        try:
            sink.write([message])
        except Exception:
            self.failures += 1
            if self.failures == 1:
                LOG.warning("an alert could not be told", exc_info=True)

    def _sort(self, rule: Rule, finding: Finding, now: float) -> None:
        groups = self._groups[rule.name]
        key = rule.group_of(finding)
        if finding.withdrawn:
            if (group := groups.get(key)) is not None:
                group.take_back(finding.finding_id)
        elif rule.matches(finding):
            self._group(rule, key, now).add(finding, now)

    def _group(self, rule: Rule, key: tuple[str, ...], now: float) -> Group:
        groups = self._groups[rule.name]
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(rule, key, now)
            if len(groups) > GROUPS:
                groups.popitem(last=False)
                self.forgotten += 1
        groups.move_to_end(key)
        return group

    # -- records -------------------------------------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        if self._survey is None or now < self._look_at:
            return
        began = time.thread_time()
        progress = self._survey.take()
        self._look_at = now + max(LOOK_S, (time.thread_time() - began) / SHARE)
        if progress is None:
            return
        with self._mutex:
            for rule in self.rules:
                if rule.watches:
                    self._watch_records(rule, progress, now)

    def _watch_records(self, rule: Rule, progress: Progress, now: float) -> None:
        trace_id = 0 if progress.latest is None else progress.latest.trace_id
        for agent, (_, record) in progress.agents.items():
            if not rule.is_about(agent):
                continue
            said = list(record.red_flags) if rule.red_flags else []
            if rule.burn_usd_per_hour is not None:
                rate = self._spending[rule.name].rate(agent, record.cost_usd or 0.0, now)
                said += [f"{rate:.2f} USD an hour are spent, more than {rule.burn_usd_per_hour:g}"] * (rate > rule.burn_usd_per_hour)
            if not said:
                continue
            group = self._group(rule, (agent,), now)
            group.renew(now)
            for words in said:
                burning = rule.burn_usd_per_hour is not None
                group.add(as_finding(rule, agent, "burn rate" if burning and not rule.red_flags else words, words, trace_id), now)

    # -- the thread ----------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._clock is not time.monotonic or (self._thread is not None and self._thread.is_alive() and not self._stop.is_set()):
            return
        self._stop = stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(stop,), name="spantriage-alerts", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is going down: flushing will tell
            self._thread = None

    def _work(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            try:
                self.tick()
            except Exception:
                self.failures += 1
                LOG.debug("alerts failed once and go on", exc_info=True)


def _renew_all() -> None:
    for sink in list(_SINKS):
        sink._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)


def _open(said: str) -> Sink:
    if said.partition(":")[0] in DISTURBING:
        said += ("&" if "?" in said else "?") + "threshold=warning&window_s=0.001"
    return open_sink(said)
