"""Execution traces: everything that is known of one agent on one task, as one JSON object, and those of a whole job together.

The fields and their meaning are those of the job reports that people keep (`task_id`, `agent_response`, `test_reward`,
`status`, ...); behind them stand those that such reports promise and leave empty: duration, cost, cached tokens, tools, findings.
Every text is redacted; a whole trace is for local use, `sanitise.py` makes it fit to be shared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spantriage import text
from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.engine import Engine
from spantriage.files import Skip, walk
from spantriage.folder import Folder
from spantriage.redact import redact
from spantriage.replay import Replay
from spantriage.sources import claimant
from spantriage.sources.talk import listed, mapping
from spantriage.trace import trace_of

__all__ = ["Job", "stamp", "summary_of"]

FORMS: Final = frozenset({"harbor", "terminal-bench"})
TEXT_CAP: Final = 1 << 20


class Job:
    """The trials below a folder. `skips` says what could not be read."""

    def __init__(self, folder: str | Path, *, task: str | None = None, tasks: str | Path | None = None) -> None:
        self.folder = str(folder)
        self.skips: list[Skip] = []
        self._task = task
        self._tasks = None if tasks is None else Folder(tasks)  # where tasks lie, for their instructions
        self._engine = Engine(configure_detectors(load_settings(), all_detectors()))

    def traces(self) -> Iterator[dict[str, object]]:
        """One trace for each trial, by name."""
        for found in walk(self.folder, _is_trial):
            if isinstance(found, Skip):
                self.skips.append(found)
            elif _is_trial(found) and self._wants(Folder(found).name):
                yield from self._trace(Folder(found, skip=self.skips.append))

    @property
    def retries(self) -> int | None:
        """How many trials the harness has tried again, of which nothing else is left; None where it does not say."""
        result = Folder(self.folder).json("result.json") if os.path.isfile(os.path.join(self.folder, "result.json")) else {}
        return text.count(mapping(result.get("stats")).get("n_retries"))

    def _wants(self, name: str) -> bool:
        return self._task is None or name == self._task or re.split(r"__|\.\d+-of-", name)[0] == self._task

    def _trace(self, folder: Folder) -> Iterator[dict[str, object]]:
        replay = Replay(self._engine)
        judged = [*replay.scan([folder.path])]
        self.skips += replay.skips
        if judged:
            told = folder.json("result.json") or folder.json("results.json")
            yield _clean(trace_of(folder, told, judged[0], self._instruction(folder, told)))

    def _instruction(self, folder: Folder, told: dict[str, object]) -> str:
        """The task's own words: out of the result, the folder of tasks that was named, else what the agent was told first."""
        task = mapping(mapping(told.get("config") or folder.json("config.json")).get("task"))
        path = task.get("path")
        parts = [part for part in path.split("/") if part not in ("", ".")] if type(path) is str else []
        at = self._tasks.sub(*parts) if self._tasks is not None and parts else None
        said = text.string(told.get("instruction")) or (at.text("instruction.md", TEXT_CAP) if at is not None else None)
        return said or _asked(folder)


def summary_of(traces: list[dict[str, object]]) -> dict[str, object]:
    """How the traces came out. Those with some reward but not the whole are `partial`, and neither passed nor failed."""
    by_status = [trace["status"] for trace in traces]
    total, passed = len(traces), by_status.count("pass")
    graded = passed + by_status.count("fail") + by_status.count("partial")
    costs = [cost for trace in traces if isinstance(cost := mapping(trace["metrics"]).get("cost_usd"), float)]
    return {
        "total": total,
        "passed": passed,
        "failed": by_status.count("fail"),
        "errors": by_status.count("error"),
        "success_rate": passed / total if total else 0.0,
        "partial": by_status.count("partial"),
        "clean_success_rate": passed / graded if graded else 0.0,  # without trials that ended in an error
        "infrastructure_errors": sum(trace.get("infrastructure") is True for trace in traces),
        "permission_denials": sum(len(listed(mapping(trace["agent_response"]).get("permission_denials"))) for trace in traces),
        "cost_usd": round(sum(costs), 6) if costs else None,
    }


def _is_trial(path: str) -> bool:
    source = claimant(path)
    return source is not None and source.name in FORMS


def _asked(folder: Folder) -> str:
    """What the agent was told first."""
    at = folder.sub("agent")
    if at is not None and at.has("trajectory.json"):
        for step in map(mapping, listed(at.json("trajectory.json").get("steps"))):
            if step.get("source") == "user":
                return text.plain(step.get("message")) or ""
    return ""


def _clean(value: dict[str, object]) -> dict[str, object]:
    found = _cleaned(value, 0)
    assert isinstance(found, dict), "an object stays one"
    return found


def _cleaned(value: object, depth: int) -> object:
    if type(value) is str:
        return "\r".join(map(text.clean, redact(value).split("\r")))  # a patch keeps its line ends
    if depth > 100:
        return None
    if isinstance(value, dict):
        return {str(key): _cleaned(inner, depth + 1) for key, inner in value.items()}
    return [_cleaned(inner, depth + 1) for inner in value] if isinstance(value, list) else value


def stamp() -> str:
    """Now, as traces carry it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
