"""flow.repair_turn"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from spantriage import text
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState
from spantriage.turns import Turn, turns_of


@dataclass(frozen=True, slots=True)
class RepairTurn(Detector):
    """A model call had to deal with the failure of what the model call before it had asked for.

    ## Why it matters
    The failing call is told elsewhere; this is what it costs: a turn, with the whole history, that brings the task no
    further. It is also where the failure can first be read in the model's input, which is where people look for it,
    and where it shows whether the agent mends its call or makes the same one again.

    ## What to do
    Read what the agent was told. An error that says what would have been right is repaired in one such turn; several in
    a row mean that the message does not help.

    ## When it is wrong
    To try something that may fail and to go on can be the cheapest way. It is never more than "info".
    """

    code = "flow.repair_turn"
    category = "tool_issue"
    subcategory = "error_non_recovery"
    severity = "info"
    score = 0.7
    actionable = "Make the error say what would have been right."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look, in each invocation of each agent, for turns that act right after one that failed."""
        for turns in turns_of(settled):
            for before, turn in pairwise(turns):
                broken = before.broken
                if broken is not None and turn.acted and not turn.bare and not turn.step.failed:
                    yield self._speak(before, broken, turn)

    def _speak(self, before: Turn, broken: Step, turn: Turn) -> Verdict:
        said = broken.error_message if broken.failed else broken.result
        after = "and went on" if turn.broken is None else "and failed again"
        return self.found(
            turn.step,
            f"{turn.step.agent} spent a turn on the failure of {broken.tool or broken.name}, {after}",
            root_cause=text.clip(" ".join((said or "").split()), 160) or None,
            reason=broken.sign,
            evidence=(before.step, broken),
            wasted=(turn.step,),
        )

    fires_on = (
        (asks("fetch"), fails(calls("fetch"), "HTTPError", "503"), asks("fetch"), calls("fetch", result="9 to 5"), answers("Open 9 to 5.")),
        (asks("pay"), calls("pay", result="Error: card declined"), asks("pay"), calls("pay", result="paid"), answers("Paid.")),
        (
            fails(span("workflow", "Step 1", span_id=50, error_message="no code block"), "ParseError", "no code block"),
            answers("I will add 2 and 2.", parent_id=50),
            span("workflow", "Step 2", span_id=51),
            answers("```py\nprint(4)\n```", parent_id=51),
        ),
    )
    quiet_on = (
        (asks("fetch"), calls("fetch", result="9 to 5"), asks("fetch"), calls("fetch", result="10 to 4"), answers("Open.")),
        (asks("fetch"), fails(calls("fetch"), "HTTPError", "503"), answers("I could not open the page.")),
        (asks("fetch"), fails(calls("fetch"), "CancelledError", "cancelled"), asks("wait"), calls("wait"), answers("done")),
        (
            fails(span("workflow", "Step 1", span_id=50), "APIConnectionError", "peer closed connection"),
            fails(asks("fetch", parent_id=50), "APIConnectionError", "peer closed connection"),
            span("workflow", "Step 2", span_id=51),
            asks("fetch", parent_id=51),
        ),
        (asks("grep"), calls("grep", result="no match"), asks("grep"), calls("grep", result="a.py:3"), answers("found")),
    )
