"""model.content_filtered"""

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
class ContentFiltered(Detector):
    """A provider's content filter withheld or cut off a model's answer, or would not take the prompt.

    ## Why it matters
    The agent gets nothing, or half an answer, for reasons that lie in words and not in the task; filters also stop
    harmless texts.

    ## What to do
    Find the words that set the filter off, rephrase the prompt or what the tools bring in, or ask the provider to adjust
    the filter.

    ## When it is wrong
    Some providers report a model's own refusal as a filter.
    """

    code = "model.content_filtered"
    category = "infrastructure"
    actionable = "Rephrase what set the filter off, or have the filter adjusted."
    speaks_of = HOSTS | {"model", "event"}
    signs = frozenset({"content_filter", "content_filtered"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each answer that was withheld; a step that failed over it is its echo."""
        summary = f"A content filter stopped a call of {step.the_model}"
        yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step) or "content_filter")

    fires_on = (
        (answers(None, finish="content_filter"),),
        (answers("It is", finish="SAFETY"), answers("done")),
        (
            fails(
                answers(None, finish=None),
                "BadRequestError",
                "litellm.BadRequestError: Invalid prompt: flagged as violating our usage policy",
            ),
        ),
        (fails(agent("writer"), "ContentFilterError", "Content filter triggered. Finish reason: 'content_filter'"),),
    )
    quiet_on = (
        (answers("Content filters withhold answers."),),
        (asks("search"), calls("search", result="blocked by safety policy: 0 of 12 pages"), answers("done")),
        (answers("done", finish="stop"),),
    )
