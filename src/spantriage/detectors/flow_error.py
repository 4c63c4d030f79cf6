"""flow.error"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.arguments import blame
from spantriage.blame import blames_model
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.detectors.python_error import is_code_error
from spantriage.environment import trouble_of
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.state import AgentState

_PROVIDERS: Final = frozenset({"rate_limited", "provider_error", "authentication", "timeout", "connection"})  # or so the words say


@dataclass(frozen=True, slots=True)
class FlowError(Detector):
    """An agent, or a step of its workflow, failed by itself: no model call and no tool below it brought the failure up.

    ## Why it matters
    What was done until then is lost unless somebody above catches it. One failure that passes up a chain of spans is
    reported once, where it began.

    ## What to do
    Read the exception. It comes from the program around the model: its graph, its hand-overs, its checks, or a service
    that it called without a tool.

    ## When it is wrong
    Libraries that raise to end a run on purpose (a guardrail that was tripped, a request for approval) are recorded as
    failed all the same. A Python mistake in a workflow's own code is `python.error`; a provider's failure is `model.*`;
    a tool's is `tool.error`: of these, one speaks for each failure.
    """

    code = "flow.error"
    category = "infrastructure"
    kind = "outcome"
    actionable = "Read the exception and handle it where it is raised."
    speaks_of = HOSTS
    signs = frozenset({"error", "permission_denied", "out_of_memory", "invalid_arguments"}) | _PROVIDERS

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak at the deepest span. A warning where the run survived it, an error where it did not."""
        if (
            not step.failed
            or trouble_of(step) is not None
            or is_code_error(step)
            or blame(step) is not None
            or (step.sign in _PROVIDERS and blames_model(step))
        ):
            return
        kind = step.error_type or "an error"
        yield self.found(
            step, f"{step.kind.capitalize()} {step.name} failed with {kind}", root_cause=step.error_message, reason=step.error_type
        )

    fires_on = (
        (fails(agent("boss"), "HandoffError", "no such agent: writer"), answers("done")),
        (fails(agent("boss"), "TimeoutError", ""),),
        (fails(span("workflow", "approve"), "PermissionError", "permission denied: /etc/approvals"), answers("done")),
        (fails(agent("boss"), "ValidationError", "2 validation errors for OrderRecord"),),
        (fails(span("workflow", "load"), "HTTPStatusError", "Server error '503' for url 'https://crm.example'"), answers("done")),
    )
    quiet_on = (
        (answers("done"),),
        (fails(span("workflow", "load"), "KeyError", "'city'"), answers("done")),
        (fails(agent("boss"), "RateLimitError", "Error code: 429 - Rate limit reached"),),
        (asks("search"), fails(calls("search"), "ValueError", "service down"), fails(agent("boss"), "ValueError", "service down")),
        (fails(agent("boss"), "CancelledError", ""),),
    )
