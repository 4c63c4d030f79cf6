"""trace.evidence_unavailable"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class EvidenceUnavailable(Detector):
    """The messages of an agent's model calls were not recorded, so some failures could not have been seen.

    ## Why it matters
    Unknown tools, arguments that do not parse, empty answers and failures returned as text show in messages only. No
    finding about them means nothing here.

    ## What to do
    Turn on content capture in the instrumentation where that is allowed; for most it is one setting or environment
    variable, such as `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.

    ## When it is wrong
    It is a statement about the trace, not about the agent: where content must not be recorded, switch it off.
    """

    code = "trace.evidence_unavailable"
    category = "infrastructure"
    severity = "info"
    score = 1.0
    actionable = "Turn on content capture in the instrumentation, where that is allowed."

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for each agent, at its first model call that came to an end."""
        first: dict[str, Step] = {}
        seen: set[str] = set()
        for step in settled.sequence:
            if step.kind != "model" or step.failed or step.agent is None:
                continue
            if step.content is not None and step.content.captured:
                seen.add(step.agent)
            elif step.finish is not None or step.output_tokens is not None:
                first.setdefault(step.agent, step)
        for agent, step in first.items():
            if agent not in seen:
                yield self.found(step, f"The messages of {agent} were not recorded: unknown tools and empty answers could not be seen")

    fires_on = (
        (answers(None, captured=False),),
        (asks("search", captured=False), calls("search"), answers(None, captured=False)),
    )
    quiet_on = (
        (answers("done"),),
        (answers(None, captured=False), answers("done")),
        (fails(answers(None, finish=None, captured=False), "RateLimitError", "Error code: 429"),),
        (calls("search", result="3 results"),),
    )
