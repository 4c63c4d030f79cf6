"""model.rate_limited"""

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
class RateLimited(Detector):
    """A model's provider refused a call because of a rate limit or a used-up quota.

    ## Why it matters
    The call did nothing, and what the agent had done until then may be lost with it. Where a library retries, every
    attempt adds waiting time; retries that succeed inside the provider's client leave no trace at all.

    ## What to do
    Retry with exponential backoff and honour `retry-after`. Spread load over time, ask for a higher limit, or fall back
    to another model. "insufficient_quota" needs a payment, not a retry.

    ## When it is wrong
    A tool's own 429 is the tool's error and is not counted here. On the span of an agent or a workflow, the words must
    name a model or its API, otherwise `flow.error` speaks.
    """

    code = "model.rate_limited"
    category = "infrastructure"
    actionable = "Retry with backoff and honour retry-after, or raise the limit."
    speaks_of = HOSTS | {"model"}
    signs = frozenset({"rate_limited"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each refused call; echoes further up are silent already."""
        if blames_model(step):
            summary = f"A call of {step.the_model} was refused by a rate limit"
            yield self.found(step, summary, root_cause=step.error_message, reason=reason_of(step))

    fires_on = (
        (fails(answers(None, finish=None), "RateLimitError", "Error code: 429 - Rate limit reached for gpt-4o"),),
        (fails(agent("writer"), "ModelRateLimitError", "status_code: 429, model_name: small, body: {'code': 'rate_limit_exceeded'}"),),
        (fails(answers(None, finish=None), "ClientError", "429 RESOURCE_EXHAUSTED. You exceeded your current quota"), answers("done")),
    )
    quiet_on = (
        (
            asks("search"),
            fails(calls("search"), "HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://api.example'"),
            answers("sorry"),
        ),
        (fails(answers(None, finish=None), "APIStatusError", "tool schema is invalid at line 4290"), answers("done")),
        (
            fails(span("workflow", "fetch"), "HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://weather.example'"),
            answers("done"),
        ),
        (asks("read"), calls("read", result="See section 429 of the report on rate limits."), answers("done")),
    )
