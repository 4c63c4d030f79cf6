"""What ended below a span that is still open: records and failures on their way up to the agent they belong to.

Spans end children first. A step that names its agent counts for it at once; any other counts for its parent, and
when the parent ends it either turns out to be the agent and keeps what came from below, or hands it on to its own
parent. So each agent's record is complete when its span ends, even where a library says only then that it was one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from spantriage.blame import echoes, leads_to
from spantriage.engine import Engine
from spantriage.model import Step, Verdict
from spantriage.record import Record
from spantriage.state import AgentState, RunState

__all__ = ["Below", "Subtrees"]

NAMELESS = ""


@dataclass(slots=True)
class Below:
    """What ended below one open span."""

    record: Record = field(default_factory=Record)
    failure: Step | None = None  # the deepest failed step, or an answer that a step above may fail over
    model_inside: bool = False


@dataclass(slots=True)
class Subtrees:
    """The open spans of one run that something ended below, by span id; 0 stands for "above the root"."""

    state: RunState
    cap: int
    below: dict[int, Below] = field(default_factory=dict)

    def feed(self, step: Step, engine: Engine) -> tuple[list[Verdict], Record]:
        """Take in an ended step and ask the detectors; returns their verdicts and the record that the step counts for."""
        under = self.below.pop(step.span_id, None)
        agent = self._agent(step)
        if under is not None and under.record.steps:
            agent.record.merge(under.record)
        if step.failed and under is not None and under.failure is not None and echoes(step, under.failure):
            step.sign = "echo"
        self._tell_parent(step, under)
        if _is_wrapper(step, under):
            agent.record.steps += 1
            return [], agent.record
        verdicts = engine.feed(step, agent)
        for verdict in verdicts:
            verdict.near = agent.name or None
            agent.record.note(verdict)
        return verdicts, agent.record

    def counts(self, step: Step) -> bool:
        """Say whether the step, which is about to be fed, counts for itself: not if it wraps a model call that was counted."""
        return not _is_wrapper(step, self.below.get(step.span_id))

    def pass_through(self, span_id: int, parent_id: int | None) -> None:
        """A span that is none of an agent's ended: what is below it moves up."""
        under = self.below.pop(span_id, None)
        if under is None:
            return
        above = self.below.get(parent_id or 0)
        if above is None:
            self.below[parent_id or 0] = under
            return
        above.record.merge(under.record)
        above.failure = under.failure or above.failure
        above.model_inside = above.model_inside or under.model_inside

    def total(self) -> Record:
        """All agents of the run together, and what has found no agent."""
        total = Record()
        for record in (*self.state.records.values(), *(below.record for below in self.below.values())):
            total.merge(record)
        return total

    def _agent(self, step: Step) -> AgentState:
        name = step.agent
        agent = self.state.agents.get((name or NAMELESS, None))
        if agent is None:
            agent = self.state.agents[name or NAMELESS, None] = AgentState(name or NAMELESS, self.state, Record())
            if name is not None:
                self.state.records[name] = agent.record
        if name is None:
            agent.record = self._above(step).record
        return agent

    def _above(self, step: Step) -> Below:
        key = step.parent_id or 0
        above = self.below.get(key)
        if above is None:
            above = Below()
            if len(self.below) < self.cap:
                self.below[key] = above
        return above

    def _tell_parent(self, step: Step, under: Below | None) -> None:
        failure = None if under is None else under.failure
        if step.failed:
            self._above(step).failure = failure if step.sign == "echo" else step
        elif failure is not None and step.kind == "workflow":
            self._above(step).failure = failure
        elif leads_to(step) and self._above(step).failure is None:
            self._above(step).failure = step
        if step.kind == "model":
            self._above(step).model_inside = True


def _is_wrapper(step: Step, under: Below | None) -> bool:
    """Whether this is a second instrumentation's span around a model call."""
    return step.kind == "model" and under is not None and under.model_inside
