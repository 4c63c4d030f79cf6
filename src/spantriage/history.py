"""The new tail of a history that is sent again with every model call.

A run of n steps re-sends n(n+1)/2 messages; reading them all again is what makes traces slow to look at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from spantriage import text

__all__ = ["History", "Tail"]

_KEPT: Final = 8  # histories remembered per run: one for each agent that is at work, newest last
_TEXT_CAP: Final = 1 << 22  # characters; a longer history is read whole each time and not kept


@dataclass(slots=True)
class Tail:
    """Messages not seen before, and the index of the first of them in the whole history."""

    messages: list[object]
    start: int = 0
    truncated: bool = False


@dataclass(slots=True)
class History:
    """What was already read in this run. Held by the worker only."""

    _seen: list[tuple[str, int]] = field(default_factory=list)

    def tail(self, raw: object) -> Tail:
        """Parse a JSON array of messages, skipping the part that an earlier call already had.

        Exact: the earlier text must be a prefix of this one. More than 1 MiB of new JSON is reported as truncated.
        """
        if type(raw) is not str:
            messages = text.load(raw)
            return Tail(list(messages)) if isinstance(messages, (list, tuple)) else Tail([])
        body = raw.rstrip()
        known, number = self._take(body)
        fresh = "[" + body[known:].lstrip(", \n") if number else body
        messages = text.load(fresh)
        if not isinstance(messages, list):
            return Tail([], truncated=len(fresh) > text.LOAD_CAP)
        if len(body) <= _TEXT_CAP and body.endswith("]"):
            self._keep(body[:-1].rstrip(), number + len(messages))
        return Tail(messages, number)

    def grown(self, head: str, size: int) -> int:
        """For histories that come in pieces: how many messages were there last time, if they began the same way."""
        number = next((n for seen, n in self._seen if seen == head), 0)
        self._seen = [entry for entry in self._seen if entry[0] != head]
        self._keep(head, size)
        return number if number < size else 0

    def _take(self, body: str) -> tuple[int, int]:
        for index in range(len(self._seen) - 1, -1, -1):
            seen, number = self._seen[index]
            if len(seen) < len(body) and body.startswith(seen):
                del self._seen[index]
                return len(seen), number
        return 0, 0

    def _keep(self, seen: str, number: int) -> None:
        if number:
            self._seen.append((seen, number))
            del self._seen[:-_KEPT]
