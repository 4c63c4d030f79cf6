"""Fit the table of `spantriage.odds` on labelled runs, and say how well it does on runs that it was not fitted on.

    python benchmarks/accuracy/fit_odds.py FOLDER            prints the table and its figures
    python benchmarks/accuracy/fit_odds.py FOLDER --write    also writes src/spantriage/odds.json

A logistic regression with a constant for each set, so that only differences between runs of one set count and not which
set has more failures. Each set counts the same, and in it the passed and the failed runs. The constants are dropped
and one is put in their place, by which a fifth of all runs fails. Bounds keep the signs that the reasons give, and keep
any one thing but a claim or a long conversation from flagging a run: labelled sets hold long tasks, and most runs are
short.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labelled import load, names
from metrics import auc

from spantriage.cause import score_of, severity_of
from spantriage.odds import FEATURES, features_of

TABLE: Final = Path(__file__).parents[2] / "src/spantriage/odds.json"
BOUNDS: Final = {"claim": (0.0, 6.0), "long_run": (0.0, 1.0), "long_talk": (0.0, 3.0), "brief": (0.0, 1.0), "declined": (-2.0, 0.0)}
PASSING: Final = 0.8  # of all runs, where the table is used
FOLDS: Final = 5
ROUNDS: Final = 2_000
STEP: Final = 1.0
RIDGE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Row:
    """One run: what is seen of it, and how it ended."""

    seen: dict[str, float]
    failed: bool
    name: str  # of the set
    group: str  # the task


def rows_of(folder: Path) -> list[Row]:
    """All runs of sets that hold both passed and failed ones."""
    found = []
    for name in names(folder):
        runs = [run for run in load(folder, name) if run.labels.outcome in ("pass", "fail") and run.judged is not None]
        if len({run.failed for run in runs}) < 2:
            continue
        for run in runs:
            assert run.judged is not None
            judgement = run.judged.judgement
            claims = [v for v in judgement.verdicts if v.detector.kind == "outcome" and severity_of(v) in ("error", "critical")]
            claim = max((score_of(v) for v in claims if score_of(v) >= 0.5), default=0.0)
            found.append(Row(features_of(claim, judgement.settled), run.failed, name, f"{name}:{run.labels.group}"))
    return found


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Weights within their bounds, by projected gradient descent."""
    sizes = Counter((row.name, row.failed) for row in rows)
    weights = dict.fromkeys(FEATURES, 0.0)
    constants = dict.fromkeys({row.name for row in rows}, 0.0)
    for _ in range(ROUNDS):
        slope = {name: RIDGE * weights[name] for name in FEATURES}
        lift = dict.fromkeys(constants, 0.0)
        for row in rows:
            share = 0.5 / (len(constants) * sizes[row.name, row.failed])
            miss = share * (_chance(constants[row.name] + _dot(weights, row)) - row.failed)
            lift[row.name] += miss
            for name in FEATURES:
                slope[name] += miss * row.seen[name]
        for name in FEATURES:
            low, high = BOUNDS[name]
            weights[name] = min(high, max(low, weights[name] - STEP * slope[name] * len(constants)))
        constants = {name: constants[name] - STEP * lift[name] * len(constants) for name in constants}
    return {"intercept": _constant(rows, weights, sizes), **weights}


def _constant(rows: Sequence[Row], weights: dict[str, float], sizes: Counter[tuple[str, bool]]) -> float:
    """By which the mean chance is the share of runs that fail, all sets counting the same."""
    low, high = -20.0, 20.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        mean = sum(
            (1 - PASSING if row.failed else PASSING) / sizes[row.name, row.failed] * _chance(middle + _dot(weights, row)) for row in rows
        ) / len({row.name for row in rows})
        low, high = (middle, high) if mean < 1 - PASSING else (low, middle)
    return low


def _dot(weights: dict[str, float], row: Row) -> float:
    return sum(weights[name] * row.seen[name] for name in FEATURES)


def _chance(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


def report(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """AUC, recall and false alarms of each set: fitted on all, on the other tasks, on the other sets."""
    tasks = sorted({row.group for row in rows})
    fold = {task: number % FOLDS for number, task in enumerate(tasks)}
    by_fold = [fit([row for row in rows if fold[row.group] != number]) for number in range(FOLDS)]
    sets = sorted({row.name for row in rows})
    by_set = {name: fit([row for row in rows if row.name != name]) for name in sets}
    whole = fit(rows)
    ways = {
        "fitted on all": [whole for _ in rows],
        "fitted on other tasks": [by_fold[fold[row.group]] for row in rows],
        "fitted on other sets": [by_set[row.name] for row in rows],
    }
    found: dict[str, dict[str, dict[str, float]]] = {}
    for way, tables in ways.items():
        found[way] = {}
        for name in sets:
            pairs = [(table, row) for table, row in zip(tables, rows, strict=True) if row.name == name]
            scored = [(_chance(table["intercept"] + _dot(table, row)), row.failed) for table, row in pairs]
            bad, good = [s for s, failed in scored if failed], [s for s, failed in scored if not failed]
            flags = [sum(score >= 0.5 for score in part) / len(part) for part in (bad, good)]
            found[way][name] = {"auc": round(auc(bad, good) or 0.0, 3), "recall": round(flags[0], 3), "false_alarms": round(flags[1], 3)}
    return found


def main() -> None:
    """Fit, tell, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="write src/spantriage/odds.json")
    asked = parser.parse_args()
    rows = rows_of(asked.folder)
    if not rows:
        raise SystemExit(f"{asked.folder} holds no labelled set with passed and failed runs")
    weights = {name: round(value, 2) for name, value in fit(rows).items()}
    figures = report(rows)
    sets = Counter((row.name, "fail" if row.failed else "pass") for row in rows)
    told = {
        "made_by": "benchmarks/accuracy/fit_odds.py",
        "fitted_on": {name: {end: sets[name, end] for end in ("pass", "fail")} for name in sorted({row.name for row in rows})},
        "share_of_runs_that_pass": PASSING,
        "bounds": BOUNDS,
        "figures": figures,
    }
    print(json.dumps({"weights": weights, **told}, indent=1))
    for way, by_name in figures.items():
        print(f"{way}: macro AUC {sum(each['auc'] for each in by_name.values()) / len(by_name):.3f}")
    if asked.write:
        TABLE.write_text(json.dumps({"weights": weights, "provenance": told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
