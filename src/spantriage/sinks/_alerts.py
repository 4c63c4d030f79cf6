"""Which findings are worth disturbing somebody for: the severe ones, each once, and what was said of them taken back."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.model import Severity

__all__ = ["LEVELS", "Alerts"]

REMEMBERED: Final = 10_000  # findings whose repeats are recognised
# "info" is no level: it says that nothing need be done, and withdraws what was said before.
LEVELS: Final[dict[str, Severity]] = {"warning": "warning", "error": "error", "critical": "critical"}


class Alerts:
    """Picks findings at or above `threshold`, each once in `window_s`; again when it has become more severe or is withdrawn."""

    def __init__(self, threshold: Severity, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least, self._window_s, self._clock = RANK[threshold], window_s, clock
        self._picked: OrderedDict[str, tuple[int, float]] = OrderedDict()  # id -> rank and time
        self.repeats = 0

    def pick(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those of a batch that are to be sent, in their order."""
        return [finding for finding in findings if self._is_news(finding)]

    def _is_news(self, finding: Finding) -> bool:
        rank, now = RANK.get(finding.severity, 0), self._clock()
        known = self._picked.get(finding.finding_id)
        before, since = known or (0, now)
        if finding.withdrawn:
            rank = 0
            is_news = before > 0
        else:
            is_news = rank >= self._least and (rank > before or now - since > self._window_s)
            self.repeats += rank >= self._least and not is_news
        if is_news:
            self._picked[finding.finding_id] = (rank, now)
            self._picked.move_to_end(finding.finding_id)
            if len(self._picked) > REMEMBERED:
                self._picked.popitem(last=False)
        return is_news
