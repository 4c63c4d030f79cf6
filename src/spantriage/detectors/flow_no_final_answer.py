"""flow.no_final_answer"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.requested import runs_elsewhere
from spantriage.settled import Settled
from spantriage.state import RunState

# How graphs dump their whole state where an agent's result should be; what is in it is not the answer.
_DUMP: Final = '{"messages"'
_NOTHING: Final = frozenset({"", "null", "None", "[]", "{}", '""'})
_ANSWERS: Final = frozenset({"vote", "new_answer"})  # MassGen's agents answer by these; no tool span follows


@dataclass(frozen=True, slots=True)
class NoFinalAnswer(Detector):
    """An agent ended without an error and without an answer.

    ## Why it matters
    For status and dashboards the run went well; whoever asked got nothing. This is how most libraries end when a model
    says nothing, when a tool call could not be parsed, or when a limit of steps is reached quietly.

    ## What to do
    See what `reason` says: "pending_tool_call" (the last word was a request that nobody followed up), "empty_answer"
    (the last word was nothing), "failed_call" (the last model call failed, and the agent ended all the same). Treat an
    empty result as a failure in the program that called the agent.

    ## When it is wrong
    An agent whose work is done by its tools has no need of a last word; it is left alone when a tool ran after the last
    model call, when it has a result, or when its content was not recorded.
    """

    code = "flow.no_final_answer"
    category = "model_logic"
    subcategory = "incomplete"
    kind = "outcome"
    severity = "error"
    score = 0.8
    actionable = "Treat an empty result as a failure, and let the agent try once more."

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of the agent that had the last word in the run."""
        if settled.truncated:
            return
        last = _last_word(settled)
        top = None if last is None or last.agent_span_id is None else settled.steps.get(last.agent_span_id)
        if last is None or top is None or settled.dead is not None or _has_result(top, settled):
            return
        reason = _reason(last, settled)
        if reason is not None:
            summary = f"{top.agent} ended without an answer: {_WORDS[reason]}"
            evidence = (top, last)
            score = 0.6 if reason == "failed_call" else None
            yield self.found(top, summary, root_cause=last.error_message, reason=reason, evidence=evidence, score=score)

    fires_on = (
        (agent("boss"), asks("search"), calls("search", result="3 results"), asks("open")),
        (agent("boss"), asks("search"), calls("search", result="3 results"), answers("")),
        (agent("boss", result='{"messages": [{"type": "human"}]}'), answers("")),
        (agent("boss"), answers("let me see"), fails(answers(None, finish=None), "RateLimitError", "Error code: 429")),
    )
    quiet_on = (
        (agent("boss"), asks("search"), calls("search", result="3 results"), answers("done")),
        (agent("boss", result="42"), asks("search"), calls("search", result="3 results"), asks("final_result")),
        (agent("boss"), asks("vote"), calls("vote", '{"for": "a1"}', "voted")),
        (agent("boss"), answers(None, captured=False)),
        (fails(agent("boss"), "ValueError", "no"), answers("")),
        (agent("boss"), asks("transfer_to_writer")),
        (agent("boss", result="None of the flights fit."), answers("")),
    )


_WORDS = {
    "pending_tool_call": "its last model call asks for a tool, and nothing followed",
    "empty_answer": "its last model call answered with nothing",
    "failed_call": "its last model call failed",
}


def _last_word(settled: Settled) -> Step | None:
    """The last model call of the run that is not the work of some tool."""
    models = [s for s in settled.sequence if s.kind == "model" and not any(above.kind == "tool" for above in settled.above(s))]
    return max(models, key=lambda s: (s.end_ns, s.order), default=None)


def _reason(last: Step, settled: Settled) -> str | None:
    content = last.content
    if last.failed:
        return None if last.sign == "cancelled" or _followed(last, settled) else "failed_call"
    if content is None or not content.replied or content.truncated or last.sign == "incomplete_stream":
        return None
    if content.requested:
        is_answer = any(call.name is not None and (call.name in _ANSWERS or runs_elsewhere(call.name)) for call in content.requested)
        return None if is_answer or _followed(last, settled) else "pending_tool_call"
    return "empty_answer" if content.empty and not _followed(last, settled) else None


def _followed(last: Step, settled: Settled) -> bool:
    """Whether somebody did something with it: a tool or another agent went to work, or an event says so."""
    return any(
        s.kind in ("tool", "agent", "event") and not s.implied and not s.streamed and s.start_ns >= last.end_ns for s in settled.sequence
    )


def _has_result(top: Step, settled: Settled) -> bool:
    for step in (top, *settled.above(top)):
        said = step.result or (step.content.text if step.content is not None and step.kind == "agent" else None)
        if said is not None and said.strip() not in _NOTHING and not said.startswith(_DUMP):
            return True
    return False
