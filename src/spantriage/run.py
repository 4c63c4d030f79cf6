"""A run: one trace, or several that belong together. Its steps as they come, in any order, each once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from spantriage import text
from spantriage.history import History
from spantriage.model import Step

__all__ = ["Run", "shorten"]

TEXT_CAP: Final = 1_000  # characters kept of arguments and results once they are read


@dataclass(slots=True)
class Run:
    """The steps of a run as they came."""

    trace_id: int
    steps: dict[int, Step] = field(default_factory=dict)
    parents: dict[int, int | None] = field(default_factory=dict)
    history: History = field(default_factory=History)
    root_ended: bool = False
    truncated: int = 0  # steps beyond the cap, counted and not kept
    duplicates: int = 0
    labels: dict[str, str] = field(default_factory=dict)  # what the source knows: trial_name, task_name, outcome

    def add(self, step: Step, cap: int) -> bool:
        """Keep a step; False when it was there already or the run is full."""
        if step.span_id in self.steps:
            self.duplicates += 1
            return False
        if len(self.steps) >= cap:
            self.truncated += 1
            return False
        self.steps[step.span_id] = step
        self.parents[step.span_id] = step.parent_id
        return True

    def pass_through(self, span_id: int, parent_id: int | None) -> None:
        """Remember a span that is none of an agent's but may lie between spans that are."""
        self.parents.setdefault(span_id, parent_id)

    def join(self, other: Run) -> None:
        """Take in the steps of a trace that turned out to belong to this run."""
        for span_id, step in other.steps.items():
            self.steps.setdefault(span_id, step)
        self.parents.update({k: v for k, v in other.parents.items() if k not in self.parents})
        self.truncated += other.truncated
        self.duplicates += other.duplicates
        self.root_ended = self.root_ended and other.root_ended


def shorten(step: Step) -> None:
    """Keep of the arguments and the result of a step that was read what detectors may quote."""
    step.arguments = None if step.arguments is None else text.clip(step.arguments, TEXT_CAP)
    step.result = None if step.result is None else text.ends(step.result, TEXT_CAP)
