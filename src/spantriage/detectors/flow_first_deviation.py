"""flow.first_deviation"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.culprit import REASONS, culprit_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails
from spantriage.model import Content, Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


def _turn(name: str, said: str, number: int) -> Step:
    return agent(name, parent_id=1, span_id=50 + number, content=Content(captured=True, replied=True, text=said))


@dataclass(frozen=True, slots=True)
class FirstDeviation(Detector):
    """Of a run that is known to have failed: the turn that most likely went wrong first, and whose it was.

    `reason` is the evidence, tried in this order: "unfounded_answer", "claimed_look" (it tells of a look that nobody
    took), "first_deed" (the first turn in a team that does more than hand the task on), "failed_action", "quick_answer",
    "repeated_call", "first_turn".

    ## Why it matters
    What broke is rarely what was wrong. The turn that wrote a failing action, or first told something that it could not
    know, is where a run can be mended; what comes after it mostly follows.

    ## What to do
    Read the turn beside the task it was given, and the turns around it. `score` says how often people name a turn with
    such evidence, or one right beside it.

    ## When it is wrong
    More often than not where the evidence is only that a turn was the first. People who label the same run agree on the
    step in one of three. It is said only when the run is known to have failed (`--assume failed`).
    """

    code = "flow.first_deviation"
    category = "model_logic"
    subcategory = "wrong_strategy"
    score = 0.5
    actionable = "Read this turn beside the task that it was given."
    tier = "run"
    needs_failure = True

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Name one turn."""
        found = culprit_of(settled)
        if found is not None:
            score, words = REASONS[found.reason]
            step = found.turn.step
            yield self.found(step, f"{step.agent} {words}", reason=found.reason, score=score, evidence=(step, *found.turn.tools[:4]))

    fires_on = (
        (_turn("planner", "The task: find the price.", 0), _turn("buyer", "It is 20 dollars.", 1), _turn("checker", "Agreed.", 2)),
        (answers("Search for it."), asks("search"), fails(calls("search"), "HTTPError", "503"), answers("It is nine.")),
        (answers("It is nine."),),
    )
    quiet_on = (
        (calls("search", result="9 to 5"),),
        (calls("search", result="Error: 503"), calls("search", result="9 to 5")),
        (agent("boss", result="done"), calls("search", result="9 to 5")),
    )
