"""A lock for code that finalisers and signal handlers may interrupt, and then want to enter themselves."""

from __future__ import annotations

import threading
from contextlib import suppress

__all__ = ["Gate"]


class Gate:
    """Lets one thread in at a time, and never the same one twice.

    The garbage collector and signals run foreign code between any two of our lines, on our thread. If that code ends a
    span and exports it, it comes here again: a plain lock would wait for ever, a reentrant one would let it into a
    state that is half changed. This one sends it away. A handler that raises, as that of Ctrl-C does, leaves it as it was.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # of this kind because it knows its owner
        self.leave = self._lock.release  # let the next one in; not a method of ours, which could be interrupted before it begins

    def enter(self, timeout_s: float = -1.0) -> bool:
        """Wait to be let in, for ever or so long; False when it is too late, or when this thread is inside already."""
        lock = self._lock
        if lock._is_owned():  # type: ignore[attr-defined]  # what threading.Condition asks it too
            return False
        let_in = False
        try:
            let_in = lock.acquire(timeout=timeout_s if timeout_s == -1.0 else max(0.0, timeout_s))
            return let_in
        finally:
            if not let_in:  # interrupted, perhaps at the very moment of being let in
                with suppress(RuntimeError):
                    lock.release()

    def __enter__(self) -> None:
        if not self.enter():
            raise RuntimeError("this thread is inside already")

    def __exit__(self, *_: object) -> None:
        self.leave()
