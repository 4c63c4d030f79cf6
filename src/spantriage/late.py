"""What is loaded late, by the thread that needs it first, and never while the process forks.

Findings are pydantic models, and pydantic takes longer to load than all the rest of us; prices are a table of their own.
A child that is forked while another thread is in the middle of an import, or of pydantic's first validation, would wait
for ever for the end of it: so the fork waits.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["apart_from_forks", "load_finding", "warm_up"]

FORK_S: Final = 5.0  # how long a fork waits at most


class Loading:
    """A lock that is nobody's in a new child."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = False  # by a fork
        self.loaded: ModuleType | None = None

    def before_fork(self) -> None:
        """Let an import that is under way come to its end."""
        self.held = self.lock.acquire(timeout=FORK_S)

    def after_fork(self) -> None:
        """In the parent, and in a child that has got the lock: give it back."""
        if self.held:
            self.held = False
            self.lock.release()

    def after_fork_in_child(self) -> None:
        """Whoever held the lock is not here."""
        self.lock, self.held = threading.RLock(), False


_LOADING: Final = Loading()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOADING.before_fork, after_in_parent=_LOADING.after_fork, after_in_child=_LOADING.after_fork_in_child)


@contextmanager
def apart_from_forks() -> Iterator[None]:
    """For what is loaded by one thread at a time and never while the process forks."""
    with _LOADING.lock:
        yield


def load_finding() -> ModuleType:
    """The module `spantriage.finding`, loaded now if it was not before."""
    if _LOADING.loaded is None:
        with apart_from_forks():
            module = importlib.import_module("spantriage.finding")
            rehearse(module)
            _LOADING.loaded = module
    return _LOADING.loaded


def warm_up() -> None:
    """Load what findings are made with, and never raise. Twice if need be: pydantic's plugins may fail to load while the program ends."""
    for _ in range(2):
        with suppress(Exception):
            load_finding()
            return


def rehearse(module: ModuleType) -> None:
    """Make a finding once: what pydantic puts off until then is done, too."""
    evidence = module.Evidence(trace_id="", span_id="", name="")
    ids = {"finding_id": "", "trace_id": "", "span_id": "", "time": "", "evidence": [evidence]}
    words = {"code": "", "category": "", "kind": "incident", "severity": "info", "score": 0, "confidence": "low", "summary": ""}
    module.Finding(**ids, **words).model_dump_json()
