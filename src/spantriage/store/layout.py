"""Where things are in a store, and which files a question must read to see every row once.

A writer makes a new segment in `spool/` and never renames one. Packing writes a Parquet file whose footer names the files
that are in it, segments or smaller Parquet files, and deletes those a while later. So a reader lists the segments after the
Parquet files, and leaves out what a footer names; a file that is gone when it is opened has been packed meanwhile, and the
reader looks again.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from spantriage.errors import StoreError
from spantriage.store.columns import LAYOUT_VERSION, PROMOTED

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["HEADER", "META", "ODD", "Snapshot", "check", "create", "footer", "head_line", "is_store", "look", "survey"]

META: Final = "meta.json"
HEADER: Final = "spantriage_segment"  # the key that a segment's first line has
TRIES: Final = 20  # looks at a folder whose files go away meanwhile
ODD: Final = b'"odd":['
FOOTER: Final = b"spantriage"
_PROMOTED: Final = sorted(PROMOTED)


@dataclass(slots=True)
class Snapshot:
    """What is in a store now. `promoted`: the attributes whose columns can be trusted in every file."""

    folder: Path
    parquet: list[Path] = field(default_factory=list)
    segments: list[Path] = field(default_factory=list)
    promoted: frozenset[str] = frozenset(PROMOTED)
    unreadable: list[str] = field(default_factory=list)  # why files are left out


def is_store(path: str | os.PathLike[str]) -> bool:
    """Say whether a folder is a store."""
    return os.path.isfile(os.path.join(path, META))


def create(folder: str | os.PathLike[str]) -> Path:
    """Make a store, or open the one that is there. Raises StoreError when that is impossible or its layout is newer than ours."""
    path = Path(os.path.abspath(Path(folder).expanduser()))
    try:
        for name in ("spool", "parquet", "findings"):
            (path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_store(path):
            promoted = {p.key: {"column": p.column, "type": p.kind} for p in PROMOTED.values()}
            meta = {"layout_version": LAYOUT_VERSION, "promoted": promoted}
            temporary = path / f".{META}.{os.getpid()}.{os.urandom(3).hex()}"
            temporary.write_bytes(orjson.dumps(meta, option=orjson.OPT_INDENT_2))
            os.replace(temporary, path / META)
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror or error}") from error
    check(path)
    return path


def check(folder: Path) -> None:
    """Raise StoreError unless this is a store whose layout we know."""
    try:
        meta = orjson.loads((folder / META).read_bytes())
        version = meta["layout_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"store {folder}: {META} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if version != LAYOUT_VERSION:
        raise StoreError(f"store {folder} has layout {version}, and this version reads {LAYOUT_VERSION}")


def look(folder: Path) -> Snapshot:
    """The files that hold every row once, as things stand. Files that cannot be read are left out, and told."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):  # another file has taken its place, or its day is over
            return _look(folder)
    raise StoreError(f"store {folder}: files go away faster than they can be read")


def _look(folder: Path) -> Snapshot:
    parquet = sorted((folder / "parquet").glob("date=*/*.parquet"))
    names = sorted((folder / "spool").glob("*.jsonl"))
    found = Snapshot(folder)
    promoted, packed = set(PROMOTED), set()
    for path in parquet:
        try:
            about = footer(path)
        except StoreError as error:
            found.unreadable.append(str(error))
            continue
        packed.update(about["segments"])
        promoted &= set(about["promoted"])
        found.parquet.append(path)
    found.parquet = [path for path in found.parquet if path.stem not in packed]
    for path in names:
        if path.stem not in packed and path.is_file():
            promoted -= survey(path).distrusted
            found.segments.append(path)
    found.promoted = frozenset(promoted)
    return found


_FOOTERS: Final[dict[tuple[str, int, int], dict[str, Any]]] = {}


def footer(path: Path) -> dict[str, Any]:
    """What a Parquet file says of itself: its segments, and the promoted attributes that can be trusted. Never changes."""
    stat = path.stat()
    key = str(path), stat.st_mtime_ns, stat.st_size
    if key not in _FOOTERS:
        if len(_FOOTERS) > 10_000:
            _FOOTERS.clear()
        _FOOTERS[key] = _read_footer(path)
    return _FOOTERS[key]


def _read_footer(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    try:
        metadata: pq.FileMetaData = pq.read_metadata(path)
        about: dict[str, Any] = dict(orjson.loads((metadata.metadata or {})[FOOTER]))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no file of a store: {error}") from error
    if not all(isinstance(about.get(name), list) for name in ("segments", "promoted")):
        raise StoreError(f"{path} is no file of a store: its footer names no segments")
    return about


class Surveyed(NamedTuple):
    """What a segment's bytes tell before its rows are read.

    `lines`: whole ones, but for the first. `distrusted`: promoted attributes that cannot be trusted there, as they are unknown to
    its writer, or of another type somewhere.
    """

    lines: int
    distrusted: frozenset[str]


_SURVEYS: Final[dict[tuple[str, int, int, int], Surveyed]] = {}


def survey(segment: Path) -> Surveyed:
    """Look through a segment, once for as long as it does not grow."""
    stat = segment.stat()
    key = str(segment), stat.st_ino, stat.st_mtime_ns, stat.st_size
    found = _SURVEYS.get(key)
    if found is None:
        if len(_SURVEYS) > 10_000:
            _SURVEYS.clear()
        data = segment.read_bytes()
        found = Surveyed(max(0, data.count(b"\n") - 1), frozenset(_distrusted(data)))
        if len(data) == stat.st_size and data.endswith(b"\n"):  # else it has grown meanwhile, or is torn and may be mended
            _SURVEYS[key] = found
    return found


def _distrusted(data: bytes) -> set[str]:
    head = data[: data.find(b"\n") + 1]
    try:
        found = set(PROMOTED) - set(orjson.loads(head)["promoted"])
    except (ValueError, KeyError, TypeError):
        return set(PROMOTED) if data else set()  # no head: not ours, or torn at its first line
    at = data.find(ODD)
    while at >= 0:
        end = data.find(b"]", at)
        with contextlib.suppress(ValueError):
            found.update(key for key in orjson.loads(data[at + len(ODD) - 1 : end + 1]) if isinstance(key, str))
        at = data.find(ODD, at + 1)
    return found


def head_line() -> bytes:
    """The first line of a segment."""
    return orjson.dumps({HEADER: LAYOUT_VERSION, "promoted": _PROMOTED}, option=orjson.OPT_APPEND_NEWLINE)
