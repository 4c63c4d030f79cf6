"""flow.handoff_failed"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.model import Step, ToolCall, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

_NAMED: Final = re.compile(
    r"^(?:transfer|hand_?off|delegate|route|switch|escalate)(?:_\w{1,20})??_to_(?:agent_)?(\w{2,80})$", re.IGNORECASE
)
_GENERAL: Final = re.compile(
    r"^(?:transfer_to_agent|hand_?off(?:_to_agent)?|delegate(?:_work|_task)?(?:_to_co_?worker|_to_agent)?|ask_question_to_co_?worker)$",
    re.IGNORECASE,
)
_KEYS: Final = ("agent", "agent_name", "coworker", "co_worker", "to", "to_agent", "target", "target_agent", "recipient", "name")
_PEOPLE: Final = re.compile(
    r"human|user|person|people|operator|support|representative|supervisor|staff|customer|manual|specialist|department|queue|phone|caller|co_?worker",
    re.IGNORECASE,
)
_LETTERS: Final = re.compile(r"[^a-z0-9]")


def _hands_over(to: str = "writer", name: str | None = None, arguments: str = "{}") -> Step:
    return asks(ToolCall(name or f"transfer_to_{to}", "h1", arguments, True))


@dataclass(frozen=True, slots=True)
class HandoffFailed(Detector):
    """An agent handed its work over to another, and that agent never ran.

    ## Why it matters
    The first agent takes its part for done, and nobody does the second. Where the framework answers the request with a
    text, the run even ends without an error.

    ## What to do
    Compare the name in the request with the names of the agents that the framework knows. Return a failed hand-over
    to the model as a tool error that lists them.

    ## When it is wrong
    The other agent may run in another trace, in another process, or later. Where it leaves spans under a quite different
    name it is not recognised. Hand-overs to people are left alone, and so are runs in which no agent has a span.
    """

    code = "flow.handoff_failed"
    category = "infrastructure"
    severity = "warning"
    score = 0.7
    actionable = "Make the hand-over name one of the agents that there are, and return a failed one as a tool error."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look, for each hand-over that was asked for, for a step of the other agent after it."""
        if settled.truncated or not any(step.kind == "agent" for step in settled.sequence):
            return
        told: set[tuple[str | None, str]] = set()
        for step in settled.sequence:
            for call in step.content.requested if step.kind == "model" and step.content is not None else ():
                to = _other(call)
                if to is None or (step.agent, to) in told or _ran(to, step, settled):
                    continue
                told.add((step.agent, to))
                yield self._speak(step, to, call, settled)

    def _speak(self, step: Step, to: str, call: ToolCall, settled: Settled) -> Verdict:
        answer = next((s for s in settled.sequence if s.kind == "tool" and s.tool == call.name and s.start_ns >= step.start_ns), None)
        said = None if answer is None else answer.error_message or answer.result
        return self.found(
            step,
            f"{step.agent} handed over to {to}, which never ran",
            root_cause=said,
            reason=to,
            evidence=(step,) if answer is None else (step, answer),
        )

    fires_on = (
        (agent("boss"), _hands_over(), answers("I have passed it on.")),
        (agent("boss"), _hands_over(), fails(calls("transfer_to_writer"), "HandoffError", "no such agent"), answers("sorry")),
        (agent("boss"), _hands_over(name="transfer_to_agent", arguments='{"agent_name": "writer"}'), answers("passed on")),
        (agent("boss"), _hands_over(name="delegate_work_to_coworker", arguments='{"coworker": "writer"}'), answers("passed on")),
    )
    quiet_on = (
        (agent("boss"), _hands_over(), agent("writer", parent_id=1), answers("done")),
        (agent("boss"), _hands_over("data_writer"), span("workflow", "DataWriterAgent"), answers("done")),
        (agent("boss"), _hands_over("human_agents"), calls("transfer_to_human_agents", result="Transfer successful"), answers("bye")),
        (agent("boss"), asks("transfer_money_to_account"), calls("transfer_money_to_account", result="sent"), answers("sent")),
        (agent("boss"), _hands_over(), answers("The draft is ready.", agent="writer")),
    )


def _other(call: ToolCall) -> str | None:
    """The agent that a call hands over to, by its name or by its arguments; None for people and for what is no hand-over."""
    name = (call.name or "")[:120]
    to: object = None
    if _GENERAL.match(name):
        arguments = text.load(call.arguments)
        to = next((arguments[key] for key in _KEYS if key in arguments), None) if isinstance(arguments, dict) else None
    elif (found := _NAMED.match(name)) is not None and "_" not in name.partition("_to_")[0].removeprefix("hand_"):
        to = found[1]
    return to if type(to) is str and to and not _PEOPLE.search(to) else None


def _ran(to: str, request: Step, settled: Settled) -> bool:
    """Whether any step after the request, or around it, is the other agent's: frameworks add words to its name."""
    wanted = _LETTERS.sub("", to.lower())
    for step in settled.sequence:
        if step.end_ns < request.end_ns or step.kind == "tool":
            continue
        for name in {step.agent, step.name}:
            letters = _LETTERS.sub("", (name or "").lower())
            if letters and (wanted in letters or (len(letters) > 3 and letters in wanted)):
                return True
    return False
