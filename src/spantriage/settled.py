"""A run in canonical order: every step in its place, attributed, one failure told once.

Spans end children first, roots sometimes before their children, under parents that are missing, wrong or no agent's.
Nothing here depends on the order of arrival: the same steps give the same sequence, attribution and nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from operator import attrgetter
from typing import Final

from spantriage import dialects
from spantriage.blame import echoes, leads_to
from spantriage.implied import with_implied
from spantriage.model import Step
from spantriage.run import Run

__all__ = ["Settled"]

DEPTH: Final = 4_096  # ancestors walked at most
ECHO_DEPTH: Final = 128  # spans that one failure is followed up
_ABSORBED: Final = (
    "model", "provider", "finish", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "content",
)  # fmt: skip


@dataclass(slots=True)
class Settled:
    """A run's steps in canonical order, each attributed; made anew from a run whenever it is judged."""

    trace_id: int
    sequence: list[Step]  # by start; calls known only from messages stand before the model call that shows them
    steps: dict[int, Step]
    parents: dict[int, int | None]
    root: Step | None
    truncated: int = 0  # steps beyond the cap that are not here
    fatal: set[int] = field(default_factory=set)  # failures that reached the root, or an agent with none above it
    cyclic: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)  # steps whose parent never came
    memo: dict[str, object] = field(default_factory=dict)  # what several detectors work out of it, once it is settled

    @classmethod
    def of(cls, run: Run) -> Settled:
        """Put everything in its place: order, nesting, agents, echoes of one failure, calls known from messages only."""
        steps = {step.span_id: Step(*_FIELDS(step)) for step in sorted(run.steps.values(), key=lambda s: s.order)}
        settled = cls(run.trace_id, list(steps.values()), steps, run.parents, None, run.truncated)
        settled._find_roots()
        settled._unstack_models()
        settled._merge_streams()
        dialects.settle(settled.sequence)
        settled._attribute()
        settled._find_echoes()
        settled.sequence = with_implied(settled.sequence)
        return settled

    def above(self, step: Step) -> Iterator[Step]:
        """The step's ancestors that are steps, nearest first; ends at a missing parent or a cycle."""
        seen = {step.span_id}
        span_id = step.parent_id
        while span_id is not None and span_id not in seen and len(seen) < DEPTH:
            seen.add(span_id)
            found = self.steps.get(span_id)
            if found is not None:
                yield found
            span_id = self.parents.get(span_id)

    def _find_roots(self) -> None:
        self.orphans = {s.span_id for s in self.sequence if s.parent_id is not None and s.parent_id not in self.parents}
        self._find_cycles()
        candidates = [s for s in self.sequence if s.parent_id is None] or [
            s for s in self.sequence if s.kind in ("agent", "workflow") and next(self.above(s), None) is None
        ]
        self.root = max(candidates, key=lambda s: (s.kind in ("agent", "workflow"), s.end_ns - s.start_ns, -s.start_ns), default=None)

    def _find_cycles(self) -> None:
        cleared: set[int] = set()
        for step in self.sequence:
            path: dict[int, None] = {}
            span_id: int | None = step.span_id
            while span_id is not None and span_id not in cleared and span_id not in path:
                path[span_id] = None
                span_id = self.parents.get(span_id)
            if span_id in path:
                ring = list(path)
                self.cyclic.update(each for each in ring[ring.index(span_id) :] if each in self.steps)
            cleared.update(path)

    def _unstack_models(self) -> None:
        """Two instrumentations of one call nest two model spans: the inner is the call, the outer its wrapper."""
        for step in reversed(self.sequence):
            if step.kind != "model":
                continue
            for outer in self.above(step):
                if outer.kind == "model":
                    self._absorb(step, outer)
                    outer.kind = "workflow"
                    if outer.sign in ("length", "stop", "tool_calls", "content_filter", "malformed_tool_call", "unknown"):
                        outer.sign = "ok"
                elif outer.kind in ("agent", "tool"):
                    break

    @staticmethod
    def _absorb(step: Step, other: Step) -> None:
        for name in _ABSORBED:
            if getattr(step, name) is None:
                setattr(step, name, getattr(other, name))
        ours, theirs = step.content, other.content
        if ours is not None and theirs is not None and not ours.captured and theirs.captured:
            step.content = theirs
        elif ours is not None and theirs is not None and not ours.replied and theirs.replied:
            reply = {name: getattr(theirs, name) for name in ("text", "refusal", "requested", "replied")}
            step.content = replace(ours, results=ours.results or theirs.results, **reply)
        if step.sign == "ok" and not other.failed and other.sign != "ok":
            step.sign = other.sign

    def _merge_streams(self) -> None:
        """A streamed reply that was logged beside its request belongs to the request."""
        open_calls: dict[int | None, list[Step]] = {}
        for step in self.sequence:
            if step.kind == "model" and step.input_tokens is None and not step.failed:
                open_calls.setdefault(step.parent_id, []).append(step)
                open_calls.setdefault(step.span_id, []).append(step)
            elif step.kind == "event" and step.streamed and (waiting := open_calls.get(step.parent_id)):
                asked = waiting.pop(0)
                self._absorb(asked, step)
                step.kind, step.sign = "other", "ok"

    def _attribute(self) -> None:
        """Whose step it is: its own word, else the nearest agent above, else the root's."""
        begun: dict[str, list[Step]] = {}  # agents by name, in the order they began; those that have ended are dropped on the way
        nearest: dict[int, Step | None] = {}
        for step in self.sequence:
            if step.kind == "agent":
                step.agent_span_id = step.span_id
                step.agent = step.agent or step.name
                begun.setdefault(step.agent, []).append(step)
                continue
            own = step.agent
            match = next((s for s in self._agents_above(step, nearest) if own is None or s.agent == own), None)
            if match is None and own is not None:  # a broken tree: the agent of that name that was at work then
                at_work = begun.get(own, [])
                while at_work and at_work[-1].end_ns < step.start_ns:
                    at_work.pop()
                match = at_work[-1] if at_work else None
            if match is not None:
                step.agent, step.agent_span_id = match.agent, match.span_id
        fallback = self.root
        for step in self.sequence:
            if step.agent is None:
                step.agent = (fallback.agent or fallback.name) if fallback is not None else step.name

    def _agents_above(self, step: Step, nearest: dict[int, Step | None]) -> Iterator[Step]:
        """Agent spans above, nearest first. `nearest` remembers, so that all walks together pass each span once."""
        seen: set[int] = set()
        while step.parent_id is not None and step.span_id not in seen:
            seen.add(step.span_id)
            path: dict[int, None] = {}
            span_id: int | None = step.parent_id
            found: Step | None = None
            while span_id is not None and span_id not in path:
                if span_id in nearest:
                    found = nearest[span_id]
                    break
                path[span_id] = None
                above = self.steps.get(span_id)
                if above is not None and above.kind == "agent":
                    found = above
                    break
                span_id = self.parents.get(span_id)
            nearest.update((each, found) for each in path)
            if found is None:
                return
            yield found
            step = found

    def _find_echoes(self) -> None:
        """One failure passed up the ancestor chain is one failure, at its deepest span."""
        silenced: set[int] = set()
        for step in reversed(self.sequence):
            if step.span_id in silenced or not (step.failed or leads_to(step)):
                continue
            reached = step.failed and self._is_top(step)
            for parent in islice(self.above(step), ECHO_DEPTH):
                if parent.failed and echoes(parent, step):
                    silenced.add(parent.span_id)
                    reached = reached or self._is_top(parent)
                elif step.kind == "model" and not parent.failed and parent.sign == step.sign:
                    silenced.add(parent.span_id)  # an agent's answer that ends as its model's did
            if reached:
                self.fatal.add(step.span_id)
        for span_id in silenced:
            self.steps[span_id].sign = "echo"

    def _is_top(self, step: Step) -> bool:
        """Whether nobody of an agent's stands above who could have caught the step's failure."""
        return step is self.root or (step.kind == "agent" and not any(s.kind in ("agent", "tool") for s in self.above(step)))

    @property
    def dead(self) -> Step | None:
        """The span whose failure is the run's: the root's, or its last agent's where a root stays OK whatever happens."""
        if self.root is not None and self.root.failed:
            return self.root
        last = max((s for s in self.sequence if s.kind == "agent" and self._is_top(s)), key=lambda s: (s.end_ns, s.span_id), default=None)
        return last if last is not None and last.failed else None


_FIELDS: Final = attrgetter(*(f.name for f in fields(Step)))  # a copy five times faster than copy.copy
assert {*_ABSORBED} <= {f.name for f in fields(Step)}
