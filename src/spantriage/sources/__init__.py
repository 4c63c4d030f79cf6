"""Where recorded runs come from. One file each: what recognises the format, and what reads it piece by piece."""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from spantriage import values
from spantriage.errors import ConfigError, NotARun, SourceError, SpantriageError
from spantriage.files import HEAD, LIMITS, Limits, Skip, TraceFile, open_file
from spantriage.folder import Folder
from spantriage.model import Step
from spantriage.sources.spans import RecordedSpan

__all__ = ["Labels", "Piece", "Source", "claimant", "kinds", "open_source"]

LOG = logging.getLogger("spantriage")
HELD: Final = 20_000  # pieces of a source that settles
BEGIN: Final = 256  # bytes that are looked at for what a file begins with


@dataclass(slots=True)
class Labels:
    """What a source knows about a run besides its steps.

    `trial_name`, `task_name`, `outcome` (passed, failed or error) go into its findings; `cause` is the source's own word
    for why it failed, `reward` what its tests gave, `cost_usd` what it cost as a whole, `form` the format.
    """

    trace_id: int
    values: dict[str, str] = field(default_factory=dict)


Piece = RecordedSpan | Step | Labels | Skip
"""What a source gives: spans for the dialects to read, or steps that are ready; labels; and what it could not read."""


@dataclass(frozen=True, slots=True)
class Source:
    """One format of recorded runs. Give it a file here and a `SOURCE`; nothing else has to be edited.

    A format is recognised by a file's beginning (`sniff`), by the names in a folder (`claims`), or by both. Reading is
    lazy: it never holds more of a file than one piece. What cannot be read comes as a Skip, and reading goes on. Spans are for
    the dialects; steps, where a format has no spans, are ready to be judged and carry their file in `source`.
    """

    name: str  # as in `--from`
    sniff: Callable[[bytes, str], bool]  # (the first 64 KiB, the file's name): is the file ours?
    read: Callable[[TraceFile], Iterator[Piece]]
    rank: int = 50  # who is asked first, lowest first: narrow claims before wide ones
    begins: tuple[bytes, ...] = ()  # what only its files begin with, blanks left out: it is not asked then, and nobody else is
    settles: bool = False  # what comes later in a file may put earlier steps right, so they are handed on late
    claims: Callable[[Folder], bool] | None = None  # is everything in this folder one run of ours?
    read_folder: Callable[[Folder], Iterator[Piece]] | None = None


def open_source(path: str | Path, kind: str = "auto", *, limits: Limits = LIMITS) -> Iterator[Piece]:
    """Open one file, or a folder that is one run, and read it piece by piece.

    Raises SourceError when it cannot be opened or no source knows its format, ConfigError when there is no such kind,
    MissingExtra when reading it needs one; reading on never raises.
    """
    named = _named(kind)
    if os.path.isdir(path):
        source = claimant(path, kind)
        if source is None:
            raise SourceError(f"{path}: a folder that is no run of a format that is known")
        return _read_folder(path, source, limits)
    file = open_file(path, limits)
    source = named or _recognise(file)
    if source is None and file.head.strip():
        file.close()
        refuse = NotARun if _is_json(file.head) else SourceError
        raise refuse(f"{path}: in no format that is known ({', '.join(kinds())})")
    return _read(file, source)


def claimant(path: str | Path, kind: str = "auto") -> Source | None:
    """The source that takes the whole of this folder for one run of its own, if one does."""
    folder, named = Folder(path), _named(kind)
    return next((s for s in _all() if s.claims is not None and named in (None, s) and s.claims(folder)), None)


def _named(kind: str) -> Source | None:
    if kind == "auto":
        return None
    if kind not in kinds():
        raise ConfigError(f"unknown source {kind!r}; there are: auto, {', '.join(kinds())}")
    return next(source for source in _all() if source.name == kind)


def kinds() -> tuple[str, ...]:
    """The names of all sources."""
    return tuple(sorted(source.name for source in _all()))


def _is_json(head: bytes) -> bool:
    """Say whether it looks like JSON of another kind: of a file that is wholly seen, its text or first line must parse."""
    begin = head.lstrip()
    if begin[:1] not in (b"{", b"["):
        return False
    for text in (begin, begin.partition(b"\n")[0]) if len(head) < HEAD else ():
        with suppress(ValueError):
            values.load(text)
            return True
    return len(head) >= HEAD


def _recognise(file: TraceFile) -> Source | None:
    begin = file.head[:BEGIN].translate(None, b" \t\r\n")
    plain = next((source for source in _all() if source.begins and begin.startswith(source.begins)), None)
    return plain or next((source for source in _all() if source.sniff(file.head, Path(file.path).name)), None)


def _read(file: TraceFile, source: Source | None) -> Iterator[Piece]:
    with file:
        if source is not None and file.head:
            pieces = _guarded(source.read(file), file.path, lambda: file.line)
            yield from _late(pieces) if source.settles else pieces
        elif file.fault is None:
            yield Skip(file.path, 0, "empty")
        if file.fault is not None:
            yield Skip(file.path, file.line, file.fault)


def _read_folder(path: str | Path, source: Source, limits: Limits) -> Iterator[Piece]:
    skips: list[Skip] = []
    assert source.read_folder is not None, f"{source.name} claims folders and cannot read them"
    pieces = _guarded(source.read_folder(Folder(path, limits, skips.append)), str(path), lambda: 0)
    for piece in _late(pieces) if source.settles else pieces:
        yield from skips
        skips.clear()
        yield piece
    yield from skips


def _late(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, each when so many others have followed, or none will."""
    held: deque[Piece] = deque()
    for piece in pieces:
        held.append(piece)
        if len(held) > HELD:
            yield held.popleft()
    yield from held


def _guarded(pieces: Iterator[Piece], path: str, line: Callable[[], int]) -> Iterator[Piece]:
    """What a reader did not foresee ends its file, with a word on where, and not the scan."""
    try:
        yield from pieces
    except (SpantriageError, GeneratorExit):
        raise
    except Exception as error:
        LOG.debug("reading %s", path, exc_info=True)
        yield Skip(path, line(), f"could not be read on: {type(error).__name__}: {error}")


@cache
def _all() -> tuple[Source, ...]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return tuple(sorted((m.SOURCE for m in modules if hasattr(m, "SOURCE")), key=lambda s: (s.rank, s.name)))
