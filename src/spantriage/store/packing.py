"""Closed segments become Parquet, small Parquet files become larger ones, and old days go."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from spantriage.errors import StoreError
from spantriage.store import spool
from spantriage.store.columns import PROMOTED
from spantriage.store.layout import META, footer, look, survey
from spantriage.store.parquet import connect, write
from spantriage.store.relation import listed, segments_relation

__all__ = ["Packed", "keep_days", "pack"]

GRACE_S: Final = 60.0  # how long what has been packed stays where it was, for readers that have listed it already
GROUP_BYTES: Final = 128 << 20  # of segments in one file
SMALL_BYTES: Final = 8 << 20  # a Parquet file that is worth merging ...
SMALL_FILES: Final = 8  # ... once there are so many of one day


@dataclass(slots=True)
class Packed:
    """What was done."""

    rows: int = 0
    segments: int = 0
    merged: int = 0  # Parquet files that went into larger ones
    deleted: int = 0  # files that were packed long enough ago
    days: int = 0  # whose time was over


def pack(folder: Path, *, grace_s: float = GRACE_S, budget_s: float = float("inf"), all_segments: bool = False) -> Packed:
    """Pack what is closed, for about `budget_s` seconds. Does nothing while another process packs.

    With `all_segments` also what is still being written counts as closed: only for a store that nobody writes to.
    """
    done, until = Packed(), time.monotonic() + budget_s
    with _alone(folder) as alone:
        if not alone:
            return done
        done.days = _forget(folder)
        done.deleted = _delete(folder, grace_s)
        con = connect()
        try:
            for group in _groups(look(folder).segments, all_segments=all_segments):
                if time.monotonic() > until:
                    return done
                done.rows += _pack_group(con, folder, group)
                done.segments += len(group)
            for day in sorted((folder / "parquet").glob("date=*")):
                if time.monotonic() > until:
                    return done
                done.merged += _merge(con, folder, day)
        finally:
            con.close()
        if grace_s <= 0:
            done.deleted += _delete(folder, grace_s)
    return done


def _groups(segments: list[Path], *, all_segments: bool) -> Iterator[list[Path]]:
    """Closed segments of one day, up to a size."""
    group: list[Path] = []
    size = 0
    for path in segments:
        if not (all_segments or spool.is_closed(path)):
            continue
        bytes_of = path.stat().st_size
        if group and (path.name[:8] != group[0].name[:8] or size + bytes_of > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(path)
        size += bytes_of
    if group:
        yield group


def _pack_group(con: Any, folder: Path, group: list[Path]) -> int:
    names = [path.stem for path in group]
    promoted = set(PROMOTED)
    for path in group:
        promoted -= survey(path).distrusted
    day = group[0].name
    path = folder / "parquet" / f"date={day[:4]}-{day[4:6]}-{day[6:8]}" / f"{_name(names)}.parquet"
    rows = write(con, f"({segments_relation(group)})", path, segments=names, promoted=sorted(promoted))
    if rows < sum(survey(path).lines for path in group):
        _set_aside(con, folder, group)
    return rows


def _set_aside(con: Any, folder: Path, group: list[Path]) -> None:
    """Keep a copy of segments that hold whole lines which could not be read: they are deleted otherwise."""
    for path in group:
        found = con.execute(f"select count(*) from ({segments_relation([path])})").fetchall()[0][0]
        if found < survey(path).lines:
            aside = folder / "damaged"
            aside.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.link(path, aside / path.name)


def _merge(con: Any, folder: Path, day: Path) -> int:
    """Small files of a day into one, which says that it holds them."""
    current = {path for path in look(folder).parquet if path.parent == day}
    small = [path for path in sorted(current) if path.stat().st_size < SMALL_BYTES]
    if len(small) < SMALL_FILES:
        return 0
    promoted = set(PROMOTED)
    names: list[str] = []
    for path in small:
        about = footer(path)
        promoted &= set(about["promoted"])
        names += [path.stem, *(name for name in about["segments"] if (folder / "spool" / f"{name}.jsonl").exists())]
    relation = f"read_parquet({listed(small)}, union_by_name = true, hive_partitioning = false)"
    write(con, relation, day / f"{_name(names)}.parquet", segments=names, promoted=sorted(promoted))
    return len(small)


def _name(names: list[str]) -> str:
    return blake2b("\n".join(names).encode(), digest_size=10).hexdigest()


def _delete(folder: Path, grace_s: float) -> int:
    """Delete files whose rows are in another one since `grace_s`."""
    deleted, now = 0, time.time()
    held: dict[str, float] = {}  # what is held by a Parquet file, and since when
    paths = sorted((folder / "parquet").glob("date=*/*.parquet"))
    for path in paths:
        with suppress(StoreError):  # it holds nothing that we could know
            for name in footer(path)["segments"]:
                held[name] = path.stat().st_mtime
    for path in [*paths, *(folder / "spool").glob("*.jsonl")]:
        if path.stem in held and now - held[path.stem] >= grace_s:
            path.unlink(missing_ok=True)
            deleted += 1
    return deleted


def keep_days(folder: Path, days: int | None = None) -> int | None:
    """For how many days a store keeps spans; with `days` from now on. None: for ever."""
    path = folder / META
    try:
        meta = orjson.loads(path.read_bytes())
        if days is not None and meta.get("keep_days") != days:
            meta["keep_days"] = days
            temporary = path.with_name(f".{META}.{os.getpid()}.{os.urandom(3).hex()}")
            temporary.write_bytes(orjson.dumps(meta, option=orjson.OPT_INDENT_2))
            os.replace(temporary, path)
    except (OSError, ValueError) as error:
        raise StoreError(f"store {folder}: {META} cannot be read: {error}") from error
    kept = meta.get("keep_days")
    return kept if isinstance(kept, int) else None


def _forget(folder: Path) -> int:
    """Delete the days, and the files of findings, that are older than the store keeps them."""
    days = keep_days(folder)
    if days is None:
        return 0
    first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)
    gone = 0
    for path in (folder / "parquet").glob("date=*"):
        if path.name.removeprefix("date=") < first.isoformat():
            shutil.rmtree(path, ignore_errors=True)
            gone += 1
    for path in (folder / "findings").glob("*.jsonl*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > (days + 1) * 86_400:
                path.unlink()
    return gone


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this process is the only one that packs."""
    fd = os.open(folder / ".packing", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield spool.lock(fd)
    finally:
        os.close(fd)
