"""model.timeout"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.blame import blames_model, reason_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class Timeout(Detector):
    """A model call took longer than its client would wait.

    ## Why it matters
    The time is lost, and the provider may still have counted the tokens. With the client's own retries one slow call
    can hold an agent for many minutes.

    ## What to do
    Set the timeout to what the model needs for its longest answer, stream, ask for shorter answers, or retry on a
    faster model.

    ## When it is wrong
    A timeout on an agent's or a workflow's span counts only when its words name a model or its API; otherwise it is
    `flow.error`, as the slow part may have been anything. A tool's timeout is the tool's.
    """

    code = "model.timeout"
    category = "infrastructure"
    actionable = "Raise the timeout, stream the answer, or ask for less at once."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"timeout"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each call that ran out of time."""
        if blames_model(step):
            waited = f" after {step.duration_ns / 1e9:.1f} s" if step.kind == "model" else ""
            summary = f"A call of {step.the_model} timed out{waited}"
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(answers(None, finish=None), "APITimeoutError", "Request timed out."),),
        (fails(answers(None, finish=None), "ReadTimeout", "The read operation timed out"), answers("done")),
        (fails(agent("writer"), "APITimeoutError", "Request timed out."),),
    )
    quiet_on = (
        (asks("fetch"), fails(calls("fetch"), "ReadTimeout", "timed out"), answers("sorry")),
        (fails(span("workflow", "wait_for_approval"), "TimeoutError", ""), answers("done")),
        (fails(agent("writer"), "TimeoutError", ""),),
        (fails(answers(None, finish=None), "BadRequestError", "Unsupported parameter: 'timeout_ms'"), answers("done")),
    )
