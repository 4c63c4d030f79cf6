"""Appending rows: one file for each writer, whole lines only, and never another name for a file in use."""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from spantriage.store.layout import head_line

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows: files of dead writers are told by their age
    HAS_LOCKS = False

__all__ = ["ROTATE_BYTES", "ROTATE_S", "Spool", "host", "is_closed", "lock"]

ROTATE_BYTES: Final = 32 << 20
ROTATE_S: Final = 60.0
FOREIGN_S: Final = 3_600.0  # how old a file of another machine must be until its writer counts as gone


def host() -> str:
    """The machine's name, fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40] or "unknown"


class Spool:
    """One writer. `append` returns when the lines are with the operating system: a process that is killed loses none of them.

    For one thread. The writer holds a lock on its file as long as it writes there; a file without one is done.
    """

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES, rotate_s: float = ROTATE_S) -> None:
        self._folder = folder / "spool"
        self._rotate_bytes, self._rotate_s = rotate_bytes, rotate_s
        self._begin()

    def _begin(self) -> None:
        self._fd: int | None = None
        self._writer = f"{host()}-{os.getpid()}-{os.urandom(3).hex()}"
        self._number = 0
        self._size = 0
        self._opened = 0.0
        self.path: Path | None = None

    def append(self, lines: bytes) -> None:
        """Write whole lines at once. Raises OSError, and then none of them is in the file."""
        if self._fd is not None and (self._size + len(lines) > self._rotate_bytes or time.monotonic() - self._opened > self._rotate_s):
            self.rotate()
        fd = self._fd if self._fd is not None else self._open()
        view, done = memoryview(lines), 0
        try:
            while done < len(lines):
                wrote = os.write(fd, view[done:])
                if not wrote:
                    raise OSError(errno.ENOSPC, "nothing was written", str(self.path))
                done += wrote
        except OSError:
            self._take_back(fd)
            raise
        self._size += len(lines)

    def rotate(self) -> None:
        """Close the file for good, when it is on the disk; the next line goes into a new one."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.fsync(fd)
            os.close(fd)

    def is_due(self) -> bool:
        """Whether the file has been open for so long that it should be closed though nothing comes."""
        return self._fd is not None and time.monotonic() - self._opened > self._rotate_s

    def disown(self) -> None:
        """In a forked child: the file is the parent's."""
        if self._fd is not None:
            with suppress(OSError):
                os.close(self._fd)
        self._begin()

    def _open(self) -> int:
        self._number += 1
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self.path = self._folder / f"{stamp}-{self._writer}-{self._number:06d}.jsonl"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        hidden = self.path.with_name(f".{self.path.name}")  # until it is locked, so that nobody takes it for one that is done
        fd = os.open(hidden, flags, 0o600)
        try:
            lock(fd)
            head = head_line()
            os.write(fd, head)
            os.rename(hidden, self.path)
        except OSError:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        self._fd, self._size, self._opened = fd, len(head), time.monotonic()
        return fd

    def _take_back(self, fd: int) -> None:
        """Cut off what was written of a batch; if that fails too, go on in a new file: the torn line is the last one there."""
        try:
            os.ftruncate(fd, self._size)
        except OSError:
            self._fd = None
            with suppress(OSError):
                os.close(fd)


def is_closed(path: Path) -> bool:
    """Say whether nobody writes this file any more."""
    is_ours = f"-{host()}-" in path.name
    if not (HAS_LOCKS and is_ours):
        return time.time() - path.stat().st_mtime > FOREIGN_S
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return lock(fd)
    finally:
        os.close(fd)


def lock(fd: int) -> bool:
    """Lock an open file until it is closed; False when somebody else has done so."""
    if HAS_LOCKS:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
