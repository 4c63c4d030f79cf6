"""MassGen's logs as a list: when each was begun, how long it took, what it cost, whether somebody has analysed it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spantriage import text
from spantriage.folder import Folder
from spantriage.sources.massgen_log import Log
from spantriage.sources.talk import mapping

__all__ = ["LOGS", "LogEntry", "entries"]

LOGS: Final = Path(".massgen/massgen_logs")
REPORT: Final = "ANALYSIS_REPORT.md"
_NAME: Final = re.compile(r"log_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_\d+)?")
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One log: its turns with the last attempt of each; figures of all turns together."""

    path: str
    began: str  # local time, as the folder's name tells it
    turns: int
    attempts: int
    duration_s: float | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    analysed: bool  # every turn has a report
    analysed_turns: int
    question: str | None
    status: str | None  # finish_reason of the last turn
    winner: str | None
    agents: int


def entries(folder: str | Path = LOGS) -> Iterator[LogEntry]:
    """The logs in a folder, the newest first; a log's own folder gives that one."""
    at = Folder(folder)
    found = [at] if _NAME.fullmatch(at.name) else [sub for sub in at.subs() if _NAME.fullmatch(sub.name)]
    for log in sorted(found, key=lambda each: each.name, reverse=True):
        yield _entry(log)


def _entry(folder: Folder) -> LogEntry:
    turns = _numbered(folder, "turn_") or [folder]
    analysed = sum(REPORT in turn.files for turn in turns)
    attempts = [_numbered(turn, "attempt_") or [turn] for turn in turns]
    logs = [Log(tries[-1], "status.json") for tries in attempts]
    metas = [mapping(log.status.get("meta")) for log in logs]
    costs = [mapping(log.status.get("costs")) for log in logs]
    last = logs[-1]
    began = _NAME.fullmatch(folder.name)
    date = "" if began is None else "{}-{}-{}T{}:{}:{}".format(*began.groups())
    winner = mapping(last.status.get("results")).get("winner")
    return LogEntry(
        folder.path,
        date,
        len(turns),
        sum(map(len, attempts)),
        _total(text.number(meta.get("elapsed_seconds")) for meta in metas),
        _total(text.number(cost.get("total_estimated_cost")) or None for cost in costs),
        _whole(_total(text.count(cost.get("total_input_tokens")) for cost in costs)),
        _whole(_total(text.count(cost.get("total_output_tokens")) for cost in costs)),
        analysed == len(turns),
        analysed,
        text.string(metas[0].get("question")),
        text.string(last.status.get("finish_reason")),
        winner if type(winner) is str else None,
        len(last.agents),
    )


def _numbered(folder: Folder, prefix: str) -> list[Folder]:
    found = [(int(_NUMBER.findall(sub.name)[0]), sub) for sub in folder.subs() if re.fullmatch(rf"{prefix}\d{{1,6}}", sub.name)]
    return [sub for _, sub in sorted(found, key=lambda each: each[0])]


def _total(amounts: Iterator[float | int | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)
