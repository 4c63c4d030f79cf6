"""loop.cycle"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spantriage.calls import Calls, calls_of, in_turn, outcome, same_call
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import answers, asks, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


def _rounds(times: int, *results: str) -> Example:
    return tuple(calls(f"tool_{n}", '{"id": 1}', result) for _ in range(times) for n, result in enumerate(results))


@dataclass(frozen=True, slots=True)
class Cycle(Detector):
    """An agent goes round in a circle of two to four tool calls, with the same arguments and the same results each time.

    ## Why it matters
    No single call looks repeated, so that simple guards let it pass, and nothing new comes out of it. `wasted_tokens`
    counts the model calls after the first round.

    ## What to do
    Show the agent what it has done so far, or stop it when a whole round brought nothing new. Two agents or two tools
    that undo each other's work need one of them to decide.

    ## When it is wrong
    Waiting with a pause (sleep, look, sleep, look) is a circle until what it waits for comes; when the next round brings
    a different result the finding is withdrawn. Tests that run after different edits are no circle: the edits differ.
    """

    code = "loop.cycle"
    category = "model_logic"
    subcategory = "wrong_strategy"
    actionable = "Stop the agent when a whole round of calls has brought nothing new."
    tier = "worker"
    speaks_of = frozenset({"tool"})

    rounds: int = 3
    """How many equal rounds make a circle."""
    longest: int = 4
    """The longest round looked for, in calls."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak with the call that completes the last round needed."""
        if agent.run.ended or step.arguments_digest is None:
            return
        made = list(agent.calls)
        for period in range(2, self.longest + 1):
            first = len(made) - period * self.rounds
            if first < 0:
                return
            begins = first == 0 or not _alike(made[first - 1], made[first - 1 + period])
            if begins and all(_alike(made[i], made[i + period]) for i in range(first, len(made) - period)):
                if _is_round(made[first : first + period]) and in_turn(made[first:]):
                    yield self._speak(made[first:], period, None)
                return

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each circle, unless the next call in it at last gave another result."""
        for made in calls_of(settled):
            tools, done = made.tools, 0
            for period in range(2, self.longest + 1):
                for first, behind in _circles(tools, period):
                    circle = tools[first:behind]
                    changed = behind < len(tools) and same_call(tools[behind], tools[behind - period])
                    if len(circle) < period * self.rounds or not _is_round(circle[:period]):
                        continue
                    if behind > done and not changed and in_turn(circle):
                        done = behind
                        yield self._speak(circle, period, made)

    def _speak(self, circle: Sequence[Step], period: int, made: Calls | None) -> Verdict:
        names = " - ".join(str(step.tool) for step in circle[:period])
        return self.found(
            circle[period * self.rounds - 1],
            f"The calls {names} were made {len(circle) // period} times in a circle with the same arguments and the same results",
            evidence=circle,
            wasted=() if made is None else made.between(circle[period - 1], circle[-1]),
        )

    fires_on = (
        (*_rounds(3, "a", "b"), answers("done")),
        (*_rounds(4, "a", "b", "c"), answers("done")),
        tuple(
            step for _ in range(3) for step in (asks("open"), calls("open", "{}", "a page"), asks("close"), calls("close", "{}", "closed"))
        ),
    )
    quiet_on = (
        _rounds(2, "a", "b"),
        tuple(step for n in range(4) for step in (calls("edit", f'{{"line": {n}}}', "ok"), calls("test", "{}", "1 failed"))),
        (*(step for _ in range(3) for step in (calls("sleep", "{}", "slept"), calls("status", "{}", "pending"))),
         calls("sleep", "{}", "slept"), calls("status", "{}", "done")),
        tuple(step for n in range(4) for step in (calls("sleep", "{}", "slept"), calls("status", "{}", f"{n}0 %"))),
        tuple(calls("status", "{}", "pending") for _ in range(6)),
    )  # fmt: skip


def _circles(tools: Sequence[Step], period: int) -> Iterator[tuple[int, int]]:
    """Maximal stretches in which every call is like the one a round before, as (first, behind the last)."""
    first = 0
    for index in range(period, len(tools) + 1):
        if index < len(tools) and _alike(tools[index], tools[index - period]):
            continue
        if index - first > period:
            yield first, index
        first = index - period + 1


def _alike(one: Step, other: Step) -> bool:
    return same_call(one, other) and one.sign == other.sign and outcome(one) is not None and outcome(one) == outcome(other)


def _is_round(calls: Sequence[Step]) -> bool:
    """Say whether a round holds different calls and is not itself made of smaller rounds."""
    half = len(calls) // 2
    if len(calls) == 4 and all(same_call(calls[i], calls[i + half]) for i in range(half)):
        return False
    return any(not same_call(calls[0], call) for call in calls[1:])
