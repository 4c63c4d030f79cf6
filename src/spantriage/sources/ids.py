"""Ids for what has none, or none of OpenTelemetry's: the same words give the same id, in every process and on every machine."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from uuid import UUID

__all__ = ["from_uuid", "log_trace_id", "span_id", "trace_id"]

_LOW: Final = (1 << 64) - 1


def trace_id(*words: object) -> int:
    """128 bits, never 0."""
    return _digest(16, words)


def span_id(*words: object) -> int:
    """64 bits, never 0."""
    return _digest(8, words)


def from_uuid(said: object) -> tuple[int, int] | None:
    """A UUID as a trace id and, its low half, as a span id; None when it is none."""
    if type(said) is not str or len(said) > 64:
        return None
    try:
        found = UUID(said).int
    except ValueError:
        return None
    return (found, found & _LOW) if found & _LOW else None


def log_trace_id(path: object) -> int | None:
    """The id of the run that keeps its log in this folder, wherever it was moved to: `log_<time>/turn_<n>/attempt_<n>` counts."""
    if type(path) is not str or len(path) > 4_096:
        return None
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    begin = next((index for index in range(len(parts) - 1, -1, -1) if parts[index].startswith("log_")), None)
    return None if begin is None else trace_id("log", *parts[begin : begin + 3])


def _digest(size: int, words: tuple[object, ...]) -> int:
    said = "\0".join(str(word) for word in words).encode("utf-8", "replace")
    return int.from_bytes(blake2b(said, digest_size=size).digest(), "big") or 1
