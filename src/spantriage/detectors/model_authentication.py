"""model.authentication"""

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
class Authentication(Detector):
    """A model's provider did not accept the credentials of a call, or does not permit what it asked for.

    ## Why it matters
    Nothing works until somebody changes a key or a permission; retries cannot help.

    ## What to do
    Check that the key is set where the agent runs, belongs to the right project and region, and may use this model.

    ## When it is wrong
    Credentials of a tool are the tool's business: its failures are never counted here.
    """

    code = "model.authentication"
    category = "infrastructure"
    actionable = "Set a valid key with access to this model."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"authentication"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each refused call."""
        if blames_model(step):
            summary = f"A call of {step.the_model} was refused for its credentials or permissions"
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(answers(None, finish=None), "AuthenticationError", "Error code: 401 - Incorrect API key provided"),),
        (fails(answers(None, finish=None), "PermissionDeniedError", "Error code: 403 - Project does not have access to model"),),
        (fails(agent("writer"), "OpenAIError", "The api_key client option must be set"),),
    )
    quiet_on = (
        (
            asks("mail"),
            fails(calls("mail"), "HTTPStatusError", "Client error '401 Unauthorized' for url 'https://mail.example'"),
            answers("sorry"),
        ),
        (
            fails(span("workflow", "login"), "HTTPStatusError", "Client error '401 Unauthorized' for url 'https://crm.example'"),
            answers("done"),
        ),
        (answers("Authentication is how a server learns who you are."),),
    )
