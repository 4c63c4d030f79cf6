"""model.refusal"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.blame import reason_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.failures import HOSTS
from spantriage.model import Content, Step, Verdict
from spantriage.state import AgentState

_SORRY: Final = (
    r"(?:(?:i['’]?m|i am|we['’]re|we are)?\s*(?:very |so |really |truly )?sorry|i apologi[sz]e|unfortunately|as an ai\b[^,.]{0,40})?"
)
_CANNOT: Final = (
    r"(?:can['’]?t|can ?not|won['’]t|will not|(?:['’]m|am|['’]re|are) (?:not able|unable) to|must decline to|have to decline to)"
)
_DO: Final = (
    r"(?:help|assist|comply|engage|participate|fulfil+|do (?:that|this)|discuss (?:that|this)|continue with (?:that|this)"
    r"|(?:provide|offer|share|create|generate|produce|support) (?:\w+ ){0,2}(?:that|this|such|help|assistance|guidance|instructions))\b"
)
_REFUSES: Final = re.compile(rf"^\W*{_SORRY}[,;.]?\s*(?:but )?(?:i|we) ?{_CANNOT} (?:\w+ )?{_DO}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal(Detector):
    """A model declined to do what it was asked.

    ## Why it matters
    Status and finish reason of a refused call are those of a good one, so nothing else will tell. The agent either
    stops here or takes the refusal for an answer.

    ## What to do
    Read what it declined. Say in the prompt what the task is for and what is allowed; give another model what this one
    will not do.

    ## When it is wrong
    Refusals that the provider marks are certain. Others are told by their first words and score 0.6: an agent that by
    its own rules turns a customer down says the same words and does its work well.
    """

    code = "model.refusal"
    category = "model_logic"
    subcategory = "gave_up_early"
    tier = "worker"
    actionable = "Say what the task is for and what is allowed, or use another model for it."
    speaks_of = HOSTS | {"model", "event"}
    signs = frozenset({"refusal", "stop", "ok", "unknown"})

    longest: int = 400
    """Characters up to which an answer may be nothing but a refusal."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak of marked refusals, and of short answers that begin like one."""
        summary = f"The request was declined by {step.the_model}"
        if step.sign == "refusal":
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))
        elif step.kind in ("model", "event") and step.content is not None:
            if step.content.refusal:
                yield self.found(step, summary, root_cause=step.content.refusal[:200], reason="refusal")
            elif self._reads_like_one(step.content):
                yield self.found(step, f"{summary}, by the first words of its reply", reason="phrase", score=0.6)

    def _reads_like_one(self, content: Content) -> bool:
        said = content.text or ""
        return not content.requested and len(said) <= self.longest and _REFUSES.match(said) is not None

    fires_on = (
        (answers("I'm sorry, but I can't assist with that request."),),
        (answers("I cannot help with that."),),
        (span("model", "chat", content=Content(captured=True, replied=True, refusal="I won't do this."), sign="stop"),),
        (fails(agent("writer"), "RefusalError", "the model refused to answer"),),
    )
    quiet_on = (
        (answers("I'm sorry, the file was not found, so I cannot say what it holds."),),
        (answers("I can't find any flights on that date. Shall I look at the next day?"),),
        (asks("search"), calls("search", result="I can't help with that"), answers("The page says: I can't help with that.")),
        (answers("I can help with that. " * 40),),
    )
