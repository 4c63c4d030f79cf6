"""One failure pattern per file. A detector's docstring is its page, its fields are its settings, its examples its tests."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final, Literal

from spantriage.calls import used
from spantriage.model import Kind, Severity, Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState

__all__ = ["ANY_KIND", "Detector", "Example", "Tier", "all_detectors", "named"]

Tier = Literal["inline", "worker", "run"]
Example = tuple[Step, ...]
ANY_KIND: Final[frozenset[Kind]] = frozenset(("workflow", "agent", "model", "tool", "retrieval", "guardrail", "setup", "event", "other"))


@dataclass(frozen=True, slots=True)
class Detector:
    """A failure pattern. Subclass it in a file of its own; the folder is scanned, nothing else has to be edited.

    `tier` says where `check` runs: "inline" on the agent's thread as a span ends (constant work, scalars only),
    "worker" on the worker once messages are read; `conclude` of any detector runs when the run is complete.
    """

    code: ClassVar[str]
    category: ClassVar[str]
    subcategory: ClassVar[str | None] = None
    kind: ClassVar[Literal["incident", "outcome"]] = "incident"
    severity: ClassVar[Severity] = "warning"
    score: ClassVar[float] = 0.9
    actionable: ClassVar[str] = "none"
    tier: ClassVar[Tier] = "inline"
    speaks_of: ClassVar[frozenset[Kind]] = frozenset()  # kinds of step that `check` wants to see; none: only `conclude`
    signs: ClassVar[frozenset[str] | None] = None  # signs that it wants to see; None: all
    needs_failure: ClassVar[bool] = False  # it speaks only of runs that are known to have failed
    fires_on: ClassVar[tuple[Example, ...]] = ()
    quiet_on: ClassVar[tuple[Example, ...]] = ()

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Say what is wrong with `step`, which `agent` has already taken in."""
        return iter(())

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Say what is wrong with the whole run, once it is complete."""
        return iter(())

    def found(
        self,
        step: Step,
        summary: str,
        *,
        root_cause: str | None = None,
        actionable: str | None = None,
        reason: str | None = None,
        severity: Severity | None = None,
        score: float | None = None,
        evidence: Iterable[Step] = (),
        agent: str | None = None,
        wasted: Iterable[Step] = (),
    ) -> Verdict:
        """A verdict on `step`; whatever is not given is the detector's own. `wasted` are model calls made for nothing."""
        spent = used(wasted)
        return Verdict(self, step, summary, root_cause, actionable, reason, severity, score, tuple(evidence), agent, None, *spent)

    @property
    def title(self) -> str:
        """The first sentence of the page."""
        return inspect.cleandoc(type(self).__doc__ or "").partition("\n\n")[0].replace("\n", " ")


@cache
def all_detectors() -> tuple[type[Detector], ...]:
    """Every class in this folder that has a code, by it."""
    found: dict[str, type[Detector]] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, type) and issubclass(value, Detector) and value.__module__ == loaded.__name__ and hasattr(value, "code"):
                found[value.code] = value
    return tuple(found[code] for code in sorted(found))


def named(code: str) -> type[Detector] | None:
    """The detector with this code."""
    return next((detector for detector in all_detectors() if detector.code == code), None)
