"""flow.output_lost"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent as agent_span
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.model import Step, ToolCall, Verdict
from spantriage.rounds import Round, length, rounds_of, said
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState

_LONG = "A long and careful answer. " * 60
_TAKEN = {"event_type": "new_answer", "answer_label": "agent1.1"}


def _round(*steps: Step, **note: object) -> tuple[Step, ...]:
    return (agent_span("ann", note={"round": 0, **note}), *steps)


def _submits() -> tuple[Step, Step]:
    return asks(ToolCall("new_answer", "c1", '{"content": "Paris"}', True)), span("event", "new_answer", agent="ann", note=_TAKEN)


@dataclass(frozen=True, slots=True)
class OutputLost(Detector):
    """Text that an agent had written was thrown away.

    `reason` says by what: `enforcement` (the reply broke a rule of the workflow and the model was asked again),
    `restart` (the round was begun anew), `cancelled` or `failed` (the agent had its answer and did not get to give it).

    ## Why it matters
    The work is paid for and gone, and is mostly done again. More than 5000 characters lost by one agent is a red flag.

    ## What to do
    Hand the text back with the request to try again. Save what an agent has before it is stopped, and let a
    cancelled agent return its last answer.

    ## When it is wrong
    Some frameworks put the lost text into the next request, where only part of it counts as lost. A restart because
    others have answered is how such teams work: that is info, not a warning.
    """

    code = "flow.output_lost"
    category = "model_logic"
    subcategory = "incomplete"
    score = 0.7
    actionable = "Hand the text back when the model is asked again, and keep an agent's last answer when it is stopped."

    at: int = 1_000
    """From how many characters on lost text is worth a finding."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look for replies that were turned down or cut off, and for agents that failed with their answer in hand."""
        rounds = rounds_of(settled)
        for index, at in enumerate(rounds):
            later = any(other.replies and other.span.agent == at.span.agent for other in rounds[index + 1 :])
            yield from self._look(at, later)
        known = {at.span.span_id for at in rounds}
        for agent in run.agents.values():
            if agent.span is not None and agent.span.span_id not in known:
                yield from self._look_at_end(agent, agent.span)

    def _look(self, at: Round, comes_again: bool) -> Iterator[Verdict]:
        lost = [reply for reply in at.replies if not reply.failed and at.was_retried(reply)]
        chars = sum(length(said(reply)) for reply in lost)
        if chars >= self.at:
            again = "once" if len(lost) == 1 else f"{len(lost)} times"
            yield self.found(
                lost[-1],
                f"Agent {at.span.agent} had to begin round {at.note('round')} again {again}; {chars} characters of it were thrown away",
                reason="enforcement",
                evidence=lost,
            )
        last = at.replies[-1] if at.replies else None
        if last is None or last.failed or not at.ended_on(last) or at.ran(last):
            return
        chars = length(said(last))
        if chars >= self.at:
            yield self._lost(last, chars, "restart" if comes_again else "cancelled", "info" if comes_again else "warning")

    def _look_at_end(self, agent: AgentState, ended: Step) -> Iterator[Verdict]:
        """The agent failed right after a reply that reads like its answer."""
        last = agent.model
        if not ended.failed or ended.result or last is None or last.failed or last.finish != "stop" or last.content is None:
            return
        if last.content.requested or any(call.start_ns >= last.start_ns for call in agent.calls):
            return
        chars = length(last.content.text or "")
        if chars >= self.at:
            yield self._lost(last, chars, "cancelled" if ended.sign == "cancelled" else "failed", "warning")

    def _lost(self, step: Step, chars: int, reason: str, severity: str) -> Verdict:
        step.note = {**(step.note or {}), "chars_lost": chars}
        how = {"restart": "its round was begun anew", "cancelled": "it was stopped", "failed": "it failed"}[reason]
        return self.found(
            step,
            f"Agent {step.agent} had written {chars} characters when {how}, and none of them were taken",
            reason=reason,
            severity="info" if severity == "info" else None,
        )

    fires_on = (
        _round(answers(_LONG), *_submits(), outcome="answer"),
        (fails(agent_span(), "CancelledError", ""), answers(_LONG)),
        (fails(agent_span(), "UnexpectedModelBehavior", "Exceeded maximum retries"), answers(_LONG)),
        _round(answers(_LONG)),
    )
    quiet_on = (
        _round(*_submits(), outcome="answer"),
        _round(answers("Paris."), *_submits(), outcome="answer"),
        _round(asks("search"), calls("search", result=_LONG), *_submits(), outcome="answer"),
        _round(answers("Half a thought")),
        (agent_span(result=_LONG), answers(_LONG)),
        (fails(agent_span(), "CancelledError", ""), asks("search"), calls("search", result=_LONG)),
        (fails(agent_span(), "ValueError", "no"), answers(_LONG, finish="tool_calls"), calls("search", result="3 hits")),
    )
