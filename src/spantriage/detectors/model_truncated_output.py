"""model.truncated_output"""

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
class TruncatedOutput(Detector):
    """A model's answer was cut off at its output limit.

    ## Why it matters
    The end is missing: a sentence, the closing brackets of JSON, a tool call's arguments. What uses the answer as if it
    were whole works with half of it.

    ## What to do
    Raise the output limit, ask for shorter answers, or let the model continue where it stopped.

    ## When it is wrong
    Classifiers and probes that ask for a single token are cut off on purpose.
    """

    code = "model.truncated_output"
    category = "resource_limit"
    actionable = "Raise the output limit or ask for less in one answer."
    speaks_of = HOSTS | {"model", "event"}
    signs = frozenset({"length", "truncated_output"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each answer that was cut off; a step that failed over it is its echo."""
        after = f" after {step.output_tokens} tokens" if step.output_tokens is not None else ""
        summary = f"An answer of {step.the_model} was cut off at its output limit{after}"
        yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step) or "length")

    fires_on = (
        (answers("The weather in", finish="length", output_tokens=16),),
        (answers("The weather in", finish="max_tokens"), answers("done")),
        (fails(agent("writer"), "MaxTokensReachedException", "Model stopped generating due to maximum token limit."),),
    )
    quiet_on = (
        (answers("The weather in Paris is sunny."),),
        (asks("weather"), calls("weather", result="sunny"), answers("sunny")),
        (answers("It was cut off because max_tokens was reached.", finish="stop"),),
    )
