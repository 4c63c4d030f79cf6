"""model.incomplete_stream"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, span
from spantriage.model import Content, Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class IncompleteStream(Detector):
    """A streamed answer began and never came to its end: no finish reason, no token count.

    ## Why it matters
    Such a span says OK. What was received may be used as if it were the whole answer, and its tokens are paid for but
    counted nowhere.

    ## What to do
    Check for the finish reason before using a streamed answer; ask again when there is none. When it happens often, look
    for proxies and load balancers that cut long responses.

    ## When it is wrong
    A program that has read enough and stops listening leaves the same trace.
    """

    code = "model.incomplete_stream"
    category = "infrastructure"
    score = 0.7
    actionable = "Use a streamed answer only after its finish reason has come, and ask again otherwise."
    speaks_of = frozenset({"model", "event"})
    signs = frozenset({"incomplete_stream"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each answer that broke off."""
        summary = f"The streamed answer of {step.the_model} broke off before its end"
        yield self.found(step, summary, root_cause="The stream was dropped, or the program stopped reading it.", reason="no_finish_reason")

    fires_on = (
        (answers("The ", finish=None, streamed=True, sign="incomplete_stream"),),
        (span("event", "streaming response", streamed=True, sign="incomplete_stream", content=Content(captured=True, text="The ")),),
    )
    quiet_on = (
        (answers("The weather is sunny.", streamed=True),),
        (answers("The weather is sunny.", finish=None, input_tokens=12, output_tokens=5, streamed=True),),
        (asks("weather", streamed=True), calls("weather", result="sunny"), answers("sunny", streamed=True)),
    )
