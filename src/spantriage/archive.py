"""An archive of what was kept of past runs: `history/runs/YYYY-MM-DD/`, local and never committed."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spantriage.errors import SinkError, SourceError
from spantriage.sources.talk import mapping
from spantriage.values import load

__all__ = ["ROOT", "keep", "traces_in"]

ROOT: Final = Path("history/runs")
HEAD: Final = 1 << 16
_DAY: Final = re.compile(rb'"timestamp"\s*:\s*"(\d{4}-\d\d-\d\d)')


def keep(file: str | Path, root: str | Path = ROOT, *, day: str | None = None, replace: bool = False) -> Path:
    """Copy a file into the archive, under the day that it tells of itself, else today's; returns where it lies now.

    Raises SourceError when it cannot be read, SinkError when another file of the same name is there already.
    """
    source = Path(file)
    if source.is_symlink() or not source.is_file():
        raise SourceError(f"{file}: not a file")
    if day is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", day) is None:
        raise SourceError(f"{day!r} is no day; write it as 2026-11-20")
    folder = Path(root) / (day or _day_of(source))
    target = folder / source.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignored = Path(root) / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")
        if target.exists() and not replace:
            if target.read_bytes() == source.read_bytes():
                return target
            raise SinkError(f"{target} is there already, and differs; --replace writes over it")
        part = folder / f".{source.name}.{os.getpid()}.part"
        shutil.copyfile(source, part)
        part.replace(target)
    except SinkError:
        raise
    except OSError as error:
        raise SinkError(f"{target}: {error.strerror or error}") from error
    return target


def _day_of(source: Path) -> str:
    with source.open("rb") as opened:
        found = _DAY.search(opened.read(HEAD))
    return found[1].decode() if found is not None else datetime.now(UTC).date().isoformat()


def traces_in(path: str | Path) -> list[dict[str, object]]:
    """The traces of a file that `traces aggregate` has written. Raises SourceError when it is none."""
    try:
        raw = Path(path).read_bytes()
        found = load(raw)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    traces = mapping(found).get("traces")
    if not isinstance(traces, list) or not all(isinstance(trace, dict) and "status" in trace for trace in traces):
        raise SourceError(f"{path}: no traces in it; `spantriage traces aggregate` makes such a file")
    return traces
