"""How often the findings are right, on labelled runs: a table with intervals, beside baselines that know nothing.

    python benchmarks/accuracy/scoreboard.py FOLDER              prints the table
    python benchmarks/accuracy/scoreboard.py FOLDER --out FILE   also writes it

What a folder holds is said in `labelled.py`, what is counted in `metrics.py`, and what came out in docs/accuracy.md.
Sets in which every run failed are scanned with `--assume failed`. A recording without labels whose runs are those of a
labelled set is the same runs in another dialect: its findings must be the same.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from labelled import ENDINGS, Run, load, names, parts
from metrics import COUNTS, Attribution, attribution, detection, interval, places, wilson

from spantriage.taxonomy import SETS

HEAD: Final = "| set | runs | figure | value | 95 % interval | baselines |\n|---|---|---|---|---|---|\n"
GUESSES: Final = 5  # of the baseline that names spans at random, a run
Row = tuple[str, int, str, str, str, str]


def rows_of(name: str, runs: Sequence[Run]) -> Iterator[Row]:
    """All figures of one set that its labels allow."""
    outcomes = {run.labels.outcome for run in runs}
    if {"pass", "fail"} <= outcomes:
        yield from _detection_rows(name, runs)
    if any(error.primary for run in runs if run.failed for error in run.labels.errors):
        yield from _attribution_rows(name, runs)
    taxonomy = _taxonomy(runs)
    if taxonomy is not None:
        for subset in sorted({run.labels.subset for run in runs}):
            chosen = [run for run in runs if run.labels.subset == subset]
            yield from _place_rows(f"{name} {subset}".strip(), chosen, taxonomy)


def _detection_rows(name: str, runs: Sequence[Run]) -> Iterator[Row]:
    told = detection(runs)
    passed = told.runs - told.failed
    share = f"{told.failed} of {told.runs} failed"
    yield name, told.runs, "AUC of `failure_score`", _figure(told.auc), _span(interval(runs, lambda some: detection(some).auc)), ".5"
    yield name, told.failed, "recall, flagged from .5 on", _figure(told.recall), _span(wilson(told.recall, told.failed)), share
    yield name, passed, "false alarms", _figure(told.false_alarms), _span(wilson(told.false_alarms, passed)), ""
    yield name, told.failed, "recall at ≤ 5 % false alarms", _figure(told.recall_at), _span(wilson(told.recall_at, told.failed)), ""
    yield name, passed, "error-severity findings a passed run", _figure(told.errors_per_pass), "", ""


def _attribution_rows(name: str, runs: Sequence[Run]) -> Iterator[Row]:
    told = attribution(runs)
    by_name: dict[str, Attribution] = {rule: attribution(runs, choose) for rule, choose in _positions(runs).items()}
    for figure, value, attribute in (("exact step", told.step, "step"), ("agent", told.agent, "agent")):
        beside = ", ".join(f"{rule} {_figure(getattr(found, attribute))}" for rule, found in by_name.items())
        yield name, told.runs, figure, _figure(value), _span(wilson(value, told.runs)), beside
    for subset in sorted({run.labels.subset for run in runs} - {""}):
        part = attribution([run for run in runs if run.labels.subset == subset])
        if 0 < part.runs < told.runs:
            yield f"{name} {subset}", part.runs, "exact step · agent", f"{_figure(part.step)} · {_figure(part.agent)}", "", ""


def _place_rows(name: str, runs: Sequence[Run], taxonomy: str) -> Iterator[Row]:
    labels = parts(taxonomy)
    said = {
        run.labels.trace_id: {(each.span_id, label) for each in run.said if each.score >= COUNTS for label in labels.get(each.code, ())}
        for run in runs
    }
    ours, flood, guess = places(runs, said), places(runs, _flood(runs)), places(runs, _guess(runs))
    for figure, attribute in (
        ("joint accuracy", "joint_accuracy"), ("joint F1", "joint_f1"), ("location F1", "location_f1"), ("weighted F1", "weighted_f1"),
        ("labels named a run", "per_run"),
    ):  # fmt: skip
        spread = interval(runs, lambda some, attribute=attribute: getattr(places(some, said), attribute))  # type: ignore[misc]  # a bound default
        beside = ", ".join(f"{rule} {_figure(getattr(found, attribute))}" for rule, found in (("flooding", flood), ("random", guess)))
        yield name, len(runs), figure, _figure(getattr(ours, attribute)), _span(spread), beside


def _taxonomy(runs: Sequence[Run]) -> str | None:
    """Whose labels these are: the taxonomy of the crosswalk that knows most of them, and at least half, on spans."""
    used = {error.category for run in runs for error in run.labels.errors if error.category and error.span_id and not error.primary}
    known = {name: len(used & {label for labels in parts(name).values() for label in labels}) for name in SETS}
    best = max(known, key=lambda name: known[name])
    return best if used and 2 * known[best] >= len(used) else None


def _positions(runs: Sequence[Run]) -> dict[str, Callable[[Run], tuple[str | None, str | None] | None]]:
    """Rules that look at nothing but where a step stands. The majority step is that of the set's other tasks."""
    chance = random.Random(7)
    counts: dict[str, Counter[tuple[str, int]]] = {}
    for run in runs:
        for error in run.labels.errors:
            if error.primary and error.span_id in run.labels.steps:
                seat = (run.labels.subset, run.labels.steps.index(error.span_id))
                counts.setdefault(run.labels.group, Counter())[seat] += 1

    def at(run: Run, index: int) -> tuple[str | None, str | None] | None:
        steps, agents = run.labels.steps, run.labels.step_agents
        if not steps:
            return None
        index = min(index, len(steps) - 1)
        return steps[index], agents[index] if index < len(agents) else _agent_at(run, steps[index])

    def majority(run: Run) -> tuple[str | None, str | None] | None:
        others: Counter[int] = Counter()
        for group, seats in counts.items():
            for (subset, index), number in seats.items():
                if group != run.labels.group and subset == run.labels.subset:
                    others[index] += number
        return at(run, min(others, key=lambda index: (-others[index], index), default=1))

    return {
        "second step": lambda run: at(run, 1),
        "majority step": majority,
        "random step": lambda run: at(run, chance.randrange(max(1, len(run.labels.steps)))),
    }


def _agent_at(run: Run, span_id: str | None) -> str | None:
    step = None if run.judged is None or span_id is None else run.judged.judgement.settled.steps.get(int(span_id, 16))
    return None if step is None else step.agent


def _spans(run: Run) -> list[str]:
    if run.judged is None:
        return []
    steps = [step for step in run.judged.judgement.settled.sequence if not step.implied]
    calls = [step for step in steps if step.kind in ("model", "tool")]
    return [f"{step.span_id:016x}" for step in calls or steps]


def _categories(runs: Sequence[Run]) -> list[str]:
    return sorted({error.category for run in runs for error in run.labels.errors if error.category})


def _flood(runs: Sequence[Run]) -> dict[str, set[tuple[str | None, str]]]:
    """Every model and tool span with every category that occurs in the set."""
    categories = _categories(runs)
    return {run.labels.trace_id: {(span, category) for span in _spans(run) for category in categories} for run in runs}


def _guess(runs: Sequence[Run]) -> dict[str, set[tuple[str | None, str]]]:
    """A few spans a run, with categories as often as they occur."""
    chance = random.Random(7)
    pool = [error.category for run in runs for error in run.labels.errors if error.category]
    found: dict[str, set[tuple[str | None, str]]] = {}
    for run in runs:
        spans = _spans(run)
        found[run.labels.trace_id] = {(chance.choice(spans), chance.choice(pool)) for _ in range(GUESSES)} if spans and pool else set()
    return found


def _twins(folder: Path, name: str, runs: Sequence[Run]) -> Iterator[Row]:
    """Recordings of the same runs in another dialect: how many findings of either are not in both."""
    labelled = set(names(folder))
    ours = {(run.labels.trace_id, each.span_id, each.code) for run in runs for each in run.said}
    stem, _, rest = name.partition(".")
    recordings = {path.name.removesuffix(ending) for ending in ENDINGS for path in folder.glob(f"{stem}.*{ending}")}
    for other in sorted(recordings - labelled):
        if other.startswith(f"{stem}.") and other.endswith(rest) and not other.endswith(".labels"):
            twin = load(folder, name, recording=other)
            theirs = {(run.labels.trace_id, each.span_id, each.code) for run in twin for each in run.said}
            yield f"{name} = {other}", len(runs), "findings that are not in both", str(len(ours ^ theirs)), "", f"{len(ours)} in all"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0") if value < 1 else f"{value:.2f}"


def _span(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{_figure(bounds[0])} – {_figure(bounds[1])}"


def main() -> None:
    """Scan every set, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="write the table here too")
    asked = parser.parse_args()
    if not names(asked.folder):
        raise SystemExit(f"{asked.folder} holds no labelled set (NAME.labels.jsonl beside NAME.jsonl)")
    rows: list[Row] = []
    number, cpu_s = 0, 0.0
    aucs: list[float] = []
    for name in names(asked.folder):
        began = time.process_time()
        runs = load(asked.folder, name)
        cpu_s += time.process_time() - began
        number += len(runs)
        rows += [*rows_of(name, runs), *_twins(asked.folder, name, runs)]
        found = detection(runs).auc
        aucs += [] if found is None else [found]
    if aucs:
        rows.append(("all with passed and failed runs", len(aucs), "macro AUC", _figure(sum(aucs) / len(aucs)), "", ".5"))
    rows.append(("all", number, "CPU time a run", f"{1_000 * cpu_s / number:.1f} ms", "", ""))
    table = HEAD + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)
    print(table, end="")
    if asked.out is not None:
        asked.out.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
