"""Opening recorded runs: files and folders, plain or compressed, whatever they are called.

Of a folder these names are looked at, each also with `.gz`, `.xz` or `.zst` behind it: `.json .jsonl .ndjson .otlp .pb
.binpb`. A file that is named itself is always opened. Compression is recognised by content, not by name.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, Self

from spantriage import zst
from spantriage.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HEAD", "LIMITS", "SUFFIXES", "Limits", "Skip", "TraceFile", "open_file", "walk"]

SUFFIXES: Final = (".json", ".jsonl", ".ndjson", ".otlp", ".pb", ".binpb")
PACKED: Final = (".gz", ".xz", ".zst")
GZ: Final = b"\x1f\x8b"
XZ: Final = b"\xfd7zXZ\x00"
BOM: Final = b"\xef\xbb\xbf"
LOGS: Final = frozenset({".massgen"})  # hidden folders that hold runs
HEAD: Final = 1 << 16  # bytes that a source may look at before it says whether the file is its own
BUFFER: Final = 1 << 18
DAMAGED: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, MemoryError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask of us. What lies beyond is skipped and counted."""

    line_bytes: int = 256 << 20  # of one line, JSON document or protobuf message
    unpacked_bytes: int = 64 << 30  # of one compressed file, once unpacked
    ratio: int = 1_000  # unpacked to packed bytes ...
    ratio_from: int = 64 << 20  # ... once this much was unpacked: short files may well be all alike


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Skip:
    """A piece that could not be read. Line 0: the file as a whole; in binary files "line" counts messages."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"


class _Packed(Protocol):
    def read1(self, size: int, /) -> bytes: ...


class TraceFile:
    """An open file, unpacked while it is read. Use it in a `with` block.

    Damage does not raise: the file then ends where the damage begins, and `fault` says why.
    """

    def __init__(self, path: str, raw: IO[bytes], limits: Limits = LIMITS) -> None:
        self.path = path
        self.limits = limits
        self.line = 0  # the last one that was read
        self._raw = raw
        self._guard = _Guard(path, raw, limits)
        self._buffer = io.BufferedReader(self._guard, BUFFER)
        self.head = self._buffer.peek(HEAD)[:HEAD]
        if self.head.startswith(BOM):
            self._buffer.read(len(BOM))
            self.head = self.head[len(BOM) :]

    @property
    def fault(self) -> str | None:
        """Why the file ended early; None while it has not."""
        return self._guard.fault

    def lines(self) -> Iterator[tuple[int, bytes] | Skip]:
        """Lines with their numbers, blank ones left out; a line beyond the cap comes as a Skip."""
        cap = self.limits.line_bytes
        while line := self._buffer.readline(cap + 1):
            self.line += 1
            if len(line) > cap and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = self._buffer.readline(BUFFER)
                yield Skip(self.path, self.line, f"longer than {cap} bytes")
            elif not line.isspace():
                yield self.line, line

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        return self._buffer.read(size)

    def close(self) -> None:
        """Let go of the file."""
        self._buffer.close()
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_file(path: str | Path, limits: Limits = LIMITS) -> TraceFile:
    """Open one file. Raises SourceError when it cannot be, MissingExtra when it is zstd and zstandard is not there."""
    try:
        raw = open(path, "rb")  # noqa: SIM115 - TraceFile closes it
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return TraceFile(str(path), raw, limits)
    except BaseException:
        raw.close()
        raise


def walk(path: str | Path, claimed: Callable[[str], bool] | None = None) -> Iterator[str | Skip]:
    """The files below a folder in sorted order, or the file itself; folders that cannot be read come as a Skip.

    Hidden names are passed over, but for those that agents keep their logs under; so are links, since what they lead to
    inside the folder is seen there. A folder that is `claimed` comes as it is, and nothing below it.
    """
    if not os.path.isdir(path):
        yield str(path)
        return
    denied: list[Skip] = []
    for folder, folders, names in os.walk(path, onerror=lambda e: denied.append(_denied(e))):
        yield from denied
        denied.clear()
        if claimed is not None and claimed(folder):
            folders.clear()
            yield folder
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") or name in LOGS)
        for name in sorted(names):
            found = os.path.join(folder, name)
            if _is_trace_name(name) and not os.path.islink(found) and os.path.isfile(found):
                yield found
    yield from denied


class _Guard(io.RawIOBase):
    """Unpacks, counts, and turns every kind of damage into the end of the file."""

    def __init__(self, path: str, raw: IO[bytes], limits: Limits) -> None:
        self.fault: str | None = None
        self._raw, self._limits, self._size = raw, limits, 0
        self._packed = True
        try:
            magic = raw.peek(len(XZ)) if isinstance(raw, io.BufferedReader) else b""
        except OSError as error:  # a folder, or a device that does not answer
            raise SourceError(f"{path}: {error.strerror or error}") from error
        self._stream: _Packed
        if magic.startswith(GZ):
            self._stream = gzip.GzipFile(fileobj=raw)
        elif magic.startswith(XZ):
            self._stream = lzma.LZMAFile(raw)  # noqa: SIM115 - close() closes what it reads from
        elif magic.startswith(zst.MAGIC):
            self._stream = zst.Reader(raw)
        else:
            self._packed = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self.fault is None:
            try:
                piece = self._stream.read1(len(view) - filled) if self._packed else self._raw.read(len(view) - filled)
            except DAMAGED as error:
                self.fault = f"damaged or cut short: {error or type(error).__name__}"
                break
            if not piece:
                break
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._size += len(piece)
            if self._packed:
                self._look_for_bomb()
        return filled

    def _look_for_bomb(self) -> None:
        limits = self._limits
        if self._size > limits.unpacked_bytes:
            self.fault = f"unpacks to more than {limits.unpacked_bytes} bytes"
        elif self._size > limits.ratio_from and self._raw.seekable() and self._size > limits.ratio * self._raw.tell():
            self.fault = f"unpacks to more than {limits.ratio} times its size"


def _is_trace_name(name: str) -> bool:
    lowered = name.lower()
    for suffix in PACKED:
        lowered = lowered.removesuffix(suffix)
    return not name.startswith(".") and lowered.endswith(SUFFIXES)


def _denied(error: OSError) -> Skip:
    return Skip(str(error.filename), 0, error.strerror or str(error))
