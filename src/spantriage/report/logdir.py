"""Which run of a MassGen log is meant: a turn, and in it the last attempt."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spantriage.errors import SourceError
from spantriage.folder import Folder
from spantriage.sources import massgen

__all__ = ["REPORT", "Turn", "find_turn", "latest_log"]

REPORT: Final = "ANALYSIS_REPORT.md"
_LOG: Final = re.compile(r"log_\d{8}_\d{6}(?:_\d+)?")


@dataclass(frozen=True, slots=True)
class Turn:
    """One coordination: where its report goes, and the attempt that counts."""

    folder: Path
    attempt: Path
    number: int | None
    attempts: int

    @property
    def report(self) -> Path:
        """Where its report lies, or will."""
        return self.folder / REPORT


def find_turn(path: Path, turn: int | None = None) -> Turn | None:
    """The turn in a log's folder, the latest where none is asked for; None when the folder is no MassGen log.

    `path` may be the log, a turn or an attempt. Raises SourceError when there is no such turn.
    """
    folder = Folder(path)
    turns = dict(_numbered(folder, "turn_"))
    if turns:
        number = max(turns) if turn is None else turn
        if number not in turns:
            raise SourceError(f"{path}: there is no turn {number}; there are {', '.join(map(str, sorted(turns)))}")
        return _of_turn(turns[number], number)
    if turn is not None:
        own = re.fullmatch(r"turn_(\d{1,6})", folder.name) or re.fullmatch(r"turn_(\d{1,6})", folder.parent.name)
        if own is None or int(own[1]) != turn:
            raise SourceError(f"{path}: there is no turn {turn}")
    if re.fullmatch(r"attempt_\d{1,6}", folder.name) and massgen.claims(folder):
        return Turn(Path(folder.path).parent, Path(folder.path), _number(folder.parent.name), 1)
    return _of_turn(folder, _number(folder.name))


def latest_log(folder: Path) -> Path:
    """The newest log in a folder of logs. Raises SourceError when there is none."""
    found = [sub.path for sub in Folder(folder).subs() if _LOG.fullmatch(sub.name)]
    if not found:
        raise SourceError(f"{folder}: no logs in it")
    return Path(max(found, key=os.path.basename))


def _of_turn(folder: Folder, number: int | None) -> Turn | None:
    attempts = dict(_numbered(folder, "attempt_"))
    if attempts:
        return Turn(Path(folder.path), Path(attempts[max(attempts)].path), number, len(attempts))
    return Turn(Path(folder.path), Path(folder.path), number, 1) if massgen.claims(folder) else None


def _numbered(folder: Folder, prefix: str) -> Iterator[tuple[int, Folder]]:
    for sub in folder.subs():
        found = re.fullmatch(rf"{prefix}(\d{{1,6}})", sub.name)
        if found is not None:
            yield int(found[1]), sub


def _number(name: str) -> int | None:
    found = re.fullmatch(r"turn_(\d{1,6})", name)
    return None if found is None else int(found[1])
