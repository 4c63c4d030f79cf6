"""The end of the process: a last call, as early among the exit handlers as can be, and through every door."""

from __future__ import annotations

import atexit
import sys
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["LastCall"]

LEAST_S: Final = 0.2  # what spans that end in the very last exit handlers are given


class LastCall:
    """Calls `close(within_s)` when the process ends, once it is armed. What that raises is for `excuse` and goes no further."""

    def __init__(self, close: Callable[[float], None], within_s: float, excuse: Callable[[], None]) -> None:
        self._close, self._within_s, self._excuse = close, within_s, excuse
        self._finalizer: Any = None
        self._deadline: float | None = None  # of the monotonic clock, set when the process ends

    def arm(self) -> None:
        """Be the first at exit: handlers run last in, first out, and a logger provider made later would go before us."""
        self.disarm()
        atexit.register(self._at_exit)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # children of multiprocessing leave through os._exit and skip atexit
            self._finalizer = util.Finalize(None, self._at_exit, exitpriority=100)

    def disarm(self) -> None:
        """There is nothing left to be done."""
        atexit.unregister(self._at_exit)
        if self._finalizer is not None:
            self._finalizer.cancel()
            self._finalizer = None

    def left_s(self, timeout_s: float) -> float:
        """How much of this time there is: at the end the provider shuts us down once more, after our own handler."""
        return timeout_s if self._deadline is None else min(timeout_s, max(LEAST_S, self._deadline - time.monotonic()))

    def _at_exit(self) -> None:
        self._deadline = time.monotonic() + self._within_s
        try:
            self._close(self._within_s)
        except Exception:
            self._excuse()
