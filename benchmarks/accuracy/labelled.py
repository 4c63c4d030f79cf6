"""Labelled sets as they lie in a folder: `NAME.labels.jsonl` beside `NAME.jsonl`, plain or compressed.

A line of labels: `trace_id`, `outcome` ("pass", "fail" or null), `errors` (each with `span_id`, `agent`, `category`,
`primary`), and if they are known `subset`, `group` (the task, so that repeats of one can be kept together), `steps`
(the span ids in order) and `step_agents`. docs/accuracy.md says how the public sets are brought into this form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.replay import Judged, Replay
from spantriage.taxonomy import crosswalk

__all__ = ["Error", "Labels", "Run", "Said", "load", "names", "parts"]

SUFFIX: Final = ".labels.jsonl"
ENDINGS: Final = (".jsonl.xz", ".jsonl.zst", ".jsonl.gz", ".jsonl")


@dataclass(frozen=True, slots=True)
class Error:
    """One error that somebody has labelled."""

    span_id: str | None
    agent: str | None
    category: str | None
    primary: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of one run."""

    trace_id: str
    outcome: str | None
    errors: tuple[Error, ...]
    subset: str
    group: str
    steps: tuple[str | None, ...]
    step_agents: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One finding, as far as it is scored."""

    span_id: str
    agent: str | None
    code: str
    score: float
    primary: bool
    severity: str


@dataclass(slots=True)
class Run:
    """A labelled run and what was found in it."""

    labels: Labels
    judged: Judged | None = None
    said: list[Said] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it is labelled as failed."""
        return self.labels.outcome == "fail"


def names(folder: Path) -> list[str]:
    """The labelled sets in a folder."""
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def load(folder: Path, name: str, *, assume_failed: bool | None = None, recording: str | None = None) -> list[Run]:
    """Scan a set and hold its findings beside its labels. Sets in which every run failed are scanned as such."""
    runs = {labels.trace_id: Run(labels) for labels in _labels(folder / f"{name}{SUFFIX}")}
    outcomes = {run.labels.outcome for run in runs.values()}
    replay = Replay(Engine(select(all_detectors())), assume_failed=outcomes == {"fail"} if assume_failed is None else assume_failed)
    path = next(folder / f"{recording or name}{ending}" for ending in ENDINGS if (folder / f"{recording or name}{ending}").exists())
    for judged in replay.scan([path]):
        run = runs.get(f"{judged.judgement.run.trace_id:032x}")
        if run is not None:
            run.judged = judged
            run.said = [Said(f.span_id, f.agent, f.code, f.score, f.primary, f.severity) for f in judged.findings]
    return list(runs.values())


def parts(taxonomy: str) -> dict[str, tuple[str, ...]]:
    """Our codes -> the labels of a taxonomy, as the crosswalk has them."""
    found: dict[str, tuple[str, ...]] = {}
    for code, entry in crosswalk().items():
        labels = entry[taxonomy]
        found[code] = tuple(labels) if isinstance(labels, list) else ()
    return found


def _labels(path: Path) -> Iterator[Labels]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            yield Labels(
                trace_id=row["trace_id"],
                outcome=row.get("outcome"),
                errors=tuple(_error(each) for each in row.get("errors") or ()),
                subset=str(row.get("subset") or ""),
                group=_group(row),
                steps=tuple(row.get("steps") or ()),
                step_agents=tuple(row.get("step_agents") or ()),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{path}:{number}: not a line of labels: {error}") from error


def _error(row: dict[str, Any]) -> Error:
    return Error(row.get("span_id"), row.get("agent"), row.get("category"), bool(row.get("primary")))


def _group(row: dict[str, Any]) -> str:
    """The task: as labelled, else what stands before the number of the try in the source's id."""
    return str(row.get("group") or str(row.get("source_id") or row["trace_id"]).split("/")[0])
