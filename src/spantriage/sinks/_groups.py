"""What a rule has seen of one group, and what is to be told of it: that it began, that it goes on, that it is over."""

from __future__ import annotations

from collections import Counter, OrderedDict
from hashlib import blake2b
from typing import Final

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.sinks._rules import Rule

__all__ = ["RECOVERED", "Group"]

RECOVERED: Final = "recovered"
KEPT: Final = 10_000  # findings of a group


class Group:
    """Findings that are told together. Times are of the monotonic clock."""

    def __init__(self, rule: Rule, key: tuple[str, ...], now: float) -> None:
        self.rule = rule
        self._id = blake2b("\0".join((rule.name, *key, repr(now))).encode("utf-8", "replace"), digest_size=8).hexdigest()
        self._seen: OrderedDict[str, tuple[float, Finding]] = OrderedDict()  # by id, when it came first
        self._since = now  # when what is not told began
        self._told_at: float | None = None
        self._news = False  # since it was told
        self._enough = False  # at_least so many came within the rule's time
        self._said: Finding | None = None
        self._last = now

    def add(self, finding: Finding, now: float) -> None:
        """Take a finding in; a later version takes the place of the earlier one and is no news."""
        known = self._seen.get(finding.finding_id)
        self._seen[finding.finding_id] = (now if known is None else known[0], finding)
        if known is None:
            self._since = self._since if self._news else now
            self._news, self._last = True, now
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)

    def renew(self, now: float) -> None:
        """What it is about goes on."""
        self._last = now

    def take_back(self, finding_id: str) -> None:
        """A finding was withdrawn."""
        self._seen.pop(finding_id, None)

    def due(self, now: float, *, quiet: bool) -> Finding | None:
        """What is to be told now; None when there is nothing."""
        rule = self.rule
        if not self._enough:
            self._forget(now - rule.within_s)
            self._enough = len(self._seen) >= rule.at_least  # and stays it, if this is a time at which it cannot be told
        if self._told_at is not None and self._is_past(now):
            return self._recovery() if rule.recovers_s and not quiet else None
        soon = not self._enough or not self._news or not self._seen or now - self._since < rule.group_s
        if soon or (self._told_at is not None and now - self._told_at < rule.repeat_s):
            return None
        worst = self._worst()
        if quiet and worst.severity != "critical":
            return None
        self._told_at, self._news, self._said = now, False, self._message(worst)
        return self._said

    def is_over(self, now: float) -> bool:
        """Whether nothing is left to tell."""
        if self._told_at is None:
            return not self._seen
        return self._is_past(now) and (self._said is None or not self.rule.recovers_s)

    def _is_past(self, now: float) -> bool:
        return not self._seen or now - self._last >= (self.rule.recovers_s or self.rule.repeat_s)

    def _forget(self, before: float) -> None:
        while self._seen and next(iter(self._seen.values()))[0] < before:
            self._seen.popitem(last=False)

    def _worst(self) -> Finding:
        return max((finding for _, finding in self._seen.values()), key=lambda f: (RANK[f.severity], f.score, f.time))

    def _message(self, worst: Finding) -> Finding:
        """A finding that stands for all: the worst, with the number of the others."""
        counts = Counter(finding.code for _, finding in self._seen.values())
        number = sum(counts.values())
        said = worst.summary
        if number > 1:
            codes = ", ".join(f"{code} ×{times}" for code, times in counts.most_common(5))
            said = f"{number} findings ({codes}). The worst: {said}"
        return worst.model_copy(update={"finding_id": self._id, "code": f"alert.{self.rule.name}", "summary": said, "primary": False})

    def _recovery(self) -> Finding | None:
        said, self._said = self._said, None
        if said is None:
            return None
        words = f"Recovered. It was: {said.summary}"
        return said.model_copy(update={"severity": "info", "score": 0.0, "confidence": "low", "summary": words, "reason": RECOVERED})
