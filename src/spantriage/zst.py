"""zstd, which the standard library of our oldest Python does not know: frames one after the other, truncation noticed."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Final

from spantriage.errors import MissingExtra

if TYPE_CHECKING:
    import zstandard

__all__ = ["MAGIC", "Reader", "unpack"]

MAGIC: Final = b"\x28\xb5\x2f\xfd"
PIECE: Final = 1 << 18
# 1 KiB of zstd can say at most 256 blocks of 128 KiB: what one step unpacks stays below 32 MiB.
STEP: Final = 1 << 10


class Reader:
    """zstd frames one after the other; raises EOFError when the last one is cut short."""

    def __init__(self, raw: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtra("Reading .zst files", "cli") from error
        self._raw = raw
        self._library = zstandard
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = self._ready = b""
        self._at = 0

    def read1(self, size: int, /) -> bytes:
        """Some bytes, at most `size`; none at the end. Raises OSError on damage, EOFError on a missing end."""
        while self._at >= len(self._ready):
            self._packed = self._packed or self._raw.read(STEP)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("compressed file ended before its end-of-stream marker")
                return b""
            self._frame = self._frame or self._library.ZstdDecompressor().decompressobj()
            try:
                self._ready, self._at = self._frame.decompress(self._packed), 0
            except self._library.ZstdError as error:
                raise OSError(str(error)) from error
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        piece = self._ready[self._at : self._at + size]
        self._at += len(piece)
        return piece


def unpack(packed: bytes, cap: int) -> bytes:
    """One zstd message; raises ValueError when it is damaged or unpacks to more than `cap` bytes."""
    reader, pieces, size = Reader(io.BytesIO(packed)), list[bytes](), 0
    try:
        while piece := reader.read1(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > cap:
                raise ValueError(f"unpacks to more than {cap} bytes")
    except (EOFError, OSError) as error:
        raise ValueError(str(error)) from error
    return b"".join(pieces)
