"""flow.never_ended"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, span
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class NeverEnded(Detector):
    """An agent, a model call or a tool has been open for very long, and nothing in its run has ended since.

    Live only: what never ends leaves no span behind. It is told of the span that started last, since the others wait
    for it, and withdrawn when that span ends after all.

    ## Why it matters
    A hanging call is invisible: no error, no span, only an agent that does not come back, and mostly a user who waits.

    ## What to do
    Give model calls and tools a timeout. Look at what the span in question was waiting for.

    ## When it is wrong
    Some tools rightly take longer than `open_s`, and people who are asked for approval take as long as they like. A
    span that the program forgot to end looks the same.
    """

    code = "flow.never_ended"
    category = "infrastructure"
    kind = "outcome"
    score = 0.6
    actionable = "Give model calls and tools a timeout."
    speaks_of = frozenset({"agent", "model", "tool", "workflow"})
    signs = frozenset({"never_ended"})

    open_s: float = 600.0
    """After how many seconds without anything ending in the run."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak of an open span that the worker's heartbeat has found."""
        waited = f"{step.duration_ns / 1e9:.0f} s"
        yield self.found(
            step, f"{step.kind.capitalize()} {step.name} has been open for {waited}, and nothing has ended since", reason=step.kind
        )

    fires_on = (
        (agent("boss"), span("model", "chat big", sign="never_ended")),
        (agent("boss"), asks("search"), span("tool", "execute_tool search", tool="search", sign="never_ended")),
    )
    quiet_on = (
        (agent("boss"), answers("done")),
        (agent("boss"), asks("search"), calls("search", result="3 results"), answers("done")),
        (agent("boss", sign="cancelled"), answers("done")),
    )
