"""loop.repeated_call"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.calls import Calls, calls_of, in_turn, same_call, streaks
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import agent as agent_span
from spantriage.detectors.example import answers, asks, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


def _polls(*results: str) -> Example:
    return (*(calls("status", '{"job": 7}', result) for result in results), answers("done"))


@dataclass(frozen=True, slots=True)
class RepeatedCall(Detector):
    """An agent makes the same tool call again and again and gets the same result each time.

    ## Why it matters
    The answer will not change; every turn is paid for, and such a loop rarely ends by itself. `wasted_tokens` counts
    the model calls that asked for the repeats.

    ## What to do
    Tell the model that it already has this result, cache the call, or stop the run after a few repeats.

    ## When it is wrong
    A poll that waits for a change looks the same until the change comes; once it has come the finding is withdrawn.
    Calls with other calls between them (a test run after each edit) and calls made at the same time do not count.
    Where neither arguments nor results were captured, a long row of one tool is all there is to see: it is "info".
    """

    code = "loop.repeated_call"
    category = "model_logic"
    subcategory = "wrong_strategy"
    actionable = "Cache the result, or tell the agent that it already has it."
    speaks_of = frozenset({"tool"})
    signs = frozenset({"ok"})

    at: int = 3
    """How many equal calls in a row make a loop."""
    blind_at: int = 4
    """How many calls of one tool in a row are worth a remark when neither arguments nor results were captured."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak when the streak reaches the threshold, once for each streak."""
        if agent.streak == self.at and not agent.run.ended:
            streak = list(agent.calls)[-self.at :]
            if in_turn(streak):
                yield self._speak(streak, None)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each streak that did not turn out to be a poll whose result changed in the end."""
        for made in calls_of(settled):
            tools = made.tools
            for first, behind in streaks(tools, _repeats):
                streak = tools[first:behind]
                changed = behind < len(tools) and same_call(tools[behind], streak[-1])
                if len(streak) >= self.at and not changed and in_turn(streak):
                    yield self._speak(streak, made)
            for first, behind in streaks(tools, _unseen):
                streak = tools[first:behind]
                if len(streak) >= self.blind_at and in_turn(streak):
                    yield self.found(
                        streak[self.blind_at - 1],
                        f"Tool {streak[0].tool} was called {len(streak)} times in a row; arguments and results were not captured",
                        severity="info",
                        score=0.4,
                        evidence=streak,
                    )

    def _speak(self, streak: list[Step], made: Calls | None) -> Verdict:
        seen = streak[0].result_digest is not None
        return self.found(
            streak[self.at - 1],
            f"Tool {streak[0].tool} was called {len(streak)} times in a row with the same arguments"
            + (" and the same result" if seen else "; its results were not captured"),
            severity=None if seen else "info",
            score=None if seen else 0.5,
            evidence=streak,
            wasted=() if made is None else made.between(streak[0], streak[-1]),
        )

    fires_on = (
        _polls("sunny", "sunny", "sunny"),
        tuple(
            step
            for _ in range(4)
            for step in (asks("search", input_tokens=100, output_tokens=10), calls("search", '{"q": "a"}', "no hits"))
        ),
        (agent_span(), *(calls("get_weather") for _ in range(3)), answers("sunny")),
    )
    quiet_on = (
        _polls("10 %", "20 %", "30 %"),
        _polls("pending", "pending", "pending", "pending", "done"),
        tuple(calls("list", f'{{"page": {page}}}', "[...]") for page in range(4)),
        (calls("test"), calls("edit", '{"line": 1}', "ok"), calls("test"), calls("edit", '{"line": 2}', "ok"), calls("test")),
        tuple(calls("sample", "{}", "heads", start_ns=1_700_000_001_000_000_000, end_ns=1_700_000_002_000_000_000 + n) for n in range(3)),
    )


def _repeats(one: Step, other: Step) -> bool:
    return one.sign == other.sign == "ok" and same_call(one, other) and one.result_digest == other.result_digest


def _unseen(one: Step, other: Step) -> bool:
    nothing = all(step.arguments_digest is None and step.result_digest is None and step.sign == "ok" for step in (one, other))
    return nothing and one.tool is not None and one.tool == other.tool
