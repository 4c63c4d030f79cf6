"""What a job teaches, kept in SQLite: which failures come back, which tools go with success, what a variant has changed.

A pattern is a sentence with its numbers: on how many trials it rests, how many of them passed. The next run's
instructions can be given those that rest on enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from spantriage.comparison import compare, wilson
from spantriage.detectors import named
from spantriage.errors import SinkError, SourceError
from spantriage.sources.talk import listed, mapping
from spantriage.text import clean, clip
from spantriage.traces import stamp

__all__ = ["Lesson", "learn", "read", "store"]

SCHEMA: Final = """
create table if not exists learned_patterns (
    id text primary key,
    kind text not null,
    subject text not null,
    pattern text not null,
    advice text not null,
    trials integer not null,
    passed integer not null,
    success_rate real not null,
    rate_low real not null,
    rate_high real not null,
    tasks text not null,
    source text not null,
    created_at text not null,
    updated_at text not null
);
create index if not exists learned_patterns_by_kind on learned_patterns (kind, trials desc);
"""
TASKS: Final = 20  # named with a pattern
MINIMUM: Final = 2  # trials that a pattern must rest on


@dataclass(frozen=True, slots=True)
class Lesson:
    """One pattern. `passed` of `trials` trials that it holds for have passed."""

    kind: str  # failure, tool or comparison
    subject: str  # a detector's code, a cause, a tool
    pattern: str
    advice: str
    trials: int
    passed: int
    tasks: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same subject, so that a later job replaces what an earlier one has taught."""
        return blake2b(f"{self.kind}/{self.subject}".encode("utf-8", "replace"), digest_size=8).hexdigest()


def learn(traces: list[dict[str, object]], baseline: list[dict[str, object]] | None = None) -> Iterator[Lesson]:
    """The patterns of a job's traces; held against a baseline's where one is given."""
    yield from _failures(traces)
    yield from _tools(traces)
    if baseline is not None:
        yield from _comparison(baseline, traces)


def store(lessons: Iterable[Lesson], path: str | Path, source: str) -> int:
    """Write patterns into the database, each once; returns how many. Raises SinkError when it cannot be written."""
    now, number = stamp(), 0
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(SCHEMA)
            for lesson in lessons:
                number += 1
                low, high = wilson(lesson.passed, lesson.trials)
                rate = lesson.passed / lesson.trials if lesson.trials else 0.0
                database.execute(
                    "insert into learned_patterns values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set "
                    "pattern = excluded.pattern, advice = excluded.advice, trials = excluded.trials, passed = excluded.passed, "
                    "success_rate = excluded.success_rate, rate_low = excluded.rate_low, rate_high = excluded.rate_high, "
                    "tasks = excluded.tasks, source = excluded.source, updated_at = excluded.updated_at",
                    (
                        lesson.id, lesson.kind, _safe(lesson.subject), _safe(lesson.pattern), _safe(lesson.advice), lesson.trials,
                        lesson.passed, round(rate, 4), round(low, 4), round(high, 4), _safe(", ".join(lesson.tasks)), _safe(source),
                        now, now,
                    ),
                )  # fmt: skip
    except (sqlite3.Error, OSError) as error:
        raise SinkError(f"{path}: {error}") from error
    return number


def read(path: str | Path, *, at_least: int = MINIMUM) -> list[Lesson]:
    """Stored patterns that rest on so many trials, the best founded first. Raises SourceError when there are none to read."""
    if not Path(path).is_file():
        raise SourceError(f"{path}: no such file")
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "select kind, subject, pattern, advice, trials, passed, tasks from learned_patterns where trials >= ? "
                "order by trials desc, kind, subject",
                (at_least,),
            ).fetchall()
    except sqlite3.Error as error:
        raise SourceError(f"{path}: {error}") from error
    return [Lesson(str(r[0]), str(r[1]), str(r[2]), str(r[3]), int(r[4]), int(r[5]), tuple(str(r[6]).split(", "))) for r in rows]


def _failures(traces: list[dict[str, object]]) -> Iterator[Lesson]:
    """Findings that were met in trials, and causes that ended them."""
    met: dict[str, list[dict[str, object]]] = {}
    for trace in traces:
        codes = {str(mapping(finding).get("code")) for finding in listed(trace.get("findings"))}
        for subject in codes | ({f"cause {trace['cause']}"} if trace.get("cause") else set()):
            met.setdefault(subject, []).append(trace)
    for subject, where in sorted(met.items()):
        if len(where) < MINIMUM:
            continue
        passed = _passed(where)
        detector = named(subject)
        what = f"{subject} ({detector().title.rstrip('.')})" if detector is not None else subject
        advice = detector.actionable if detector is not None else "Look at the machines before the agent."
        yield Lesson("failure", subject, f"{what}: met in {len(where)} of {len(traces)} trials, {passed} of them passed",
                     advice, len(where), passed, _names(where))  # fmt: skip


def _tools(traces: list[dict[str, object]]) -> Iterator[Lesson]:
    """Tools that were used in some trials and not in others, and how those came out."""
    used: dict[str, list[dict[str, object]]] = {}
    for trace in traces:
        for tool in mapping(mapping(trace.get("metrics")).get("tools")):
            used.setdefault(tool, []).append(trace)
    for tool, where in sorted(used.items()):
        if len(where) < MINIMUM:
            continue
        others = [trace for trace in traces if not any(trace is each for each in where)]
        passed = _passed(where)
        said = f"Trials that used {clip(tool, 80)} passed {passed} of {len(where)}"
        said += f"; those without it {_passed(others)} of {len(others)}" if others else ""
        better = bool(others) and passed / len(where) > _passed(others) / len(others)
        advice = f"Use {clip(tool, 80)} where it applies." if better else "none"
        yield Lesson("tool", tool, said, advice, len(where), passed, _names(where))


def _comparison(baseline: list[dict[str, object]], variant: list[dict[str, object]]) -> Iterator[Lesson]:
    found = compare(baseline, variant)
    one, two, delta = mapping(found["baseline"]), mapping(found["variant"]), mapping(found["delta"])
    if not one.get("total") or not two.get("total"):
        return
    low, high = listed(delta.get("interval_95"))[:2]
    rates = f"from {float(str(one['success_rate'])):.0%} to {float(str(two['success_rate'])):.0%}"
    said = f"The variant changes the success rate {rates} on {two['total']} trials (difference between {low:+} and {high:+})"
    sure = float(str(low)) > 0 or float(str(high)) < 0
    advice = "none" if not sure else "Keep the variant." if float(str(low)) > 0 else "Go back to the baseline."
    yield Lesson("comparison", "variant", said, advice, int(str(two["total"])), int(str(two["passed"])))


def _passed(traces: list[dict[str, object]]) -> int:
    return sum(trace.get("status") == "pass" for trace in traces)


def _names(traces: list[dict[str, object]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(trace.get("task_id") or "").rsplit("__", 1)[0] for trace in traces))[:TASKS]


def _safe(said: str) -> str:
    return clean(clip(said, 1_000))
