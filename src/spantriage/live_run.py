"""One run that is live: its steps so far, what they amount to, which findings it has already given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from spantriage.engine import Judgement
from spantriage.late import load_finding
from spantriage.model import Verdict
from spantriage.record import Record
from spantriage.run import Run
from spantriage.subtree import Subtrees

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["LiveRun"]

WITHDRAWN: Final = "withdrawn"


@dataclass(slots=True)
class LiveRun:
    """A run on the worker's side."""

    run: Run
    early: Subtrees  # in order of arrival, for findings that must not wait
    last_ns: int  # of the monotonic clock, when something came
    given: dict[str, tuple[str, Verdict]] = field(default_factory=dict)  # finding id -> what was said last
    judgement: Judgement | None = None  # None while something new has come since
    version: int = 0  # grows with each step
    bare: bool = True  # model calls and nothing else: the call of a program without a framework, in a trace of its own

    def take_over(self, other: LiveRun) -> None:
        """Take in a run that turned out to be a part of this one."""
        self.run.join(other.run)
        self.version += 1
        self.judgement = None
        self.given.update(other.given)
        self.last_ns = max(self.last_ns, other.last_ns)

    def records(self) -> dict[str, Record]:
        """Each agent's record: as judged, or as far as it has come."""
        return self.judgement.state.records if self.judgement is not None else self.early.state.records

    def say(self, verdict: Verdict, *, primary: bool = False) -> tuple[str, Finding | None]:
        """The id of the verdict's finding, and the finding unless just that was said before. Raises ValueError if it is none."""
        finding: Finding = load_finding().make_finding(verdict, primary=primary)
        said = finding.model_dump_json()
        before = self.given.get(finding.finding_id)
        if before is not None and before[0] == said:
            return finding.finding_id, None
        self.given[finding.finding_id] = (said, verdict)
        return finding.finding_id, finding

    def take_back(self, confirmed: set[str]) -> Iterator[Verdict]:
        """Withdraw what was given and is not confirmed, each once; every verdict that comes is to be said once more."""
        for finding_id in sorted(self.given.keys() - confirmed):
            said, verdict = self.given[finding_id]
            if said != WITHDRAWN:
                verdict.withdraw()
                yield verdict
                self.given[finding_id] = (WITHDRAWN, verdict)
