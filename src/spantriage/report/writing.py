"""Reports put into files; what a person has written is not overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from spantriage.errors import SinkError

__all__ = ["is_ours", "write"]

MARKS: Final = ("Written by spantriage", 'name="generator" content="spantriage')


def is_ours(path: Path) -> bool:
    """Say whether a report there is one that was written here, and may be written anew; True where there is none."""
    if not path.exists():
        return True
    try:
        said = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return False
    return any(mark in said[:2_000] or mark in said[-2_000:] for mark in MARKS)


def write(path: Path, text: str) -> None:
    """Write the whole file or nothing; a link in its place is replaced, not followed. Raises SinkError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SinkError(f"{path}: {error.strerror or error}") from error
