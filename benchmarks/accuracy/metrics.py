"""What is counted on labelled runs: pass and fail, the step and the agent at fault, the span and the category.

All of it is plain counting. The official measures of span labels reward naming everything, so each stands beside one
that counts what was named for nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from labelled import Run

__all__ = ["Attribution", "Detection", "Places", "attribution", "auc", "detection", "interval", "places", "wilson"]

COUNTS: Final = 0.5  # findings, and runs, count from this score on
DRAWS: Final = 1_000

Pairs = Mapping[str, Iterable[tuple[str | None, str]]]  # trace id -> (span id, category)


@dataclass(frozen=True, slots=True)
class Detection:
    """How well failed runs are told from passed ones."""

    runs: int
    failed: int
    auc: float | None
    recall: float
    false_alarms: float
    recall_at: float  # at the score beyond which at most one passed run in twenty lies
    errors_per_pass: float  # findings of severity error or worse on a passed run


@dataclass(frozen=True, slots=True)
class Attribution:
    """How often the step and the agent at fault are named."""

    runs: int
    step: float
    agent: float
    named: float  # how many runs have an attribution at all


@dataclass(frozen=True, slots=True)
class Places:
    """How well errors are placed: `joint_accuracy` and `weighted_f1` as their authors count, F1 with what was too much."""

    runs: int
    joint_accuracy: float
    joint_f1: float
    location_f1: float
    weighted_f1: float
    per_run: float  # pairs of span and category that were named


def ratio(part: float, whole: float) -> float:
    """Zero of nothing."""
    return part / whole if whole else 0.0


def auc(bad: Sequence[float], good: Sequence[float]) -> float | None:
    """The chance that a failed run has the higher score."""
    if not bad or not good:
        return None
    return sum((one > other) + 0.5 * (one == other) for one in bad for other in good) / (len(bad) * len(good))


def detection(runs: Sequence[Run]) -> Detection:
    """Over runs labelled as passed or failed."""
    told = [run for run in runs if run.labels.outcome in ("pass", "fail")]
    bad, good = [_score(run) for run in told if run.failed], [_score(run) for run in told if not run.failed]
    allowed = int(0.05 * len(good))
    bar = sorted(good, reverse=True)[allowed] if good else 1.0
    errors = sum(each.severity in ("error", "critical") for run in told if not run.failed for each in run.said)
    return Detection(
        len(told),
        len(bad),
        auc(bad, good),
        ratio(sum(score >= COUNTS for score in bad), len(bad)),
        ratio(sum(score >= COUNTS for score in good), len(good)),
        ratio(sum(score > bar for score in bad), len(bad)),
        ratio(errors, len(good)),
    )


def attribution(runs: Sequence[Run], choose: Callable[[Run], tuple[str | None, str | None] | None] | None = None) -> Attribution:
    """Over failed runs with a primary error. `choose` gives another (span, agent) than our findings do."""
    told = [run for run in runs if run.failed and any(error.primary for error in run.labels.errors)]
    steps = agents = named = 0
    for run in told:
        truth = next(error for error in run.labels.errors if error.primary)
        found = (choose or _attributed)(run)
        if found is None:
            continue
        named += 1
        span_id, agent = found
        steps += span_id is not None and span_id == truth.span_id
        agents += agent is not None and truth.agent is not None and agent.lower() == truth.agent.lower()
    return Attribution(len(told), ratio(steps, len(told)), ratio(agents, len(told)), ratio(named, len(told)))


def places(runs: Sequence[Run], said: Pairs) -> Places:
    """Over all runs, for the (span, category) pairs that were `said` of each."""
    truth = [{(error.span_id, error.category) for error in run.labels.errors if error.category} for run in runs]
    named = [set(said.get(run.labels.trace_id, ())) for run in runs]
    both = [one & other for one, other in zip(truth, named, strict=True)]
    spans = [[{span for span, _ in pairs} for pairs in sets] for sets in (truth, named)]
    there = sum(len(one & other) for one, other in zip(*spans, strict=True))
    return Places(
        len(runs),
        ratio(sum(ratio(len(hits), len(pairs)) for hits, pairs in zip(both, truth, strict=True)), len(runs)),
        ratio(2 * sum(map(len, both)), sum(map(len, truth)) + sum(map(len, named))),
        ratio(2 * there, sum(len(each) for sets in spans for each in sets)),
        _weighted_f1([{label for _, label in pairs if label} for pairs in truth], [{label for _, label in pairs} for pairs in named]),
        ratio(sum(map(len, named)), len(runs)),
    )


def _weighted_f1(truth: Sequence[set[str]], named: Sequence[set[str]]) -> float:
    """F1 of whether a category occurs in a run, weighed by how many runs it occurs in."""
    total = support = 0.0
    for category in set().union(*truth):
        there, told = sum(category in labels for labels in truth), sum(category in labels for labels in named)
        both = sum(category in one and category in other for one, other in zip(truth, named, strict=True))
        total += there * ratio(2 * both, there + told)
        support += there
    return ratio(total, support)


def wilson(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many."""
    if not number:
        return 0.0, 0.0
    z = 1.96
    width = 1 + z * z / number
    centre = share + z * z / (2 * number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return max(0.0, (centre - half) / width), min(1.0, (centre + half) / width)


def interval(runs: Sequence[Run], figure: Callable[[Sequence[Run]], float | None]) -> tuple[float, float] | None:
    """The 95 % interval of any figure: tasks are drawn again with replacement, all runs of a task together."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.labels.group, []).append(run)
    chance, tasks = random.Random(11), list(groups.values())
    drawn = sorted(
        value
        for _ in range(DRAWS)
        for value in (figure([run for task in chance.choices(tasks, k=len(tasks)) for run in task]),)
        if value is not None
    )
    return (drawn[len(drawn) // 40], drawn[-1 - len(drawn) // 40]) if drawn else None


def _score(run: Run) -> float:
    return 0.0 if run.judged is None else run.judged.judgement.failure_score


def _attributed(run: Run) -> tuple[str | None, str | None] | None:
    found = next((each for each in run.said if each.primary), None)
    return None if found is None else (found.span_id, found.agent)
