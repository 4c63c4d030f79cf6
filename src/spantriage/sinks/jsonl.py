"""Findings as JSON lines, in one file for all threads and processes.

`jsonl:` writes `.spantriage/findings.jsonl`, `jsonl:PATH` another file. Options follow a question mark:
`jsonl:PATH?max_bytes=1000000&keep=3` says when to rotate and how many old files (`PATH.1` is the newest) to keep;
`fsync_s=0.5` how many seconds a line may wait for the disk (without it a line survives the death of the process, not of
the machine); `shared=no` gives each process a file of its own, for network folders, whose locks cannot be trusted.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from spantriage.errors import ConfigError, SinkError
from spantriage.sinks._line import encode
from spantriage.sinks._shared_file import HAS_LOCKS, SharedFile

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["JsonlSink", "open"]

DEFAULT: Final = ".spantriage/findings.jsonl"
HELD_LINES: Final = 1_000  # lines kept in memory while the file cannot be written
HELD_BYTES: Final = 1 << 22
LOCK_S: Final = 1.0
_REASONS: Final = {errno.ELOOP: "it is a symbolic link", errno.EISDIR: "it is a folder"}
_SINKS: Final[weakref.WeakSet[JsonlSink]] = weakref.WeakSet()


def open(target: str = "") -> JsonlSink:  # noqa: A001  # what every sink calls it
    """Open `path?option=value`. Raises SinkError when the file cannot be written, ConfigError for a bad option."""
    path, _, query = target.partition("?")
    options: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ConfigError(f"unknown option {name!r} in sink jsonl:{target}; there are: {', '.join(_OPTIONS)}")
        try:
            options[name] = _OPTIONS[name](value)
        except (ValueError, KeyError):
            raise ConfigError(f"option {name!r} in sink jsonl:{target} cannot be {value!r}") from None
    return JsonlSink(path or DEFAULT, **options)  # type: ignore[arg-type]  # _OPTIONS gives each its type


def _whole(value: str) -> int:
    if not value.isdecimal():
        raise ValueError
    return int(value)


def _seconds(value: str) -> float:
    found = float(value)
    if not 0 <= found < 1e9:
        raise ValueError
    return found


_OPTIONS: Final[dict[str, Callable[[str], object]]] = {
    "max_bytes": _whole,
    "keep": _whole,
    "fsync_s": _seconds,
    "shared": {"yes": True, "no": False}.__getitem__,
}


class JsonlSink:
    """Appends findings to a file. While it cannot, `write` raises OSError and the last 1,000 lines wait in memory."""

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT,
        *,
        max_bytes: int = 64 << 20,
        keep: int = 5,
        fsync_s: float | None = None,
        shared: bool = True,
    ) -> None:
        self._target = Path(os.path.abspath(Path(path).expanduser()))
        self._max_bytes, self._keep, self._fsync_s = max_bytes, keep, fsync_s
        self._shared = shared and HAS_LOCKS
        self._begin()
        try:
            self._file.open()
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
            raise SinkError(f"sink jsonl cannot write {self.path}: {reason}") from error
        _SINKS.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.writer_id = f"{self._pid}-{int(time.time())}-{os.urandom(4).hex()}"
        self._seq = 0
        self.written = self.dropped = self.stubs = 0  # lines; a stub is written like any other
        self._held: deque[bytes] = deque()
        self._mutex = threading.Lock()
        self._synced, self._on_disk = time.monotonic(), 0
        target = self._target
        self.path = target if self._shared else target.with_name(f"{target.stem}.{self.writer_id}{target.suffix}")
        self._file = SharedFile(self.path, max_bytes=self._max_bytes, keep=self._keep, locked=self._shared)

    @property
    def held(self) -> int:
        """How many lines wait in memory for the file to become writable."""
        return len(self._held)

    def write(self, findings: Sequence[Finding]) -> None:
        """Append a batch; when this returns every line is in the file. Raises OSError, and then keeps the last lines."""
        self._check_fork()
        with self._mutex:
            for finding in findings:
                self._seq += 1
                line, whole = encode(finding, self.writer_id, self._seq)
                self.stubs += not whole
                self._held.append(line)
            self._drain(LOCK_S)

    def flush(self, timeout_s: float) -> bool:
        """Write what waits in memory and, with `fsync_s`, wait for the disk; False when that failed or took too long."""
        self._check_fork()
        if not self._mutex.acquire(timeout=max(0.0, timeout_s)):
            return False
        try:
            self._drain(max(0.0, min(LOCK_S, timeout_s)))
            self._sync(0.0)
        except OSError:
            return False
        finally:
            self._mutex.release()
        return True

    def close(self, timeout_s: float) -> None:
        """Flush and close the file; a later `write` opens it again."""
        self.flush(timeout_s)
        if self._mutex.acquire(timeout=max(0.0, timeout_s)):
            try:
                self._file.close()
            finally:
                self._mutex.release()

    def after_fork(self) -> None:
        """In a forked child: be a new writer. The file's lock and the lines that waited are the parent's."""
        self._file.disown()
        self._begin()

    def _check_fork(self) -> None:
        if self._pid != os.getpid():  # a fork that skipped Python's hooks, as uWSGI's does
            self.after_fork()

    def _drain(self, wait_s: float) -> None:
        held = self._held
        try:
            while held:
                before = len(held)
                try:
                    self._file.append(held, wait_s)
                finally:
                    self.written += before - len(held)
            self._sync(self._fsync_s)
        except OSError:
            size = sum(map(len, held))
            while len(held) > HELD_LINES or size > HELD_BYTES:
                size -= len(held.popleft())
                self.dropped += 1
            raise

    def _sync(self, after_s: float | None) -> None:
        """Wait for the disk, if that is wanted, there is something new, and the last time is so long ago."""
        if self._fsync_s is None or after_s is None or self._on_disk == self.written:
            return
        if time.monotonic() - self._synced >= after_s:
            self._file.sync()
            self._synced, self._on_disk = time.monotonic(), self.written


def _renew_all() -> None:
    for sink in list(_SINKS):
        sink.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
