"""Where recorded runs come from. One file each: a function that recognises the format, one that reads it piece by piece."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from spantriage.errors import ConfigError, NotARun, SourceError
from spantriage.files import LIMITS, Limits, Skip, TraceFile, open_file
from spantriage.model import Step
from spantriage.sources.spans import RecordedSpan

__all__ = ["Labels", "Piece", "Source", "kinds", "open_source"]


@dataclass(slots=True)
class Labels:
    """What a source knows about a run besides its steps: `trial_name`, `task_name`, `outcome`."""

    trace_id: int
    values: dict[str, str] = field(default_factory=dict)


Piece = RecordedSpan | Step | Labels | Skip
"""What a source gives: spans for the dialects to read, or steps that are ready; labels; and what it could not read."""


@dataclass(frozen=True, slots=True)
class Source:
    """One format of recorded runs. Give it a file here and a `SOURCE`; nothing else has to be edited.

    `read` is lazy: it never holds more of a file than one piece. What it cannot read it yields as a Skip and goes on.
    Steps that it makes carry the file in `source`; a format that keeps a run in a folder claims the folder's main file
    and opens the others itself.
    """

    name: str  # as in `--from`
    sniff: Callable[[bytes, str], bool]  # (the first 64 KiB, the file's name): is the file ours?
    read: Callable[[TraceFile], Iterator[Piece]]
    rank: int = 50  # who is asked first, lowest first: narrow claims before wide ones


def open_source(path: str | Path, kind: str = "auto", *, limits: Limits = LIMITS) -> Iterator[Piece]:
    """Open one file and read it piece by piece.

    Raises SourceError when it cannot be opened or no source knows its format, ConfigError when there is no such kind,
    MissingExtra when unpacking it needs one; reading on never raises.
    """
    if kind != "auto" and kind not in kinds():
        raise ConfigError(f"unknown source {kind!r}; there are: auto, {', '.join(kinds())}")
    file = open_file(path, limits)
    source = _recognise(file) if kind == "auto" else next(s for s in _all() if s.name == kind)
    if source is None and file.head.strip():
        file.close()
        refuse = NotARun if file.head.lstrip()[:1] in (b"{", b"[") else SourceError
        raise refuse(f"{path}: in no format that is known ({', '.join(kinds())})")
    return _read(file, source)


def kinds() -> tuple[str, ...]:
    """The names of all sources."""
    return tuple(sorted(source.name for source in _all()))


def _recognise(file: TraceFile) -> Source | None:
    return next((source for source in _all() if source.sniff(file.head, Path(file.path).name)), None)


def _read(file: TraceFile, source: Source | None) -> Iterator[Piece]:
    with file:
        if source is not None and file.head:
            yield from source.read(file)
        elif file.fault is None:
            yield Skip(file.path, 0, "empty")
        if file.fault is not None:
            yield Skip(file.path, file.line, file.fault)


@cache
def _all() -> tuple[Source, ...]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return tuple(sorted((m.SOURCE for m in modules if hasattr(m, "SOURCE")), key=lambda s: (s.rank, s.name)))
