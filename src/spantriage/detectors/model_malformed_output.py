"""model.malformed_output"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.blame import reason_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class MalformedOutput(Detector):
    """A model answered in a form that the program could not use: output that does not parse or does not fit.

    ## Why it matters
    The turn is lost. Libraries ask again a few times, each time for the full price, and then give up.

    ## What to do
    Use the provider's structured output or strict tool calls, simplify the schema, show an example of the form that is
    wanted, and say in the retry what was wrong.

    ## When it is wrong
    A validator of one's own that rejects a correct answer looks the same. A tool call that does not parse is
    `tool.invalid_arguments`.
    """

    code = "model.malformed_output"
    category = "model_logic"
    subcategory = "format_error"
    actionable = "Use structured output or a simpler schema, and say in the retry what was wrong."
    speaks_of = HOSTS | {"model", "event"}
    signs = frozenset({"malformed_output"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each answer, or step of an agent, that could not be used."""
        summary = f"An answer of {step.the_model} was not in the form that was asked for"
        yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(agent("writer"), "UnexpectedModelBehavior", "Exceeded maximum output retries (1)"),),
        (
            fails(span("workflow", "Step 1"), "AgentParsingError", "Error while parsing tool call from model output: no JSON blob."),
            answers("done"),
        ),
    )
    quiet_on = (
        (answers("{not json", finish="stop"),),
        (answers(None, finish="malformed_function_call"),),  # tool.invalid_arguments says that
        (asks("weather"), calls("weather", result="sunny"), answers("sunny")),
        (asks("parse"), fails(calls("parse"), "ValueError", "could not parse output of the sensor"), answers("sorry")),
    )
