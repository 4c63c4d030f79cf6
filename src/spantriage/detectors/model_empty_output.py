"""model.empty_output"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.model import Content, Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class EmptyOutput(Detector):
    """A model ended its turn without a word: no text, no tool call, no refusal.

    ## Why it matters
    The agent has nothing to go on with. Some libraries ask again, some fail with an error that names something else,
    some return the empty string as the answer.

    ## What to do
    Ask again, once. When it comes back: too many or contradictory instructions, a history that ends with the model's
    own message, or a reasoning budget that uses up the output limit are the usual reasons.

    ## When it is wrong
    After a tool call that was the whole task, a model may have nothing to add. Replies with an image or a sound, and
    replies that were not recorded, do not count.
    """

    code = "model.empty_output"
    category = "model_logic"
    subcategory = "incomplete"
    score = 0.7
    tier = "worker"
    actionable = "Ask again once, and look at the instructions and the reasoning budget."
    speaks_of = frozenset({"model", "event"})
    signs = frozenset({"ok", "stop", "unknown"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak when the reply was recorded and is empty."""
        if step.input_tokens == 0:  # a piece of a reply that was recorded in several: its thinking, before the text
            return
        if not step.failed and step.content is not None and step.content.empty:
            summary = f"The answer of {step.the_model} was empty"
            yield self.found(step, summary, reason=step.finish, score=0.9 if step.output_tokens == 0 else None)

    fires_on = (
        (answers(""),),
        (answers(None, finish=None, output_tokens=0), answers("done")),
        (asks("search"), calls("search", result="3 results"), answers(" \n")),
    )
    quiet_on = (
        (answers("done"),),
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (answers(None, captured=False),),
        (answers(None, finish="length"),),
        (answers(None, input_tokens=0, output_tokens=0), answers("done")),
        (fails(answers(None, finish=None), "RateLimitError", "Error code: 429"), answers("done")),
        (span("model", "chat", content=Content(captured=True, replied=True, refusal="no"), sign="stop"),),
    )
