"""flow.workflow_violation"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import agent as agent_span
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.enforcement import Rules, reason_of, vote_of
from spantriage.model import Step, ToolCall, ToolResult, Verdict
from spantriage.rounds import Round, length, rounds_of, said
from spantriage.settled import Settled
from spantriage.state import RunState

PREVIEW: Final = 500
REASONS: Final = {
    "no_tool_calls": "answered in words only, with no tool call",
    "no_workflow_tool": "called {tools}: no answer, no vote, and not run",
    "invalid_vote_id": "voted for {vote}, which is none of the agents that had answered",
    "vote_no_answers": "voted before there was any answer",
    "vote_and_answer": "voted and answered in one reply",
    "answer_limit": "gave another answer after the last one it was allowed",
    "answer_novelty": "gave an answer too much like one that was there",
    "answer_duplicate": "gave the same answer as one that was there",
    "api_error": "was asked again after a failed model call",
    "fatal_api_error": "was ended by a failed model call",
    "connection_recovery": "was asked again after its reply broke off",
    "mcp_disconnected": "lost the server of {tools}",
}
# Somebody else's failures, with findings of their own that are the cause: one degree less severe here.
OTHERS: Final = frozenset({"api_error", "fatal_api_error", "connection_recovery", "mcp_disconnected"})
LOST_SERVER: Final = ("not connected", "disconnected", "server connection closed", "mcp server is unavailable")
_OFFERED = {"new_answer": None, "vote": None, "search": None}


def _round(*steps: Step, **note: object) -> Example:
    return (agent_span("ann", note={"round": 0, **note}), *steps)


def _turn(name: str, arguments: str = "{}", **fields: object) -> Step:
    return asks(ToolCall(name, f"call_{name}", arguments, True), **{"declared": _OFFERED, **fields})


def _event(kind: str, **note: object) -> Step:
    return span("event", kind, agent="ann", note={"event_type": kind, **note})


def _answered() -> tuple[Step, Step]:
    return _turn("new_answer", '{"content": "Paris"}'), _event("new_answer", answer_label="agent1.1")


def _voted() -> tuple[Step, Step]:
    return _turn("vote", '{"agent_id": "agent1"}'), _event("vote_cast")


@dataclass(frozen=True, slots=True)
class WorkflowViolation(Detector):
    """An agent broke a rule of its team's workflow, and its reply was turned down.

    Where agents answer and vote by tools, as in MassGen, a reply that does neither, a vote for nobody or an answer that
    is there already does not count, and the model is asked again. `reason` names the rule: `no_tool_calls`,
    `no_workflow_tool`, `invalid_vote_id`, `vote_no_answers`, `vote_and_answer`, `answer_limit`, `answer_novelty`,
    `answer_duplicate`, `api_error`, `fatal_api_error`, `connection_recovery` or `mcp_disconnected`.

    ## Why it matters
    Each attempt costs a whole model call and throws away what the agent had written. After the last one the agent is
    out, under a healthy span, and the team decides without it: that one is an error, those before are warnings. Where
    the model call or a server failed, the cause has a finding of its own, and this one is a degree less severe.

    ## What to do
    Say in the prompt when to use which of the workflow's tools, and list the ids that may be voted for in the tool's
    schema. A model that goes on answering in words needs `tool_choice`, or is too weak for the task.

    ## When it is wrong
    Spans carry no reason. It is read from what the framework answered where messages were recorded, else worked out
    from the reply and from what followed: the model was asked again, and nothing was taken or run in between. A tool
    that leaves no span and no result looks as if it had not run.
    """

    code = "flow.workflow_violation"
    category = "model_logic"
    subcategory = "format_error"
    score = 0.8
    actionable = "Say in the prompt how to answer and how to vote, and which ids may be voted for."

    workflow_tools: tuple[str, ...] = ("new_answer", "vote", "stop", "submit", "restart_orchestration", "ask_others", "checkpoint")
    """Tools by which an agent answers, votes or ends its part: the answer first, then the vote."""
    max_attempts: int = 3
    """How many replies may be turned down before the agent is out."""
    overlap: float = 0.5
    """The share of words in common from which two answers are too much alike."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of every reply that was turned down: as recorded, else as the rounds show it."""
        rounds = rounds_of(settled)
        replies = {reply.span_id for at in rounds for reply in at.replies}
        recorded = [s for s in settled.sequence if s.note is not None and "enforcement_reason" in s.note and s.span_id not in replies]
        for step in recorded:
            yield self._repeat(step, step.note or {})
        known = {step.agent for step in recorded if not (step.note or {}).get("follows_failure")}
        for index, at in enumerate(rounds):
            if at.span.agent not in known and at.note("round_type") != "presentation" and self._has_workflow(at):
                is_last = not any(later.replies and later.span.agent == at.span.agent for later in rounds[index + 1 :])
                yield from self._look(at, rounds, is_last)

    def _has_workflow(self, at: Round) -> bool:
        """Rounds have one; but where the agent's tools were recorded, the workflow's must be among them."""
        declared = [reply.content.declared for reply in at.replies if reply.content is not None and reply.content.declared]
        return not declared or any(not tools.keys().isdisjoint(self.workflow_tools) for tools in declared)

    def _look(self, at: Round, rounds: list[Round], is_last: bool) -> Iterator[Verdict]:
        tools = self.workflow_tools
        answer, vote = (*tools, "", "")[:2]
        rules = Rules(frozenset(tools), answer, vote, self.overlap)
        attempts = 0
        for reply in at.replies:
            reason = reason_of(reply, at, rounds, rules)
            if reason is None:
                continue
            note = reply.note or {}
            if note.get("is_recorded"):  # by the framework's own log
                attempts += 1
                yield self._give_up(reply, reason, at) if note.get("is_last_attempt") else self._speak(reply, reason, at)
            elif at.was_retried(reply) or (reason == "answer_duplicate" and at.accepted):
                attempts += 1
                yield self._speak(reply, reason, at)
            elif is_last and at.ended_on(reply) and (attempts + 1 >= self.max_attempts or (reply.failed and attempts == 0)):
                yield self._give_up(reply, reason if attempts else "fatal_api_error", at)
        for tool in at.tools:
            words = ((tool.error_message if tool.failed else tool.result) or "")[:PREVIEW].lower()
            if tool.sign != "ok" and any(mark in words for mark in LOST_SERVER):
                yield self._speak(tool, "mcp_disconnected", at)

    def _speak(self, step: Step, reason: str, at: Round | None) -> Verdict:
        lost = said(step) if step.kind == "model" and not step.failed else ""
        known: dict[str, object] = {
            "round": None if at is None else at.note("round"),
            "max_attempts": self.max_attempts,
            "tool_calls": _called(step),
            "buffer_preview": lost[:PREVIEW] or None,
            "buffer_chars": length(lost),
        }
        step.note = {**known, **(step.note or {})}
        following = at.after(step) if at is not None and step.kind == "model" else None
        return self.found(
            step,
            f"Agent {step.agent} {self._words(step, reason)}",
            root_cause=text.string(step.note.get("error_message")),
            reason=reason,
            severity="info" if reason in OTHERS else None,
            evidence=[step] if following is None else [step, following],
            wasted=(step,) if step.kind == "model" else (),
        )

    def _give_up(self, reply: Step, reason: str, at: Round) -> Verdict:
        verdict = self._speak(reply, reason, at)
        reply.note = {**(reply.note or {}), "is_last_attempt": True}
        verdict.severity = "warning" if reason in OTHERS else "error"
        verdict.evidence = tuple(at.replies[-self.max_attempts :])
        how = self._words(reply, "fatal_api_error" if reason in OTHERS else reason)
        tries = "one attempt" if len(at.replies) == 1 else f"{len(at.replies)} attempts"
        verdict.summary = f"Agent {reply.agent} is out after {tries} in round {at.note('round')}: it {how}"
        return verdict

    def _repeat(self, step: Step, note: dict[str, object]) -> Verdict:
        """What the framework itself has recorded; where its log kept also what followed from a failure, that is no second one."""
        reason = str(note["enforcement_reason"])
        verdict = self._speak(step, reason, None)
        if note.get("is_last_attempt"):
            verdict.severity = "warning" if reason in OTHERS else "error"
            how = self._words(step, "fatal_api_error" if reason in OTHERS else reason)
            verdict.summary = f"Agent {step.agent} is out after {note.get('attempt')} attempts in round {note.get('round')}: it {how}"
        elif note.get("follows_failure"):
            verdict.severity = "info"
        return verdict

    def _words(self, step: Step, reason: str) -> str:
        tools = " and ".join(dict.fromkeys(_called(step))) or "no tool"
        words = REASONS.get(reason, "was turned down")
        voted = vote_of(step, (*self.workflow_tools, "", "")[1]) or (step.note or {}).get("vote")
        return words.format(tools=tools, vote="somebody" if voted is None else repr(voted))

    fires_on = (
        _round(answers("I think it is Paris.", declared=_OFFERED), *_answered(), outcome="answer"),
        _round(
            _turn("search"),
            _turn("new_answer", results=[ToolResult("You must use workflow tools", "call_search", ran=False)]),
            outcome="answer",
        ),
        _round(*_answered(), _turn("vote", '{"agent_id": "agent9"}'), *_voted(), outcome="vote"),
        _round(_turn("vote", '{"agent_id": "agent1"}'), *_answered(), outcome="answer"),
        _round(fails(answers(None, declared=_OFFERED), "InternalServerError", "Error code: 500"), *_answered(), outcome="answer"),
        _round(*(answers("I vote for Paris.", declared=_OFFERED) for _ in range(3))),
        (span("event", "enforcement", agent="ann", note={"enforcement_reason": "answer_novelty", "round": 1}), answers("done")),
    )
    quiet_on = (
        _round(*_answered(), outcome="answer"),
        _round(_turn("search"), calls("search", result="3 hits", call_id="call_search"), *_answered(), outcome="answer"),
        _round(_turn("search"), _turn("new_answer", results=[ToolResult("3 hits", "call_search")]), _event("new_answer"), outcome="answer"),
        _round(answers("Half a thought", declared=_OFFERED)),
        _round(answers("Paris it is.", declared={"search": None}), answers("Or is it?", declared={"search": None})),
        _round(answers(None, declared=_OFFERED, captured=False), *_answered(), outcome="answer"),
        _round(answers("Paris.", declared=_OFFERED), answers("Paris.", declared=_OFFERED), round_type="presentation"),
        (answers("first", declared=_OFFERED), answers("second", declared=_OFFERED)),
    )


def _called(step: Step) -> list[str]:
    if step.content is not None and step.kind == "model":
        return [call.name for call in step.content.requested if call.name]
    recorded = (step.note or {}).get("tool_calls")
    return [str(name) for name in recorded] if isinstance(recorded, list) else [step.tool] if step.tool else []
