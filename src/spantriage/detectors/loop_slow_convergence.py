"""loop.slow_convergence"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.calls import Calls, calls_of
from spantriage.deeds import deed_of, passed
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import answers, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


def _attempts(times: int, result: str = "2 failed, 3 passed") -> Example:
    return tuple(
        step
        for n in range(times)
        for step in (calls("edit_file", f'{{"path": "a.py", "line": {n}}}', "ok"), calls("run_tests", "{}", result))
    )


@dataclass(frozen=True, slots=True)
class SlowConvergence(Detector):
    """An agent tries again and again, and what it checks its work with goes on failing.

    ## Why it matters
    A good agent changes its approach after two or three failures. One that has failed six times in a row on the same
    check is mostly repairing what is not broken, and each attempt is dearer than the one before.

    ## What to do
    Stop the agent after a few failed attempts and make it say what it has learned, or hand over. Give it smaller steps,
    each with a check of its own.

    ## When it is wrong
    Checks that fail for reasons of their own (no network, a missing package) look the same. Work that is cut up into
    many parts may fail many times while it advances. Where a check passed in the end the finding is "info".
    """

    code = "loop.slow_convergence"
    category = "model_logic"
    subcategory = "wrong_strategy"
    kind = "outcome"
    score = 0.4
    actionable = "Stop after a few failed attempts, and let the agent say what it has learned before it goes on."
    tier = "run"

    iterations: int = 5
    """How many attempts may fail one after the other; with the next it is slow."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Count, for each invocation of each agent, attempts that were followed by a failed check, up to the first that passed."""
        for made in calls_of(settled):
            for failed, success in _rows(made):
                if len(failed) > self.iterations:
                    yield self._speak(failed, success, made)

    def _speak(self, failed: list[Step], success: Step | None, made: Calls) -> Verdict:
        agent, times = failed[0].agent, len(failed)
        end = "none passed" if success is None else "then one passed"
        return self.found(
            failed[-1],
            f"{agent} changed its work {times} times and its check failed each time; {end}",
            severity="info" if success is not None else None,
            score=0.3 if success is not None else None,
            evidence=failed[-8:],
            wasted=made.between(failed[0], failed[-1]),
        )

    fires_on = (
        (*_attempts(6), answers("it should work now")),
        (*_attempts(7), *_attempts(1, "5 passed"), answers("done")),
        (
            *(
                calls("bash", f'{{"command": "{command}"}}', result)
                for n in range(6)
                for command, result in ((f"sed -i s/{n}/x/ a.c", ""), ("make", "a.c:3: error\nmake: exit code: 2"))
            ),
            answers("sorry"),
        ),
    )
    quiet_on = (
        (*_attempts(5), answers("sorry")),
        (*_attempts(4), *_attempts(1, "5 passed"), *_attempts(4), answers("done")),
        (calls("edit_file", '{"path": "a.py"}', "ok"), *(calls("run_tests", "{}", "2 failed") for _ in range(8))),
        (*_attempts(8, "still running"), answers("done")),
        tuple(calls("edit_file", f'{{"path": "{n}.py"}}', "ok") for n in range(9)),
    )


def _rows(made: Calls) -> Iterator[tuple[list[Step], Step | None]]:
    """Failed checks with something changed before each, up to the check that passed, if one did."""
    failed: list[Step] = []
    changed = False
    for step in made.tools:
        deed = deed_of(step)
        if deed == "edit" and step.sign == "ok":
            changed = True
        elif deed == "check" and (good := passed(step)) is not None:
            if good:
                yield failed, step
                failed = []
            elif changed:
                failed.append(step)
                changed = False
    yield failed, None
