"""trace.misparented"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, span
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class Misparented(Detector):
    """Spans hang in the wrong place of the tree: below another agent than the one they name, or in a circle.

    ## Why it matters
    Whoever adds up by parent puts one agent's tokens, errors and time on another's account. Here each step counts for
    the agent that it names.

    ## What to do
    Concurrent tasks take over the span that is current when they are made: start each agent in a context of its own
    (`contextvars.copy_context()`), and leave no span current after its task has ended.

    ## When it is wrong
    A library that names the calling agent on the steps of the called one looks the same.
    """

    code = "trace.misparented"
    category = "infrastructure"
    severity = "info"
    actionable = "Start concurrent agents in contexts of their own."

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for each pair of agents, and once for all circles."""
        circle = [s for s in settled.sequence if s.span_id in settled.cyclic and not s.implied]
        if circle:
            yield self.found(circle[0], f"{len(circle)} spans are their own ancestors", evidence=circle, reason="cycle", score=1.0)
        strays: dict[tuple[str, str], list[Step]] = {}
        for step in settled.sequence:
            if step.kind in ("agent", "other") or step.implied or step.agent is None:
                continue
            nearest = next((above for above in settled.above(step) if above.kind == "agent"), None)
            if nearest is not None and nearest.agent is not None and nearest.agent != step.agent:
                strays.setdefault((step.agent, nearest.agent), []).append(step)
        for (own, other), steps in strays.items():
            summary = f"{len(steps)} spans of agent {own} hang below agent {other}"
            yield self.found(steps[0], summary, evidence=steps, reason="other_agent")

    fires_on = (
        (agent("boss", span_id=9, result="ok"), answers("done", agent="writer", parent_id=9)),
        (
            span("agent", "a", agent="a", span_id=21, result="x"),
            span("agent", "b", agent="b", span_id=22, result="y"),
            asks("search", parent_id=21, agent="b"),
            calls("search", result="3 results", parent_id=21, agent="b"),
        ),
        (span("workflow", "node", span_id=31, parent_id=32), span("workflow", "other", span_id=32, parent_id=31), answers("done")),
    )
    quiet_on = (
        (agent("boss", result="done"), answers("done", agent="boss")),
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (agent("boss", result="done"), span("agent", "writer", agent="writer", span_id=41, result="x"), answers("x", parent_id=41)),
        (span("workflow", "node", span_id=31), answers("done", parent_id=31)),
    )
