"""What a ledger is made of: records with a head before each, in files of which one process is the owner."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from spantriage.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows: two services on one folder are the user's affair there
    fcntl = None  # type: ignore[assignment]  # asked for before each use

__all__ = ["HEAD", "Full", "Record", "Segment", "head_at", "lock"]

HEAD: Final = struct.Struct(">BIII")


class Full(Exception):
    """There is no room for another record; there will be when some are done."""


class Record(NamedTuple):
    """What was put in, and its number; records count from 1."""

    number: int
    kind: int
    things: int  # such as spans
    body: bytes
    segment: Segment


@dataclass(slots=True, eq=False)
class Segment:
    """One file."""

    path: Path
    first: int
    records: int = 0
    size: int = 0
    opened: float = 0.0
    traces: set[int] = field(default_factory=set)  # noted by whoever reads it

    @property
    def last(self) -> int:
        """The number of its last record; one less than `first` while it is empty."""
        return self.first + self.records - 1


def head_at(fd: int, offset: int, size: int) -> tuple[int, int, int, int] | None:
    """Kind, number of things, length and CRC of the record there; None where there is no whole one."""
    found = os.pread(fd, HEAD.size, offset)
    if len(found) < HEAD.size:
        return None
    kind, count, length, check = HEAD.unpack(found)
    return (kind, count, length, check) if offset + HEAD.size + length <= size else None


def lock(folder: Path) -> int:
    """Claim a folder for this process; the lock goes with the descriptor that is given. Raises StoreError when it is another's."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StoreError(f"{folder}: another process is using it") from error
    return fd
