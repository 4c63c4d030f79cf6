"""Records on disk, in order, until they are done with: what was acknowledged survives the end of the process.

```
FOLDER/<number of its first record>.log    records, each behind a head: kind, how many things, length, CRC
FOLDER/done                                number of the last record that is done
```
A record is with the operating system when `append` returns: a killed process loses none, a machine without power may.
One process at a time uses a folder.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from spantriage.errors import StoreError
from spantriage.serve.records import HEAD, Full, Record, Segment, head_at, lock

__all__ = ["Ledger"]

DONE: Final = struct.Struct(">QI")
SEGMENT_BYTES: Final = 8 << 20
SEGMENT_S: Final = 10.0  # how long one file is written to


class Ledger:
    """One thread reads, several may append. `cap_bytes` is the size of all records that are not done."""

    def __init__(self, folder: Path, *, cap_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder, self.cap_bytes = folder, cap_bytes
        self._segment_bytes = min(segment_bytes, max(1, cap_bytes // 8))
        self._mutex = threading.Lock()
        self.arrived = threading.Condition(self._mutex)
        self.segments: deque[Segment] = deque()
        self.damaged = 0  # records that could not be read back
        self.appended = self.waiting = 0  # things: since the start, and not done now
        self.waiting_bytes = 0
        self._fd: int | None = None  # the file that is written
        self._place: tuple[Segment, int, int] | None = None  # segment, offset and number of the record that is read next
        self._from = 0  # where to begin to read while there is no such place
        self._reading: tuple[Segment, int] | None = None  # the file that is read, and its descriptor
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = lock(folder)
            self._done_fd = os.open(folder / "done", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self.done_number = self._read_done()
            self._next = self._find()
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror or error}") from error

    def _read_done(self) -> int:
        found = os.pread(self._done_fd, DONE.size, 0)
        if len(found) < DONE.size:
            return 0
        number, check = DONE.unpack(found)
        return number if crc32(found[:8]) == check else 0  # all once more rather than nothing

    def _find(self) -> int:
        """Take stock of what an earlier process left; the number of the next record."""
        last = self.done_number
        for path in sorted(self.folder.glob("*.log")):
            segment = Segment(path, int(path.stem))
            with path.open("rb") as file:
                while head := head_at(file.fileno(), segment.size, path.stat().st_size):
                    if segment.last + 1 > self.done_number:
                        self.waiting += head[1]
                        self.waiting_bytes += HEAD.size + head[2]
                    segment.records += 1
                    segment.size += HEAD.size + head[2]
            if not segment.records:
                path.unlink()
                continue
            self.segments.append(segment)
            last = max(last, segment.last)
        return last + 1

    # -- putting in ----------------------------------------------------------------------------------------------------------

    def append(self, kind: int, count: int, body: bytes) -> int:
        """Put a record in, and give its number. Raises Full, or OSError, and then nothing of it is there."""
        record = HEAD.pack(kind, count, len(body), crc32(body)) + body
        with self._mutex:
            if self.waiting_bytes and self.waiting_bytes + len(record) > self.cap_bytes:
                raise Full
            segment = self._open_segment(len(record))
            self._write(segment, record)
            segment.records += 1
            segment.size += len(record)
            number, self._next = self._next, self._next + 1
            self.appended += count
            self.waiting += count
            self.waiting_bytes += len(record)
            self.arrived.notify_all()
            return number

    def _open_segment(self, size: int) -> Segment:
        last = self.segments[-1] if self.segments else None
        full = last is not None and (last.size + size > self._segment_bytes or time.monotonic() - last.opened > SEGMENT_S)
        if self._fd is not None and last is not None and not (full and last.records):
            return last
        self._close_segment()
        path = self.folder / f"{self._next:020d}.log"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = Segment(path, self._next, opened=time.monotonic())
        self.segments.append(segment)
        return segment

    def _write(self, segment: Segment, record: bytes) -> None:
        assert self._fd is not None
        view, done = memoryview(record), 0
        try:
            while done < len(record):
                wrote = os.write(self._fd, view[done:])
                if not wrote:
                    raise OSError(errno.ENOSPC, "nothing was written")
                done += wrote
        except OSError:
            try:
                os.ftruncate(self._fd, segment.size)
            except OSError:  # the torn record is the last of its file; the next one begins another
                self._close_segment()
            raise

    def _close_segment(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    # -- taking out ----------------------------------------------------------------------------------------------------------

    def read(self) -> Record | None:
        """The next record, from the oldest that is there on, done or not; None while there is none."""
        while True:
            with self._mutex:
                place = self._place or self._begin_at(self._from)
                if place is None:
                    return None
                segment, offset, number = place
                if number > segment.last:
                    place = self._begin_at(number)
                    if place is None or place[0] is segment:
                        return None
                    self._place = place
                    continue
                size = segment.size
            record, sound, after = self._take(segment, offset, number, size)
            self._place = segment, after, number + 1
            if sound:
                return record
            self.damaged += 1
            self.done(number, record.things, len(record.body))

    def skip_done(self) -> None:
        """Begin to read behind what is done."""
        while (place := self._place or self._begin_at(self._from)) is not None and place[2] <= self.done_number:
            segment, offset, number = place
            if number > segment.last or segment.last <= self.done_number:
                self._place = None
                self._from = segment.last + 1
                continue
            head = head_at(self._descriptor(segment), offset, segment.size)
            if head is None:
                return
            self._place = segment, offset + HEAD.size + head[2], number + 1

    def _begin_at(self, number: int) -> tuple[Segment, int, int] | None:
        """The beginning of the first segment at or behind a number."""
        return next(((each, 0, each.first) for each in self.segments if each.first >= number), None)

    def _take(self, segment: Segment, offset: int, number: int, size: int) -> tuple[Record, bool, int]:
        """The record there, whether it is sound, and where the next one begins."""
        kind = count = 0
        try:
            fd = self._descriptor(segment)
            head = head_at(fd, offset, size)
            if head is None:
                return Record(number, kind, count, b"", segment), False, size
            kind, count, length, check = head
            body = os.pread(fd, length, offset + HEAD.size)
        except OSError:
            return Record(number, kind, count, b"", segment), False, size
        return Record(number, kind, count, body, segment), crc32(body) == check, offset + HEAD.size + length

    def _descriptor(self, segment: Segment) -> int:
        if self._reading is None or self._reading[0] is not segment:
            if self._reading is not None:
                os.close(self._reading[1])
                self._reading = None
            self._reading = segment, os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        return self._reading[1]

    def done(self, number: int, count: int, size: int) -> None:
        """A record, and all before it, are done: its things, and the length of its body, wait no more."""
        with self._mutex:
            if number <= self.done_number:
                return
            self.done_number = number
            self.waiting -= count
            self.waiting_bytes -= HEAD.size + size
            packed = struct.pack(">Q", number)
            with suppress(OSError):  # then it is done once more after a crash
                os.pwrite(self._done_fd, packed + struct.pack(">I", crc32(packed)), 0)

    def prune(self, keeps: Callable[[Segment], bool]) -> None:
        """Delete files of which all is done, and which `keeps` does not want."""
        with self._mutex:
            for segment in list(self.segments):
                if segment.last > self.done_number or segment.last >= (self._from if self._place is None else self._place[2]):
                    break  # not done, or not read
                if keeps(segment):
                    continue
                if segment is self.segments[-1]:
                    self._close_segment()
                if self._place is not None and self._place[0] is segment:
                    self._place, self._from = None, segment.last + 1
                self.segments.remove(segment)
                with suppress(OSError):
                    segment.path.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes on disk, those of records that are done and kept all the same included."""
        with self._mutex:
            return sum(segment.size for segment in self.segments)

    def close(self) -> None:
        """Let the files go; what is not done is there the next time."""
        with self._mutex:
            self._close_segment()
            for fd in (self._done_fd, self._lock_fd, *(() if self._reading is None else (self._reading[1],))):
                os.close(fd)
            self._reading = None
