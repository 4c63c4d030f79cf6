"""A lock for code that finalisers and signal handlers may interrupt, and then want to enter themselves."""

from __future__ import annotations

import threading

__all__ = ["Gate"]


class Gate:
    """Lets one thread in at a time, and never the same one twice.

    The garbage collector and signals run foreign code between any two of our lines, on our thread. If that code ends a
    span and exports it, it comes here again: a plain lock would wait for ever, a reentrant one would let it into a
    state that is half changed. This one sends it away.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0

    def enter(self, timeout_s: float = -1.0) -> bool:
        """Wait to be let in, for ever or so long; False when it is too late, or when this thread is inside already."""
        me = threading.get_ident()
        if self._holder == me or not self._lock.acquire(timeout=timeout_s if timeout_s == -1.0 else max(0.0, timeout_s)):
            return False
        self._holder = me
        return True

    def leave(self) -> None:
        """Let the next one in."""
        self._holder = 0
        self._lock.release()

    def __enter__(self) -> None:
        if not self.enter():
            raise RuntimeError("this thread is inside already")

    def __exit__(self, *_: object) -> None:
        self.leave()
