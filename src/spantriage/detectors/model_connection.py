"""model.connection"""

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
class Connection(Detector):
    """A model call failed on its way: the connection was refused, reset or lost, or the host could not be found.

    ## Why it matters
    The provider may never have seen the request, or its answer was lost half-way.

    ## What to do
    Retry with backoff. When it happens every time, check base URL, proxy, DNS and certificates from where the agent runs.

    ## When it is wrong
    A lost connection on an agent's or a workflow's span counts only when its words name a model or its API; a database
    or a tool server that went away is `flow.error` or `tool.error`.
    """

    code = "model.connection"
    category = "infrastructure"
    actionable = "Retry with backoff; check base URL, proxy and certificates."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"connection"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each call that was lost."""
        if blames_model(step):
            summary = f"The connection failed in a call of {step.the_model}"
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(answers(None, finish=None), "APIConnectionError", "Connection error."),),
        (
            fails(answers(None, finish=None), "RemoteProtocolError", "peer closed connection without sending complete message body"),
            answers("done"),
        ),
        (fails(agent("writer"), "APIConnectionError", "Connection error."),),
    )
    quiet_on = (
        (asks("query"), fails(calls("query"), "ConnectionError", "connection refused"), answers("sorry")),
        (
            fails(span("workflow", "load"), "OperationalError", "connection to server at 10.0.0.7 was refused: Connection refused"),
            answers("done"),
        ),
        (answers("A connection error means that the network is down."),),
    )
