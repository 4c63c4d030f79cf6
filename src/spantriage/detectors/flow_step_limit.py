"""flow.step_limit"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class StepLimit(Detector):
    """An agent was stopped because it had used up its turns, steps or calls.

    ## Why it matters
    Whatever it was about to do is lost, mostly with no answer at all, at the price of the longest possible run.

    ## What to do
    Look for a loop first: raising the limit of an agent that goes in circles makes it dearer, not better. Raise it when
    the run was making progress to its end.

    ## When it is wrong
    Limits that only warn, and limits of something else that is counted in steps or turns, may use the same words.
    Many libraries stop at their limit without any error; then this finding cannot appear.
    """

    code = "flow.step_limit"
    category = "resource_limit"
    kind = "outcome"
    actionable = "Look for a loop in the steps before the limit; raise the limit only if there was progress."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"step_limit"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak where the limit was hit. A warning for a part that its caller survived, an error for the whole run."""
        summary = f"{step.agent or step.name} was stopped by its limit of steps"
        yield self.found(step, summary, root_cause=step.error_message, reason=step.error_type)

    fires_on = (
        (fails(agent("boss"), "GraphRecursionError", "Recursion limit of 8 reached without hitting a stop condition."), asks("weather")),
        (fails(agent("boss"), "UsageLimitExceeded", "The next request would exceed the request_limit of 8."), asks("weather")),
        (fails(agent("boss"), "MaxTurnsExceeded", "Max turns (5) exceeded"), asks("weather")),
        (fails(span("workflow", "step"), "WorkflowRuntimeError", "Max iterations of 5 reached!"), answers("done")),
    )
    quiet_on = (
        (asks("weather"), calls("weather", result="sunny"), answers("sunny")),
        (asks("job"), fails(calls("job"), "ValueError", "max steps of the motor reached"), answers("stopped")),
        (fails(agent("boss"), "RecursionError", "maximum recursion depth exceeded"),),
    )
