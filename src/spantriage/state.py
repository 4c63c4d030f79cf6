"""What is remembered per run and agent while its steps go by: the reliability record, and what detectors compare with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from spantriage.model import Content, Step, ToolCall
from spantriage.record import Record
from spantriage.spending import Spending

__all__ = ["AgentState", "Answered", "Outcomes", "RunState"]

RECENT: Final = 64  # tool calls of an agent that sequence detectors may look back on
SEEN: Final = 1_024  # different calls of an agent whose outcomes are counted; later ones are not


@dataclass(slots=True)
class Answered:
    """A requested tool call, and whether anything answered it."""

    call: ToolCall
    step: Step  # the model call that asked
    answered: bool = False


@dataclass(slots=True)
class Outcomes:
    """How one and the same call, with the same arguments, has turned out so far."""

    succeeded: int = 0
    failed: int = 0
    turns: int = 0  # from success to failure and back
    at_once: int = 0  # turns with no other call between the two
    broken: bool = False  # the last one failed


@dataclass(slots=True)
class AgentState:
    """One invocation of one agent: its calls, its tools, its record."""

    name: str
    run: RunState
    record: Record
    calls: deque[Step] = field(default_factory=lambda: deque(maxlen=RECENT))  # tool steps, oldest first
    streak: int = 0  # how many of the last calls were the same tool with the same arguments and result
    failing: int = 0  # how many of the last calls were the same tool with the same arguments and failed
    declared: dict[str, Mapping[str, object] | None] = field(default_factory=dict)
    requested: dict[str, Answered] = field(default_factory=dict)
    model: Step | None = None  # its last model call
    models: int = 0
    span: Step | None = None  # its own span, once that is known
    seen: dict[int, Outcomes] = field(default_factory=dict)  # call digest -> how that call turned out

    def add(self, step: Step) -> None:
        """Take in one step; before the detectors see it."""
        self.record.add(step)
        if step.kind == "tool":
            self._add_call(step)
        elif step.kind == "model":
            self.model, self.models = step, self.models + 1
        elif step.kind == "agent":
            self.span = step
        if step.content is not None:
            self._add_content(step, step.content)

    def _add_call(self, step: Step) -> None:
        last = self.calls[-1] if self.calls else None
        same = last is not None and last.tool == step.tool and last.arguments_digest == step.arguments_digest
        bad = step.sign != "ok"
        if same and step.arguments_digest is not None and last is not None and last.result_digest == step.result_digest and not bad:
            self.streak += 1
        else:
            self.streak = 0 if bad else 1
        self.failing = (self.failing + 1 if same else 1) if bad else 0
        self.calls.append(step)
        if step.arguments_digest is not None and step.sign != "cancelled":
            self._add_outcome(step, bad, same)
        if step.call_id is not None and (asked := self.requested.get(step.call_id)) is not None:
            asked.answered = True

    def _add_outcome(self, step: Step, bad: bool, same: bool) -> None:
        key = hash((step.tool, step.arguments_digest))
        seen = self.seen.get(key)
        if seen is None:
            if len(self.seen) >= SEEN:
                return
            seen = self.seen[key] = Outcomes()
        elif seen.broken is not bad:
            seen.turns += 1
            seen.at_once += same
        seen.succeeded += not bad
        seen.failed += bad
        seen.broken = bad

    def _add_content(self, step: Step, content: Content) -> None:
        if content.declared:
            self.declared.update(content.declared)
        for result in content.results:
            if result.call_id is not None and (asked := self.requested.get(result.call_id)) is not None:
                asked.answered = True
        for number, call in enumerate(content.requested):
            self.requested[call.call_id or f"{step.span_id}:{number}"] = Answered(call, step)


@dataclass(slots=True)
class RunState:
    """One run as its detectors see it: agents by invocation, steps by span id."""

    trace_id: int
    agents: dict[tuple[str, int | None], AgentState] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)
    parents: dict[int, int | None] = field(default_factory=dict)
    root: Step | None = None
    past: Spending | None = None  # what agents have cost in the runs before this one
    ended: bool = False  # its root has ended and every step that will come is here

    def agent_of(self, step: Step) -> AgentState:
        """The invocation that the step belongs to; made when it is the first of it."""
        name = step.agent or "unknown"
        key = (name, step.agent_span_id)
        state = self.agents.get(key)
        if state is None:
            record = self.records.get(name)
            if record is None:
                record = self.records[name] = Record()
            state = self.agents[key] = AgentState(name, self, record)
        return state
