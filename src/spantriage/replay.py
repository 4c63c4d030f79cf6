"""Recorded runs on the same road as live ones: spans -> steps -> runs -> verdicts -> findings.

Everything is kept until all files are read, since a trace may be spread over several; so the same spans give the same
findings in whatever order they come. Beyond `held_bytes` the traces touched longest ago are judged early.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spantriage.cause import choose_primary
from spantriage.engine import Engine, Judgement
from spantriage.errors import NotARun, SourceError
from spantriage.files import Skip, walk
from spantriage.finding import Finding, make_finding
from spantriage.recorded import Trace, groups, is_bare, read_run
from spantriage.run import Run
from spantriage.sources import Labels, Piece, claimant, open_source
from spantriage.sources.spans import RecordedSpan
from spantriage.text import clean

__all__ = ["Found", "Judged", "Replay", "Seen", "find"]

LOG = logging.getLogger("spantriage")
HELD_BYTES: Final = 512 << 20
SKIPS_KEPT: Final = 1_000
GONE_KEPT: Final = 1_000_000
FAILED: Final = frozenset(("failed", "error"))  # outcomes that a source knows: the run is one to explain
KNOWN_FAILED: Final = 0.95
NO_RUN: Final = frozenset(("setup", "other"))  # a trace with only such steps, none of them failed, is no run


@dataclass(slots=True)
class Judged:
    """A recorded run and what was found in it."""

    judgement: Judgement
    findings: list[Finding]
    source: str | None  # the file that holds its first step
    spans: int  # including those that are none of an agent's; steps, where a format has no spans
    traces: frozenset[int] = frozenset()  # that it was made of

    @property
    def primary(self) -> Finding | None:
        """The root cause, if the run has one."""
        return next((finding for finding in self.findings if finding.primary), None)


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or a folder that is one run, on the way of a scan."""

    path: str
    named: bool  # by the user, and not only met in a folder


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a trace was read, and the traces that it links to."""

    files: frozenset[str]
    links: frozenset[int]


def find(paths: Iterable[str | Path], kind: str = "auto") -> Iterator[Found | Skip]:
    """Everything that a scan of these files and folders reads, in its order; what cannot be looked into comes as a Skip."""
    for path in paths:
        for found in walk(path, lambda folder: claimant(folder, kind) is not None):
            yield found if isinstance(found, Skip) else Found(found, found == str(path))


class Replay:
    """Collects the pieces of recorded runs and judges each run once. For one thread.

    `counts` says what became of them: `files, spans, steps, duplicates, runs, findings, skips` and, where there were any,
    `made_steps` (of formats without spans), `files_passed_over` (JSON of another kind in a folder), `spans_without_run,
    spans_over_limit, runs_judged_early, traces_cut` (judged early, and then there came more).
    """

    def __init__(
        self,
        engine: Engine,
        *,
        assume_failed: bool = False,
        held_bytes: int = HELD_BYTES,
        only: frozenset[int] | None = None,
        watch: Callable[[Piece], object] | None = None,
    ) -> None:
        self.engine = engine
        self.counts: Counter[str] = Counter()
        self.skips: list[Skip] = []  # the first thousand; `counts` has their number
        self._assume_failed = assume_failed
        self._held_bytes = held_bytes
        self._only = only  # traces to look at; None: all
        self.seen: dict[int, Seen] = {}  # every trace, where it was read and what it links to
        self._watch = watch  # sees every piece before we do
        self._held = 0
        self._traces: OrderedDict[int, Trace] = OrderedDict()  # touched longest ago first
        self._gone: OrderedDict[int, None] = OrderedDict()  # judged early

    def scan(self, paths: Iterable[str | Path], kind: str = "auto") -> Iterator[Judged]:
        """Read files and folders, and give every run in them. What cannot be read is in `skips`."""
        for found in find(paths, kind):
            if isinstance(found, Skip):
                self.skip(found)
            else:
                yield from self.take(found, kind)
        yield from self.finish()

    def take(self, found: Found, kind: str = "auto") -> Iterator[Judged]:
        """Read one file of a scan, giving only runs that must make room; what cannot be read at all is told to `skips`."""
        self.counts["files"] += 1
        try:
            yield from self.read(found.path, kind)
        except NotARun as error:
            if found.named:
                self.skip(Skip(found.path, 0, str(error).removeprefix(f"{found.path}: ")))
            else:
                self.counts["files_passed_over"] += 1
        except SourceError as error:
            self.skip(Skip(found.path, 0, str(error).removeprefix(f"{found.path}: ")))

    def read(self, path: str | Path, kind: str = "auto") -> Iterator[Judged]:
        """Read one file, giving only runs that must make room. Raises SourceError when it cannot be read at all."""
        for piece in open_source(path, kind):
            self.add(piece, str(path))
            if self._held > self._held_bytes:
                yield from self._make_room()

    def add(self, piece: Piece, path: str) -> None:
        """Take in one piece."""
        if self._watch is not None:
            self._watch(piece)
        if isinstance(piece, Skip):
            self.skip(piece)
            return
        trace_id = piece.context.trace_id if isinstance(piece, RecordedSpan) else piece.trace_id
        if self._only is not None and trace_id not in self._only:
            return
        trace = self._trace(trace_id, path)
        if isinstance(piece, RecordedSpan):
            self.counts["spans"] += 1
            self._held += trace.add_span(piece)
        elif isinstance(piece, Labels):
            trace.labels.update({name: clean(value) for name, value in piece.values.items()})
        else:
            self.counts["made_steps"] += 1
            self._held += trace.add_step(piece)

    def skip(self, skip: Skip) -> None:
        """Count a piece that could not be read."""
        self.counts["skips"] += 1
        if len(self.skips) < SKIPS_KEPT:
            self.skips.append(skip)

    def finish(self) -> Iterator[Judged]:
        """Judge everything that is held."""
        traces, self._traces, self._held = self._traces, OrderedDict(), 0
        yield from self._judge(traces)

    def _trace(self, trace_id: int, path: str) -> Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = Trace(trace_id)
            if trace_id in self._gone:
                self.counts["traces_cut"] += 1
        else:
            self._traces.move_to_end(trace_id)
        trace.files.add(path)
        return trace

    def _make_room(self) -> Iterator[Judged]:
        """Judge the traces touched longest ago until half the room is free; never the one that is being read."""
        chosen: OrderedDict[int, Trace] = OrderedDict()
        while self._held > self._held_bytes // 2 and len(self._traces) > 1:
            trace_id, chosen[trace_id] = self._traces.popitem(last=False)
            self._held -= chosen[trace_id].size
            self._gone[trace_id] = None
        while len(self._gone) > GONE_KEPT:
            self._gone.popitem(last=False)
        for judged in self._judge(chosen):
            self.counts["runs_judged_early"] += 1
            yield judged

    def _judge(self, traces: OrderedDict[int, Trace]) -> Iterator[Judged]:
        """Runs by their start. A trace that can belong to no other is judged, and let go, before the next is read."""
        linked = {other for trace in traces.values() for other in (trace.trace_id, *trace.links) if trace.links}
        waiting: dict[int, tuple[Trace, Run]] = {}
        for trace_id in sorted(traces, key=lambda each: (traces[each].start_ns, each)):
            trace = traces.pop(trace_id)
            self.seen[trace_id] = Seen(frozenset(trace.files), frozenset(trace.links))
            run = read_run([trace], self.skip)
            self.counts["steps"] += len(run.steps)
            self.counts["duplicates"] += trace.duplicates
            if trace_id in linked or is_bare(run):
                waiting[trace_id] = trace, run
            else:
                yield from self._conclude(run, [trace])
        for group in groups(waiting):
            members = [waiting[trace_id][0] for trace_id in group]
            run = waiting[group[0]][1] if len(group) == 1 else read_run(members, _ignore)
            yield from self._conclude(run, members)

    def _conclude(self, run: Run, members: list[Trace]) -> Iterator[Judged]:
        spans = sum(trace.number for trace in members)
        if all(step.kind in NO_RUN and not step.failed for step in run.steps.values()):
            self.counts["spans_without_run"] += spans
            return
        if run.truncated:
            self.counts["spans_over_limit"] += run.truncated
        source = next(iter(run.steps.values())).source
        labels = run.labels
        try:
            judgement = self.engine.judge(run, assume_failed=self._assume_failed)
            if labels.get("outcome") in FAILED:
                judgement.failure_score = max(judgement.failure_score, KNOWN_FAILED)
                judgement.primary = judgement.primary or choose_primary(judgement.verdicts, judgement.settled, assume_failed=True)
            findings = [
                make_finding(
                    verdict,
                    primary=verdict is judgement.primary,
                    outcome=labels.get("outcome"),
                    trial_name=labels.get("trial_name"),
                    task_name=labels.get("task_name"),
                )
                for verdict in judgement.verdicts
            ]
        except Exception as error:
            LOG.warning("run %032x could not be judged", run.trace_id, exc_info=True)
            self.skip(Skip(source or "", 0, f"run {run.trace_id:032x} could not be judged: {type(error).__name__}: {error}"))
            return
        self.engine.past.add(judgement.settled)
        self.counts["runs"] += 1
        self.counts["findings"] += len(findings)
        yield Judged(judgement, findings, source, spans, frozenset(trace.trace_id for trace in members))


def _ignore(skip: Skip) -> None:
    """What is read for the second time was counted the first time."""
