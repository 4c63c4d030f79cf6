"""A sink that misbehaves on purpose, to show what a broken one does to the rest: nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

from spantriage.finding import Finding

Mode = Literal["raise", "slow", "hang", "short"]


class FaultySink:
    """Takes findings badly, in one of four ways; what it did take is in `taken`.

    `raise` fails at every write; `slow` waits `delay_s` first; `hang` waits until `mend()`; `short` takes half of
    the batch and then fails, as a disk does that fills up. `mend()` makes it a good sink from then on.
    """

    def __init__(self, mode: Mode, *, delay_s: float = 0.2) -> None:
        self.mode: Mode | None = mode
        self.delay_s = delay_s
        self.taken: list[Finding] = []
        self.writes = 0
        self.closed = False
        self.entered = threading.Event()  # set when a write has begun
        self._released = threading.Event()

    def mend(self) -> None:
        """Be a good sink from now on."""
        self.mode = None
        self._released.set()

    def write(self, findings: Sequence[Finding]) -> None:
        self.writes += 1
        self.entered.set()
        if self.mode == "raise":
            raise OSError("this sink always fails")
        if self.mode == "slow":
            self._released.wait(self.delay_s)
        elif self.mode == "hang":
            self._released.wait()
        elif self.mode == "short":
            self.taken += findings[: len(findings) // 2]
            raise OSError("this sink is full")
        self.taken += findings

    def flush(self, timeout_s: float) -> bool:
        if self.mode == "raise":
            raise OSError("this sink always fails")
        return self.mode != "hang" or self._released.wait(timeout_s)

    def close(self, timeout_s: float) -> None:
        self.closed = self.flush(timeout_s)
