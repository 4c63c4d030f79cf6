"""model.provider_error"""

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
class ProviderError(Detector):
    """A model call failed at its provider: a server error, an overload, or a request that it would not take.

    ## Why it matters
    The agent got no answer. A 5xx is the provider's and passes; a 400, 404 or 422 is the request's own and comes back
    with every retry.

    ## What to do
    For server errors retry with backoff, or fall back to another provider. For refused requests read the message: an
    unknown model name, an unsupported parameter or a broken message history are the usual reasons.

    ## When it is wrong
    A model call that fails with words that we do not know is counted here too, with a score of 0.6: it may be a bug in
    the code around the call. A tool's own 500 is the tool's error.
    """

    code = "model.provider_error"
    category = "infrastructure"
    actionable = "Retry server errors with backoff; correct requests that the provider refuses."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"provider_error", "error"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each failed call; a failure without known words counts on a model call only."""
        known = step.sign == "provider_error"
        if (known and blames_model(step)) or step.kind == "model":
            summary = f"A call of {step.the_model} failed" + (" at its provider" if known else "")
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step), score=0.9 if known else 0.6)

    fires_on = (
        (fails(answers(None, finish=None), "InternalServerError", "Error code: 500 - The server had an error"),),
        (
            fails(
                agent("writer"), "ChatClientException", "service failed to complete the prompt: Error code: 500 - The server had an error"
            ),
        ),
        (fails(answers(None, finish=None), "OverloadedError", "Error code: 529 - Overloaded"), answers("done")),
        (fails(answers(None, finish=None), "SomethingElse", "went wrong"), answers("done")),
        (answers(None, finish="error"), answers("done")),
    )
    quiet_on = (
        (asks("search"), fails(calls("search"), "HTTPStatusError", "Server error '503 Service Unavailable'"), answers("sorry")),
        (
            fails(span("workflow", "load"), "HTTPError", "500 Server Error: Internal Server Error for url: https://intranet.example"),
            answers("done"),
        ),
        (asks("read"), calls("read", result="The log has 500 lines; one says: model overloaded."), answers("done")),
        (answers("The server had an error yesterday, today it is fine."),),
    )
