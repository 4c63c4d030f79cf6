"""How long recorded runs take: milliseconds a trace, read and judged as `spantriage scan` does it, and memory.

    python benchmarks/scan.py                     a corpus of its own: 1,000 traces of about twenty spans
    python benchmarks/scan.py FOLDER FILE ...     these
    python benchmarks/scan.py --check             exits 1 when a trace takes more than 5 ms on average
    python benchmarks/scan.py --profile           also what the time goes into

Imports and the first use of every pattern are left out: a few traces of the made-up corpus are scanned beforehand.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from corpus import write_corpus

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.replay import Replay

BAR_MS: Final = 5.0
TRACES: Final = 1_000
TRIES: Final = 3
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one scan took."""

    traces: int
    spans: int
    findings: int
    mib: float  # of input, as it lies on the disk
    cpu_ms_per_trace: float
    wall_ms_per_trace: float
    spans_per_s: float
    slowest_ms: float  # to judge, once read
    slowest_spans: int
    peak_rss_mib: float


def scan(paths: Sequence[Path]) -> Scanned:
    """Scan once. Imports are not counted, everything else is."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    replay = Replay(Engine(select(all_detectors())))
    slowest, spans_of_it, before = 0.0, 0, 0.0
    for judged in replay.scan(paths):
        now = time.process_time()
        if before and now - before > slowest:
            slowest, spans_of_it = now - before, judged.spans
        before = time.process_time()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    traces, spans = replay.counts["runs"], replay.counts["spans"]
    if not traces:
        sys.exit(f"no runs in {', '.join(map(str, paths))}")
    return Scanned(
        traces=traces,
        spans=spans,
        findings=replay.counts["findings"],
        mib=sum(size(path) for path in paths) / MIB,
        cpu_ms_per_trace=cpu * 1_000 / traces,
        wall_ms_per_trace=wall * 1_000 / traces,
        spans_per_s=spans / cpu,
        slowest_ms=slowest * 1_000,
        slowest_spans=spans_of_it,
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1_024),
    )


def size(path: Path) -> int:
    """Bytes on the disk."""
    return path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def tell(found: Scanned) -> None:
    """Print it, the ratio to the bar first."""
    print(f"{found.cpu_ms_per_trace / BAR_MS:.0%} of the bar: {found.cpu_ms_per_trace:.2f} ms of CPU a trace, allowed are {BAR_MS:.0f} ms")
    print(f"  {found.traces:,} traces, {found.spans:,} spans ({found.spans / found.traces:.1f} a trace), {found.mib:.1f} MiB on the disk")
    print(f"  {found.spans_per_s:,.0f} spans a second of CPU, {found.wall_ms_per_trace:.2f} ms a trace by the clock")
    print(f"  {found.findings:,} findings; the slowest trace took {found.slowest_ms:.1f} ms to judge ({found.slowest_spans:,} spans)")
    print(f"  peak memory {found.peak_rss_mib:.0f} MiB")


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="folders and files; none: a made-up corpus")
    parser.add_argument("--check", action="store_true", help="exit 1 when the bar is missed three times")
    parser.add_argument("--profile", action="store_true", help="show what the time goes into")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spantriage-") as made:
        paths = options.paths
        if not paths:
            paths = [Path(made)]
            write_corpus(paths[0], TRACES)
        found = scan(paths)
        for _ in range(TRIES - 1 if options.check else 0):
            if found.cpu_ms_per_trace > BAR_MS:
                found = min(found, scan(paths), key=lambda each: each.cpu_ms_per_trace)
        tell(found)
        if options.profile:
            profile = cProfile.Profile()
            profile.runcall(scan, paths)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    return int(options.check and found.cpu_ms_per_trace > BAR_MS)


if __name__ == "__main__":
    sys.exit(main())
