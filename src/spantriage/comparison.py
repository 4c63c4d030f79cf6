"""Two sets of traces of the same tasks held against each other: what changed for each task, and by how much in all.

Rates of success come with 95 % intervals after Wilson; their difference with Newcombe's, which for tasks tried once on
each side is the one for pairs. With few tasks the interval is wide, and a difference whose interval holds 0 proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from spantriage.sources.talk import listed, mapping

__all__ = ["compare", "difference", "wilson"]

Z: Final = 1.959963984540054  # of 95 %
WORDS: Final = {"pass": "PASSED", "fail": "FAILED", "error": "ERROR", "partial": "PARTIAL"}


def compare(baseline: Iterable[dict[str, object]], variant: Iterable[dict[str, object]]) -> dict[str, object]:
    """Each task's transition, the rates, their difference; tasks that only one side has are listed, and counted nowhere else."""
    before, after = _by_task(baseline), _by_task(variant)
    common = sorted(before.keys() & after.keys())
    tasks = [_task(name, before[name], after[name]) for name in common]
    pairs = [(_passed(before[name]), _passed(after[name])) for name in common]
    is_paired = all(len(before[name]) == len(after[name]) == 1 for name in common)
    one = [trace for name in common for trace in before[name]]
    two = [trace for name in common for trace in after[name]]
    return {
        "tasks": tasks,
        "transitions": _count(str(task["transition"]) for task in tasks if task["changed"]),
        "baseline": _side(one),
        "variant": _side(two),
        "delta": _delta(one, two, pairs if is_paired else None),
        "only_in_baseline": sorted(before.keys() - after.keys()),
        "only_in_variant": sorted(after.keys() - before.keys()),
    }


def wilson(passed: int, total: int) -> tuple[float, float]:
    """The interval of a rate; (0, 1) where nothing was tried."""
    if not total:
        return 0.0, 1.0
    rate, square = passed / total, Z * Z
    middle = (rate + square / (2 * total)) / (1 + square / total)
    half = Z * math.sqrt(rate * (1 - rate) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(one: tuple[int, int], two: tuple[int, int], pairs: list[tuple[bool, bool]] | None = None) -> tuple[float, float]:
    """The interval of `two`'s rate minus `one`'s, each (passed, total); of pairs, where each was tried once by both."""
    if not one[1] or not two[1]:
        return -1.0, 1.0
    rate_one, rate_two = one[0] / one[1], two[0] / two[1]
    (low_one, high_one), (low_two, high_two) = wilson(*one), wilson(*two)
    tie = _correlation(pairs) if pairs else 0.0
    delta = rate_two - rate_one
    down_two, up_one = rate_two - low_two, high_one - rate_one
    up_two, down_one = high_two - rate_two, rate_one - low_one
    low = math.sqrt(max(0.0, down_two**2 - 2 * tie * down_two * up_one + up_one**2))
    high = math.sqrt(max(0.0, up_two**2 - 2 * tie * up_two * down_one + down_one**2))
    return max(-1.0, delta - low), min(1.0, delta + high)


def _correlation(pairs: list[tuple[bool, bool]]) -> float:
    """How far both sides pass the same tasks, corrected for small numbers as Newcombe has it."""
    both, first = pairs.count((True, True)), pairs.count((True, False))
    second, neither = pairs.count((False, True)), pairs.count((False, False))
    across = both * neither - first * second
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not margins:
        return 0.0
    return (max(across - len(pairs) / 2, 0.0) if across > 0 else across) / math.sqrt(margins)


def _chance(pairs: list[tuple[bool, bool]]) -> float:
    """McNemar's exact test: how likely so uneven a change is if nothing but chance is at work."""
    worse, better = pairs.count((True, False)), pairs.count((False, True))
    changed = worse + better
    tail = sum(math.comb(changed, k) for k in range(min(worse, better) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def _delta(one: list[dict[str, object]], two: list[dict[str, object]], pairs: list[tuple[bool, bool]] | None) -> dict[str, object]:
    first, second = (sum(trace["status"] == "pass" for trace in side) for side in (one, two))
    low, high = difference((first, len(one)), (second, len(two)), pairs)
    found: dict[str, object] = {
        "success_rate": round(second / len(two) - first / len(one), 4) if one and two else None,
        "interval_95": [round(low, 4), round(high, 4)],
        "paired": pairs is not None,
        "p_value": round(_chance(pairs), 4) if pairs else None,
    }
    for name, amounts in _AMOUNTS.items():
        before, after = (_median(amounts(side)) for side in (one, two))
        found[name] = None if before is None or after is None else round(after - before, 6)
    return found


def _side(traces: list[dict[str, object]]) -> dict[str, object]:
    statuses = [trace["status"] for trace in traces]
    passed, total = statuses.count("pass"), len(traces)
    graded = total - statuses.count("error")
    return {
        "total": total,
        "passed": passed,
        "failed": statuses.count("fail"),
        "partial": statuses.count("partial"),
        "errors": statuses.count("error"),
        "success_rate": round(passed / total, 4) if total else None,
        "interval_95": [round(bound, 4) for bound in wilson(passed, total)],
        "clean_success_rate": round(passed / graded, 4) if graded else None,
        "infrastructure_errors": sum(trace.get("infrastructure") is True for trace in traces),
        **{name: _median(amounts(traces)) for name, amounts in _AMOUNTS.items()},
    }


def _task(name: str, before: list[dict[str, object]], after: list[dict[str, object]]) -> dict[str, object]:
    one, two = _word(before), _word(after)
    return {
        "task": name,
        "baseline": one,
        "variant": two,
        "transition": f"{one} → {two}",
        "changed": one != two,
        "causes": sorted({str(trace["cause"]) for trace in (*before, *after) if trace.get("cause")}),
    }


def _word(traces: list[dict[str, object]]) -> str:
    """How a task came out: of several trials the one outcome that they share, else how many passed."""
    statuses = {str(trace["status"]) for trace in traces}
    if len(statuses) == 1:
        return WORDS.get(statuses.pop(), "UNKNOWN")
    return f"{sum(trace['status'] == 'pass' for trace in traces)} OF {len(traces)} PASSED"


def _passed(traces: list[dict[str, object]]) -> bool:
    return all(trace["status"] == "pass" for trace in traces)


def _by_task(traces: Iterable[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for trace in traces:
        name = str(trace.get("task_id") or "").rsplit("__", 1)[0].partition(".1-of-")[0]
        found.setdefault(name, []).append(trace)
    return found


def _count(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _of_metrics(traces: list[dict[str, object]], *path: str) -> list[float]:
    amounts: list[float] = []
    for trace in traces:
        value: object = trace.get("metrics")
        for key in path:
            value = mapping(value).get(key)
        if isinstance(value, (int, float)):
            amounts.append(float(value))
    return amounts


def _median(amounts: list[float]) -> float | None:
    ordered = sorted(amounts)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return round(ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2, 6)


_AMOUNTS: Final[dict[str, Callable[[list[dict[str, object]]], list[float]]]] = {
    "median_duration_s": lambda traces: _of_metrics(traces, "duration_s"),
    "median_cost_usd": lambda traces: _of_metrics(traces, "cost_usd"),
    "median_tokens": lambda traces: _of_metrics(traces, "tokens", "total"),
    "denials": lambda traces: [float(len(listed(mapping(trace.get("agent_response")).get("permission_denials")))) for trace in traces],
}
