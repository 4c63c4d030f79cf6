"""model.missing_marker"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spantriage.detectors import Detector
from spantriage.detectors.example import answers
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


def _told(reply: str, mark: str | None = "<end_answer>", **fields: Any) -> Step:
    step = answers(reply, **fields)
    assert step.content is not None
    step.content.end_mark = mark
    return step


@dataclass(frozen=True, slots=True)
class MissingMarker(Detector):
    """The prompt asks for a tag that marks the end of the reply, and the reply has none.

    ## Why it matters
    Programs cut the reply at such marks. Without one, a parser takes too much, too little or nothing, and it is a sign
    that the model has lost hold of the form it was given.

    ## What to do
    Have the parser say what it missed, and let the model try again; or take the form from a schema and not from a tag.

    ## When it is wrong
    A provider that was given the mark as a stop sequence leaves it out of the reply. Then it is missing each time, and
    this finding, told once a run and never more than "info", says only that nobody can see whether the model wrote it.
    """

    code = "model.missing_marker"
    category = "model_logic"
    subcategory = "format_error"
    severity = "info"
    score = 0.5
    actionable = "Have the parser say what it missed, or take the form from a schema."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of the first such reply of a run."""
        for step in settled.sequence:
            content = step.content
            if step.kind != "model" or content is None or content.end_mark is None or not content.text:
                continue
            if step.failed or content.truncated or step.sign == "length" or content.end_mark in content.text:
                continue
            yield self.found(step, f"The prompt asks for {content.end_mark} at the end of the reply, and there is none")
            return

    fires_on = (
        (_told("42"),),
        (_told("1. Look it up\n2. Answer", "<end_plan>"), _told("1. Look again", "<end_plan>")),
    )
    quiet_on = (
        (_told("42<end_answer>"),),
        (_told("42", None),),
        (_told("a long st", finish="length"),),
        (_told("1. Look it up\n2. Answer\n<end_plan>", "<end_plan>"), answers("done")),
    )
