"""Everything that is known of one run when its report is written: steps, findings, records, and its log's files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from spantriage import attempts
from spantriage.finding import Finding
from spantriage.folder import Folder
from spantriage.model import Step
from spantriage.record import Record
from spantriage.replay import Judged
from spantriage.report.moments import Moment, moments_of
from spantriage.report.places import Places
from spantriage.report.words import Ref
from spantriage.sources import massgen
from spantriage.sources.massgen_log import Log
from spantriage.sources.spans import BESIDE
from spantriage.sources.talk import mapping

__all__ = ["NS", "Case", "open_case"]

NS: Final = 1_000_000_000
WORKERS: Final = frozenset({"agent", "model", "tool"})


@dataclass
class Case:
    """One run. `steps` are in canonical order and attributed; `log` is there where a MassGen log folder is."""

    judged: Judged
    log: Log | None
    places: Places | None
    home: str  # paths are told as seen from here
    own: list[Step] = field(default_factory=list)  # the log's own steps
    skips: list[str] = field(default_factory=list)

    @cached_property
    def steps(self) -> list[Step]:
        """All of them, also those that only messages tell of."""
        return self.judged.judgement.settled.sequence

    @cached_property
    def findings(self) -> list[Finding]:
        """What was found and not taken back."""
        return [finding for finding in self.judged.findings if not finding.withdrawn]

    @cached_property
    def records(self) -> dict[str, Record]:
        """The reliability record of everybody who did some work."""
        working = {step.agent for step in self.steps if step.kind in WORKERS}
        return {name: record for name, record in sorted(self.judged.judgement.state.records.items()) if name in working}

    @cached_property
    def times(self) -> tuple[int, int]:
        """When the run began and ended; the log's own word where there is one."""
        if self.log is not None:
            start, end = self.log.times()
            if end > start:
                return start, end
        steps = self.judged.judgement.run.steps.values()
        return min(step.start_ns for step in steps), max(step.end_ns for step in steps)

    @property
    def duration_s(self) -> float:
        """From its first moment to its last."""
        start, end = self.times
        return max(0, end - start) / NS

    @cached_property
    def whole(self) -> list[Ref]:
        """Where the run as a whole is told: its root."""
        root = self.judged.judgement.settled.root
        return [] if root is None else self.cite(root)

    def offset(self, when_ns: int) -> str:
        """When something happened, counted from the begin of the run."""
        return f"+{max(0, when_ns - self.times[0]) / NS:.2f} s"

    def cite(self, *steps: Step) -> list[Ref]:
        """Where these steps can be checked."""
        return [self._cite(step) for step in steps]

    def _cite(self, step: Step) -> Ref:
        if self.places is not None and self._is_logged(step):
            ends = (step.end_ns, step.start_ns) if step.kind == "model" else (step.start_ns, step.end_ns)
            found = self.places.call(step.call_id) or self.places.at(ends[0]) or self.places.at(ends[1])
            if found is None and step.sign == "unknown_tool":
                found = self.places.saying("events.jsonl", step.result or "") or self.places.saying(
                    f"agent_outputs/{step.agent}.txt", step.result or ""
                )
            return found or Ref(file=self.short(step.source or ""))
        return Ref(span_id=f"{step.span_id & (1 << 64) - 1:016x}")

    def _is_logged(self, step: Step) -> bool:
        return bool((step.note or {}).get(BESIDE)) or (self.log is not None and step.source == self.log.path)

    def refs_of(self, finding: Finding) -> list[Ref]:
        """Where a finding's evidence lies."""
        steps = self.judged.judgement.settled.steps
        return [self._cite(steps[int(e.span_id, 16)]) if int(e.span_id, 16) in steps else Ref(span_id=e.span_id) for e in finding.evidence]

    def short(self, path: str) -> str:
        """A path as it is told in the report."""
        told = os.path.relpath(path, self.home) if os.path.isabs(path) == os.path.isabs(self.home) else path
        return path if told.startswith("..") else told

    def file(self, name: str, *keys: str) -> list[Ref]:
        """A line of one of the log's files; nothing where there is no such file."""
        return [self.places.ref(name, *keys)] if self.places is not None and self.places.has(name) else []

    @cached_property
    def rounds(self) -> list[Step]:
        """The agents' rounds, where they worked in rounds: as the log accounts for them, else as spans tell."""
        for steps in (self.own, self.steps):
            found = [step for step in steps if step.kind == "agent" and (step.note or {}).get("round_type")]
            if found:
                return sorted(found, key=lambda step: step.order)
        return []

    @cached_property
    def calls(self) -> list[Step]:
        """Tool calls that ran, with a span or a log line of their own or known from messages."""
        return [step for step in self.steps if step.kind == "tool"]

    @cached_property
    def attempts(self) -> list[Step]:
        """Replies that were turned down, in order."""
        found = [step for step in self.own if (step.note or {}).get("enforcement_reason")]
        return sorted(found or self._turned_down(), key=lambda step: step.end_ns)

    def _turned_down(self) -> list[Step]:
        """The same from spans, where it takes a detector to see it."""
        told: dict[str, list[dict[str, object]]] = {}
        found: list[Step] = []
        for verdict in self.judged.judgement.verdicts:
            if verdict.code == "flow.workflow_violation" and attempts.is_counted(verdict):
                earlier = told.setdefault(verdict.step.agent or "", [])
                earlier.append(attempts.attempt_of(verdict, earlier))
                found.append(replace(verdict.step, note={**(verdict.step.note or {}), **earlier[-1], "enforcement_reason": verdict.reason}))
        return found

    @cached_property
    def moments(self) -> list[Moment]:
        """What the coordination did, in order: as its log tells, else its spans."""
        steps = self.own or self.steps
        return moments_of(((step, self._cite(step)) for step in steps if step.kind == "event"), self.log, self.places)

    def of(self, *kinds: str) -> list[Moment]:
        """The moments of these kinds."""
        return [moment for moment in self.moments if moment.kind in kinds]

    @property
    def question(self) -> tuple[str, list[Ref]] | None:
        """What the run was to do, and where that is told."""
        if self.log is None:
            return None
        meta, session = mapping(self.log.status.get("meta")), mapping(self.log.coordination.get("session_metadata"))
        for told, name, keys in (
            (meta.get("question"), "status.json", ("question",)),
            (session.get("user_prompt"), "coordination_events.json", ("user_prompt",)),
        ):
            if type(told) is str and told:
                return told, self.file(name, *keys)
        return None

    @property
    def winner(self) -> str | None:
        """The agent that was chosen to present the answer."""
        chosen = [moment.agent for moment in self.of("winner") if moment.agent]
        return self.judged.judgement.run.labels.get("winner") or (chosen[-1] if chosen else None)

    @cached_property
    def answer(self) -> tuple[str, list[Ref]] | None:
        """What was delivered at the end: the final answer, else the last words of the root or its last agent."""
        final = [moment for moment in self.of("final") if moment.said]
        if final:
            return final[-1].said or "", [final[-1].ref]
        root = self.judged.judgement.settled.root
        agents = [step for step in self.steps if step.kind == "agent" and step.result]
        models = [step for step in self.steps if step.kind == "model" and step.content is not None and step.content.text]
        for step in [*([root] if root is not None and root.result else []), *agents[-1:]]:
            return step.result or "", self.cite(step)
        return ((models[-1].content.text or "", self.cite(models[-1])) if models[-1].content else None) if models else None


def open_case(judged: Judged, home: str | Path, skips: Iterable[str] = ()) -> Case:
    """Put together what is known of a judged run; `home` is the folder that paths in the report start from."""
    path = judged.judgement.run.labels.get("log_path")
    if path is None or not os.path.exists(path):
        return Case(judged, None, None, str(home), skips=list(skips))
    folder = Folder(path if os.path.isdir(path) else os.path.dirname(path))
    log = Log(folder, "status.json" if os.path.isdir(path) else os.path.basename(path))
    above = os.path.relpath(folder.path, home)
    places = Places(folder, "" if above == "." or above.startswith("..") else above + "/")
    own = [piece for piece in massgen.read_folder(folder) if isinstance(piece, Step)] if massgen.claims(folder) else []
    return Case(judged, log, places, str(home), own, list(skips))
