"""What the detectors of `infra.*` share: a step failed because of the place where it ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from spantriage import text
from spantriage.detectors import Detector
from spantriage.environment import Trouble, trouble_of, troubles_of
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState

__all__ = ["TroubledPlace"]

WORDS_CAP: Final = 160  # characters of a result that are given as the cause


@dataclass(frozen=True, slots=True)
class TroubledPlace(Detector):
    """Speaks of each step with one kind of trouble; softly where the same agent's next tools worked again."""

    trouble: ClassVar[Trouble]
    says: ClassVar[str]  # what happened, as it follows "Tool bash"

    score = 0.8
    speaks_of = HOSTS | {"tool"}

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak at once."""
        if not agent.run.ended and trouble_of(step) == self.trouble:
            yield self._speak(step, went_on=False)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each step that it hit."""
        for step, went_on in troubles_of(settled, self.trouble):
            yield self._speak(step, went_on=went_on)

    def _speak(self, step: Step, *, went_on: bool) -> Verdict:
        words = step.error_message if step.failed else text.clip(" ".join((step.result or "").split()), WORDS_CAP)
        where = f"Tool {step.tool}" if step.kind == "tool" else f"{step.kind.capitalize()} {step.name}"
        return self.found(
            step,
            f"{where} {self.says}",
            root_cause=words,
            reason=step.error_type,
            severity="info" if went_on and not step.failed else None,
        )
