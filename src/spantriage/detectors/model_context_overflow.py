"""model.context_overflow"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.blame import reason_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class ContextOverflow(Detector):
    """A call did not fit into the model's context window.

    ## Why it matters
    Every further call of this conversation is larger still, so the agent cannot go on without forgetting something.

    ## What to do
    Summarise or drop old messages, cap the size of tool results, or use a model with a larger window.

    ## When it is wrong
    Words about a context window in some other exception would be taken for this one.
    """

    code = "model.context_overflow"
    category = "resource_limit"
    actionable = "Shorten the history or cap tool results before they enter it."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"context_overflow"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each call that was too large."""
        summary = f"A call was too large for the context window of {step.the_model}"
        yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(answers(None, finish=None), "BadRequestError", "Error code: 400 - This model's maximum context length is 8192 tokens"),),
        (fails(answers(None, finish=None), "BadRequestError", "prompt is too long: 205000 tokens > 200000 maximum"),),
        (fails(agent("reader"), "ContextWindowExceededError", "litellm.BadRequestError: ContextWindowExceededError"),),
    )
    quiet_on = (
        (fails(answers(None, finish=None), "ThrottlingException", "Too many tokens, please wait before trying again."), answers("done")),
        (answers("part one", finish="length"), answers("part two")),
        (asks("read"), calls("read", result="The maximum context length of this model is 8192 tokens."), answers("done")),
    )
