"""How a trial was graded: its reward and its tests, from the result or from the verifier's files."""

from __future__ import annotations

import math
from typing import Final

from spantriage import text
from spantriage.files import Skip
from spantriage.folder import Folder
from spantriage.sources.talk import listed, mapping

__all__ = ["grade", "reward_of", "tests_of"]

SHOWN: Final = 20  # failed tests that are named


def reward_of(told: dict[str, object], verifier: Folder | None) -> float | None:
    """What the tests gave: of several rewards the one called so, else their mean; from the result, else the verifier's files."""
    rewards = mapping(mapping(told.get("verifier_result")).get("rewards"))
    if not rewards and verifier is not None:
        raw = (verifier.text("reward.txt", 4_096) or "").strip()
        try:
            if raw and math.isfinite(reward := float(raw)):
                return reward
        except ValueError:
            verifier.skip(Skip(verifier.file("reward.txt"), 1, "not a number"))
        rewards = verifier.json("reward.json") if verifier.has("reward.json") else {}
    amounts = {name: float(value) for name, value in rewards.items() if isinstance(value, (int, float)) and math.isfinite(value)}
    return amounts.get("reward", sum(amounts.values()) / len(amounts) if amounts else None)


def grade(reward: float | None, exception: str | None) -> str | None:
    """How a trial came out: an exception is an error whatever was graded; then 1 is passed, and anything less is not."""
    if exception is not None:
        return "error"
    return None if reward is None else "passed" if reward >= 1 else "failed"


def tests_of(verifier: Folder | None) -> tuple[int, int, list[str]] | None:
    """Tests run, tests failed, and the names of those that failed, as `ctrf.json` tells."""
    results = mapping(verifier.json("ctrf.json").get("results")) if verifier is not None and verifier.has("ctrf.json") else {}
    tests = [mapping(each) for each in listed(results.get("tests"))]
    if not tests:
        return None
    failed = [text.name(test.get("name")) or "a test" for test in tests if test.get("status") == "failed"]
    return len(tests), len(failed), failed[:SHOWN]
