"""Runs read and judged for a report: one in every detail, or many in their figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.engine import Engine
from spantriage.errors import SourceError
from spantriage.files import Skip
from spantriage.replay import Found, Judged, Replay, find

__all__ = ["FEW", "files_in", "load", "pick"]

FEW: Final = 8  # of so many files each run is read in every detail; of more only figures are kept


def files_in(paths: Iterable[Path], kind: str = "auto") -> int:
    """How many files, and folders that are one run, lie there."""
    return sum(isinstance(each, Found) for each in find(paths, kind))


def load(
    paths: Iterable[Path], kind: str = "auto", *, assume_failed: bool = False, config: Path | None = None
) -> tuple[list[Judged], list[Skip]]:
    """Every run in these files, judged with the settings of `config`, and what could not be read.

    Raises SourceError when nothing could, ConfigError for the settings.
    """
    replay = Replay(Engine(configure_detectors(load_settings(file=config), all_detectors())), assume_failed=assume_failed)
    runs = list(replay.scan(paths, kind))
    if not runs:
        reason = str(replay.skips[0]) if replay.skips else "no run in it"
        raise SourceError(reason if replay.skips else f"{', '.join(map(str, paths))}: {reason}")
    return runs, replay.skips


def pick(runs: list[Judged], trace_id: str) -> Judged:
    """The run whose trace id begins like this. Raises SourceError when none or several do."""
    wanted = trace_id.lower().removeprefix("0x")
    found = [run for run in runs if any(f"{each:032x}".startswith(wanted) for each in (run.judgement.run.trace_id, *run.traces))]
    if len(found) != 1:
        known = ", ".join(f"{run.judgement.run.trace_id:032x}" for run in runs[:10])
        raise SourceError(f"{len(found)} runs have a trace id that begins with {trace_id}; there are {known}")
    return found[0]
