"""Findings to write: what three detectors say of their own examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from spantriage.detectors import named
from spantriage.detectors.example import build
from spantriage.engine import Engine
from spantriage.finding import Finding, make_finding

CODES = ("tool.error", "tool.silent_failure", "loop.repeated_call")


@cache
def judged() -> tuple[Finding, ...]:
    """At least one finding of each detector."""
    detectors = [detector for code in CODES if (detector := named(code)) is not None]
    engine = Engine(tuple(detector() for detector in detectors))
    runs = [engine.judge(build(example)) for detector in detectors for example in detector.fires_on]
    return tuple(make_finding(verdict, primary=verdict is run.primary) for run in runs for verdict in run.verdicts)


def finding(**changes: object) -> Finding:
    """One finding, with other values where given; they are not checked, so that broken ones can be made too."""
    return judged()[0].model_copy(update=changes)


def batch(number: int, start: int = 0) -> Sequence[Finding]:
    """So many findings with ids of their own."""
    found = judged()
    return [found[i % len(found)].model_copy(update={"finding_id": f"{i:016x}"}) for i in range(start, start + number)]
