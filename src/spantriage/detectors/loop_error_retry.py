"""loop.error_retry"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from spantriage.calls import Calls, calls_of, in_turn, same_call, streaks
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


def _down(arguments: str = "{}", message: str = "service down") -> Step:
    return fails(calls("search", arguments), "ValueError", message)


@dataclass(frozen=True, slots=True)
class ErrorRetry(Detector):
    """An agent repeats a failing tool call unchanged, and it fails again.

    ## Why it matters
    Trying a third time what failed twice is the commonest way for an agent to burn its budget. Each attempt costs a
    model turn with the whole history in it.

    ## What to do
    Retry transient errors below the model, with a delay. Return the others as text that says what to change, and
    after two failures tell the agent to take another way.

    ## When it is wrong
    Retrying is right when it works: where the same call succeeds in the end the finding is "info". Attempts made at the
    same time do not count, nor do attempts whose arguments differ or were not captured.
    """

    code = "loop.error_retry"
    category = "tool_issue"
    subcategory = "error_non_recovery"
    actionable = "Retry transient errors below the model; after two failures make the agent change the call or give up."
    speaks_of = frozenset({"tool"})

    at: int = 3
    """How many failures of the same call in a row are too many."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak when the failure that is one too many has come."""
        if agent.failing != self.at or agent.run.ended:
            return
        tried = list(agent.calls)[-self.at :]
        if all(_fails_again(one, other) for one, other in pairwise(tried)) and in_turn(tried):
            yield self._speak(tried, None, recovered=False)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each row of failures, softly of one that ended in success."""
        for made in calls_of(settled):
            for first, behind in streaks(made.tools, _fails_again):
                tried = made.tools[first:behind]
                if len(tried) >= self.at and in_turn(tried):
                    after = made.tools[behind] if behind < len(made.tools) else None
                    yield self._speak(tried, made, recovered=after is not None and same_call(tried[-1], after))

    def _speak(self, tried: list[Step], made: Calls | None, *, recovered: bool) -> Verdict:
        last = tried[-1]
        return self.found(
            tried[self.at - 1],
            f"Tool {last.tool} failed {len(tried)} times in a row with the same arguments" + (", then worked" if recovered else ""),
            root_cause=last.error_message if last.failed else None,
            reason=last.error_type or last.sign,
            severity="info" if recovered else None,
            evidence=tried,
            wasted=() if made is None else made.between(tried[0], last),
        )

    fires_on = (
        (_down(), _down(), _down(), answers("sorry")),
        tuple(step for _ in range(4) for step in (asks("pay"), calls("pay", '{"sum": 5}', "Error: card declined"))),
        (_down(), _down(), _down(), calls("search", result="3 hits"), answers("done")),
    )
    quiet_on = (
        (_down(), _down(), calls("search", result="3 hits"), answers("done")),
        (_down('{"q": "a"}'), _down('{"q": "b"}'), _down('{"q": "c"}'), answers("sorry")),
        (_down(), calls("check", result="up"), _down(), calls("check", result="up"), _down()),
        tuple(calls("search", result="3 hits") for _ in range(2)),
    )


def _fails_again(one: Step, other: Step) -> bool:
    return same_call(one, other) and _is_bad(one) and _is_bad(other)


def _is_bad(step: Step) -> bool:
    return step.sign not in ("ok", "cancelled")
