"""loop.repeated_call"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector, Example
from spantriage.detectors.example import answers, calls
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


def _polls(*results: str) -> Example:
    return (*(calls("status", '{"job": 7}', result) for result in results), answers("done"))


@dataclass(frozen=True, slots=True)
class RepeatedCall(Detector):
    """An agent makes the same tool call again and again and gets the same result each time.

    ## Why it matters
    The answer will not change; every turn is paid for, and such a loop rarely ends by itself.

    ## What to do
    Tell the model that it already has this result, cache the call, or stop the run after a few repeats.

    ## When it is wrong
    A poll that waits for a change looks the same until the change comes; once it has come the finding is withdrawn.
    Calls with other calls between them (a test run after each edit) do not count.
    """

    code = "loop.repeated_call"
    category = "model_logic"
    subcategory = "wrong_strategy"
    actionable = "Cache the result, or tell the agent that it already has it."
    speaks_of = frozenset({"tool"})
    signs = frozenset({"ok"})

    at: int = 3
    """How many equal calls in a row make a loop."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak when the streak reaches the threshold, once for each streak."""
        if agent.streak == self.at:
            yield self.found(
                step,
                f"Tool {step.tool} was called {self.at} times in a row with the same arguments and the same result",
                evidence=list(agent.calls)[-self.at :],
            )

    fires_on = (_polls("sunny", "sunny", "sunny"),)
    quiet_on = (
        _polls("10 %", "20 %", "30 %"),
        tuple(calls("list", f'{{"page": {page}}}', "[...]") for page in range(4)),
        (calls("test"), calls("edit", '{"line": 1}', "ok"), calls("test"), calls("edit", '{"line": 2}', "ok"), calls("test")),
    )
