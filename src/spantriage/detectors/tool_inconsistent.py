"""tool.inconsistent"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.calls import same_call
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, calls, fails
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


def _down(tool: str) -> Step:
    return fails(calls(tool), "ConnectionError", "connection reset by peer")


@dataclass(frozen=True, slots=True)
class Inconsistent(Detector):
    """A tool succeeds and fails in turn at the very same call.

    ## Why it matters
    The agent cannot learn what to do from a tool that contradicts itself, and a run that passes today fails tomorrow
    for no reason of its own. Such flakiness is seldom seen in one failed call; it shows in the sequence.

    ## What to do
    Look for what differs between the calls: a rate limit, a cold start, a race, two servers behind one name. Retry
    below the model, where it costs no tokens.

    ## When it is wrong
    A call may fail and succeed because the world has changed in between: tests after an edit, a read after a write.
    So at least one turn must come straight after the other outcome, with no call in between. The severity is "info"
    because the agent got an answer at least once and each failed call has a finding of its own; this one says that
    the fault is the tool's and not the agent's.
    """

    code = "tool.inconsistent"
    category = "tool_issue"
    subcategory = "environment_mismatch"
    severity = "info"
    score = 0.7
    actionable = "Find out why the tool answers the same call differently, and retry below the model."
    tier = "worker"
    speaks_of = frozenset({"tool"})

    at: int = 2
    """How many turns from success to failure, or back, make a tool inconsistent."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak when the last turn needed has come, once for each different call."""
        if step.arguments_digest is None or step.tool is None or step.sign == "cancelled":
            return
        seen = agent.seen.get(hash((step.tool, step.arguments_digest)))
        if seen is None or seen.turns < self.at or not seen.at_once:
            return
        calls = [call for call in agent.calls if same_call(call, step)]
        turned = len(calls) > 1 and (calls[-2].sign == "ok") is not (step.sign == "ok")
        adjacent = len(agent.calls) > 1 and turned and agent.calls[-2] is calls[-2]
        if turned and (seen.turns == self.at or (adjacent and seen.at_once == 1)):
            yield self.found(
                step,
                f"Tool {step.tool} answered the same call with success and failure in turn: "
                f"{seen.succeeded} of {seen.succeeded + seen.failed} calls worked",
                evidence=calls,
            )

    fires_on = (
        (calls("search", result="3 hits"), _down("search"), calls("search", result="3 hits"), answers("done")),
        (_down("search"), calls("search", result="3 hits"), _down("search"), answers("sorry")),
        (calls("price", result="12"), calls("stock", '{"id": 1}', "4"), _down("price"), calls("price", result="12"), answers("done")),
    )
    quiet_on = (
        (_down("search"), calls("search", result="3 hits"), answers("done")),
        (
            calls("search", '{"q": "a"}', "1 hit"),
            fails(calls("search", '{"q": "b"}'), "KeyError", "b"),
            calls("search", '{"q": "a"}', "1 hit"),
        ),
        (
            calls("test", result="passed"),
            calls("edit", '{"line": 1}', "ok"),
            fails(calls("test"), "ExitError", "1 failed"),
            calls("edit", '{"line": 2}', "ok"),
            calls("test", result="passed"),
        ),
        tuple(calls("search", result="3 hits") for _ in range(3)),
    )
