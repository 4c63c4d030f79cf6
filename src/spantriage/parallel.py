"""Recorded runs judged by several processes, each reading files of its own.

A trace may lie in files that different processes have read, or link to one that does. Such runs are found out when all
is read; what the processes made of their parts is dropped, and they are read again as one. So the runs are
those of a single process, whatever the number of workers; and the findings, but for `cost.runaway`, which looks back on
earlier runs of its own process.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.engine import Engine
from spantriage.files import Skip
from spantriage.finding import Finding, timestamp
from spantriage.replay import HELD_BYTES, Found, Judged, Replay, Seen, find
from spantriage.sources import Piece
from spantriage.summary import summarise, tools_of

__all__ = ["Result", "Scan", "result_of"]

SHARE_BYTES: Final = 8 << 20  # small files are read together up to this size ...
SHARE_FILES: Final = 64  # ... and this number
SKIPS_KEPT: Final = 1_000


@dataclass(slots=True)
class Result:
    """A run as it leaves the process that judged it: its figures, its findings, the traces that it was made of."""

    summary: dict[str, object]
    findings: list[Finding]
    traces: frozenset[int] = frozenset()
    began: str | None = None  # ISO 8601 in UTC
    tools: dict[str, dict[str, int]] = field(default_factory=dict)  # each tool's calls and errors

    @property
    def primary(self) -> Finding | None:
        """The root cause, if the run has one."""
        return next((finding for finding in self.findings if finding.primary), None)


@dataclass(slots=True)
class _Share:
    """What one process made of the files it was given."""

    results: list[Result]
    counts: Counter[str]
    skips: list[Skip]
    seen: dict[int, Seen]


@dataclass(slots=True)
class Scan:
    """Judges all runs of some files and folders. `counts` and `skips` are as in `Replay`, and grow while it goes on."""

    kind: str = "auto"
    assume_failed: bool = False
    workers: int = 1  # processes; 0: as many as there are processors
    store: str | None = None  # where spans are kept as they are read: FOLDER[?content=yes]
    second: Callable[[Judged], Finding | None] | None = None  # reads each run again, in this process alone
    counts: Counter[str] = field(default_factory=Counter)
    skips: list[Skip] = field(default_factory=list)

    def run(self, paths: Iterable[str | Path]) -> Iterator[Result]:
        """Give every run. With one worker as soon as it is judged, with several when all is read."""
        workers = self.workers or os.cpu_count() or 1
        found = list(find(paths, self.kind))
        self.counts["files_found"] = sum(isinstance(each, Found) for each in found)
        for skip in found:
            if isinstance(skip, Skip):
                self._skip([skip], 1)
        files = [each for each in found if isinstance(each, Found)]
        shares = _shares(files, workers)
        if workers == 1 or len(shares) < 2 or self.second is not None:
            with _importer(self.store) as watch:
                replay = Replay(_engine(), assume_failed=self.assume_failed, watch=watch)
                replay.counts, replay.skips = self.counts, self.skips
                for file in files:
                    yield from map(self._read_again, replay.take(file, self.kind))
                yield from map(self._read_again, replay.finish())
        else:
            yield from self._spread(shares, workers)

    def _read_again(self, judged: Judged) -> Result:
        result = result_of(judged)
        opinion = None if self.second is None else self.second(judged)
        if opinion is not None:
            result.findings = [*result.findings, opinion]
            result.summary["findings"] = len(result.findings)
            self.counts["findings"] += 1
        return result

    def _spread(self, shares: list[list[Found]], workers: int) -> Iterator[Result]:
        context = multiprocessing.get_context("spawn")  # there are threads here, a progress display for one
        done: list[_Share] = []
        pool = ProcessPoolExecutor(min(workers, len(shares)), context, _prepare)
        try:
            how = self.kind, self.assume_failed, HELD_BYTES // workers, self.store
            waiting = {pool.submit(_judge, share, *how): share for share in shares}
            for future in as_completed(waiting):
                share = self._collect(future, waiting[future])
                if share is not None:
                    done.append(share)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        torn = _torn(done)
        for share in done:
            for result in share.results:
                if torn.isdisjoint(result.traces):
                    yield result
                else:
                    self.counts["runs"] -= 1
                    self.counts["findings"] -= len(result.findings)
        yield from self._mend(torn, done)

    def _collect(self, future: Future[_Share], files: list[Found]) -> _Share | None:
        try:
            share = future.result()
        except BrokenProcessPool:
            self._skip([Skip(file.path, 0, "the process that read it died") for file in files], len(files))
            return None
        self.counts.update(share.counts)
        self._skip(share.skips, 0)
        return share

    def _mend(self, torn: frozenset[int], done: list[_Share]) -> Iterator[Result]:
        """Read the runs again that lie in the shares of several processes."""
        if not torn:
            return
        files = sorted({path for share in done for trace_id, seen in share.seen.items() if trace_id in torn for path in seen.files})
        replay = Replay(_engine(), assume_failed=self.assume_failed, only=torn)
        results = [result for path in files for result in map(result_of, replay.take(Found(path, named=False), self.kind))]
        yield from results
        yield from map(result_of, replay.finish())
        self.counts["runs"] += replay.counts["runs"]
        self.counts["findings"] += replay.counts["findings"]

    def _skip(self, skips: list[Skip], number: int) -> None:
        self.counts["skips"] += number
        self.skips += skips[: max(0, SKIPS_KEPT - len(self.skips))]


def _shares(files: list[Found], workers: int) -> list[list[Found]]:
    """Files in handfuls of about the same size, the largest first, so that none is left for the end."""
    sized = sorted(((_size(file.path), index, file) for index, file in enumerate(files)), key=lambda each: (-each[0], each[1]))
    cap = max(1, min(SHARE_FILES, len(files) // (4 * workers) or 1))
    shares: list[list[Found]] = []
    room = 0
    for size, _, file in sized:
        if not shares or room < size or len(shares[-1]) >= cap:
            shares.append([])
            room = SHARE_BYTES
        shares[-1].append(file)
        room -= size
    return shares


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size if os.path.isfile(path) else SHARE_BYTES // SHARE_FILES
    except OSError:
        return 0


def _prepare() -> None:
    gc.set_threshold(100_000, 50, 1_000)  # as in the command: much is made and kept


def _judge(files: list[Found], kind: str, assume_failed: bool, held_bytes: int, store: str | None) -> _Share:
    with _importer(store) as watch:
        replay = Replay(_engine(), assume_failed=assume_failed, held_bytes=held_bytes, watch=watch)
        judged = (each for file in files for each in replay.take(file, kind))
        results = [result_of(each) for each in judged]
        results += [result_of(each) for each in replay.finish()]
    return _Share(results, replay.counts, replay.skips, replay.seen)


@contextmanager
def _importer(store: str | None) -> Iterator[Callable[[Piece], object] | None]:
    """What takes every piece into the store; each process has its own."""
    if store is None:
        yield None
        return
    from spantriage.store.importing import Importer
    from spantriage.store.target import read_target

    importer = Importer(read_target(store))
    try:
        yield importer.add
    finally:
        importer.close()


def _engine() -> Engine:
    return Engine(configure_detectors(load_settings(), all_detectors()))


def result_of(judged: Judged) -> Result:
    """What is kept of a judged run."""
    began = min(step.start_ns for step in judged.judgement.run.steps.values())
    return Result(summarise(judged), judged.findings, judged.traces, timestamp(began), tools_of(judged))


def _torn(shares: list[_Share]) -> frozenset[int]:
    """Traces of which a part, or something that belongs to them, is in another share; with all that belongs to them."""
    where: dict[int, int] = {}
    near: dict[int, set[int]] = {}  # traces that are one run with it, or would be
    torn: list[int] = []
    for number, share in enumerate(shares):
        for trace_id in share.seen:
            if where.setdefault(trace_id, number) != number:
                torn.append(trace_id)
        for result in share.results:
            for trace_id in result.traces if len(result.traces) > 1 else ():
                near.setdefault(trace_id, set()).update(result.traces)
    for number, share in enumerate(shares):
        for trace_id, seen in share.seen.items():
            for other in seen.links & where.keys():
                near.setdefault(trace_id, set()).add(other)
                near.setdefault(other, set()).add(trace_id)
                if where[other] != number:
                    torn.append(trace_id)
    found: set[int] = set()
    while torn:
        trace_id = torn.pop()
        if trace_id not in found:
            found.add(trace_id)
            torn += near.get(trace_id, ())
    return frozenset(found)
