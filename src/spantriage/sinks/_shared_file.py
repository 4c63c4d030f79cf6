"""A file of lines that any number of threads and processes append to, none of them tearing another's line.

A batch is one `write` to a file opened for appending, under a lock that the kernel gives back when its holder dies.
What a dead writer left unfinished is closed with a newline first, so that it never swallows a good line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections import deque
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows has no such locks: there each process needs a file of its own
    fcntl = None  # type: ignore[assignment]  # absence is asked for by `is None`

__all__ = ["HAS_LOCKS", "SharedFile"]

HAS_LOCKS: Final = fcntl is not None
BATCH_CAP: Final = 1 << 18  # bytes of one write
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))


class SharedFile:
    """Appends whole lines; rotates by renaming. Not for two threads at once. Every method may raise OSError."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int, locked: bool) -> None:
        self.path = path
        self._max_bytes, self._keep, self._locked = max_bytes, keep, locked
        self._limit = max_bytes  # grows when rotation fails
        self._fd: int | None = None

    def open(self) -> int:
        """Make the file if needed, readable by its owner alone."""
        if self._fd is None:
            _make_folder(self.path.parent)
            fd = os.open(self.path, _FLAGS, 0o600)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "it is not a regular file", str(self.path))
            self._fd = fd
        return self._fd

    def append(self, lines: deque[bytes], wait_s: float) -> None:
        """Write a batch from the front of `lines`, taking out each line that is whole in the file, also when it raises."""
        size, number = 0, 0
        for line in lines:
            if number and size + len(line) > BATCH_CAP:
                break
            size, number = size + len(line), number + 1
        fd = self._lock_current(size, wait_s)
        try:
            self._write(fd, lines, number)
        finally:
            self._unlock(fd)

    def sync(self) -> None:
        """Wait for the disk."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Let the lock and the file go; `append` opens it again."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                self._unlock(fd)
            with contextlib.suppress(OSError):
                os.close(fd)

    def disown(self) -> None:
        """In a forked child: close without unlocking, for the lock is the parent's too."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = None

    def _lock_current(self, size: int, wait_s: float) -> int:
        """Lock the file that now bears the name, making or rotating it where needed."""
        for _ in range(20):
            fd = self.open()
            self._lock(fd, wait_s)
            try:
                there, there_size = self._is_current(fd)
                full = 0 < self._limit < there_size + size and there_size > 0
                if there and not full:
                    return fd
                if there:
                    self._limit = self._max_bytes if self._rotate() else 2 * (there_size + size)
            except OSError:
                self.close()
                raise
            self.close()
        raise OSError(errno.EBUSY, "the file is moved away again and again", str(self.path))

    def _write(self, fd: int, lines: deque[bytes], number: int) -> None:
        mend = 0
        if os.fstat(fd).st_size:
            os.lseek(fd, -1, os.SEEK_END)
            mend = int(os.read(fd, 1) != b"\n")
        data, done = memoryview(b"\n" * mend + b"".join(lines[i] for i in range(number))), 0
        try:
            while done < len(data):
                wrote = os.write(fd, data[done:])
                if not wrote:
                    raise OSError(errno.ENOSPC, "nothing was written", str(self.path))
                done += wrote
        finally:
            left = done - mend
            while lines and left >= len(lines[0]):
                left -= len(lines.popleft())
            if left > 0:
                self._take_back(fd, left)

    @staticmethod
    def _take_back(fd: int, size: int) -> None:
        """Cut off a torn end that we ourselves have just written; if that fails the next writer closes it."""
        with contextlib.suppress(OSError):
            end = os.lseek(fd, 0, os.SEEK_CUR)
            if end == os.fstat(fd).st_size:
                os.ftruncate(fd, end - size)

    def _is_current(self, fd: int) -> tuple[bool, int]:
        """Say whether the open file is still the one that bears the name, and how large it is."""
        found = os.fstat(fd)
        try:
            return os.path.samestat(os.lstat(self.path), found), found.st_size
        except (FileNotFoundError, NotADirectoryError):
            return False, found.st_size

    def _rotate(self) -> bool:
        """Rename, never copy: whoever holds the old file sees under its lock that it bears the name no more."""
        if not self._locked:
            self.close()  # Windows renames no open file
        try:
            free = 1
            while free < self._keep and os.path.lexists(f"{self.path}.{free}"):
                free += 1
            for number in range(free, 1, -1):
                os.replace(f"{self.path}.{number - 1}", f"{self.path}.{number}")
            if self._keep:
                os.replace(self.path, f"{self.path}.1")
            else:
                os.unlink(self.path)
        except OSError:
            return False  # a file that grows is better than findings that are lost
        return True

    def _lock(self, fd: int, wait_s: float) -> None:
        """Wait for the lock, but not for ever: a stopped process may hold it."""
        deadline, pause_s = time.monotonic() + wait_s, 0.00005
        while self._locked:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock", str(self.path)) from None
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.005)

    def _unlock(self, fd: int) -> None:
        if self._locked:
            fcntl.flock(fd, fcntl.LOCK_UN)


def _make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, for the owner alone, whatever the umask."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder", str(folder)) from None
