"""Instructions executed per span, as valgrind counts them: the same on a busy machine and an idle one, so the gate is narrow.

    python benchmarks/instructions.py            counts, and compares with benchmarks/instructions.json
    python benchmarks/instructions.py --check    exits 1 when a count is more than 2 % above the stored one
    python benchmarks/instructions.py --write    stores the counts

Each count is the difference of two runs of different length, so that starting up cancels out. Counts differ between
versions of Python and of the SDK and are stored for each pair of them. The tool is cachegrind without its caches, which
counts what callgrind counts in less than half the time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spantriage import TriageProcessor

STORED: Final = Path(__file__).with_name("instructions.json")
TOLERANCE: Final = 0.02
ENDED: Final = (200, 4_200)  # spans in the shorter and in the longer run: what is added to a span is a small difference
READ: Final = (200, 1_000)
TRACES: Final = (4, 24)
WAIT_S: Final = 3_600.0  # nothing may be cut short because all is fifty times slower
COUNTED: Final = re.compile(r"I +refs: +([\d,]+)")
# What is counted, and in runs of which sizes.
KINDS: Final = {
    **dict.fromkeys(("other", "other+ours", "inside", "inside+ours", "genai", "genai+ours"), ENDED),
    "genai+read": READ,
    "scan": TRACES,
}
# What is reported: a count, less another one.
COUNTS: Final = {
    "SDK alone, other span": ("other", None),
    "SDK alone, agent's span": ("genai", None),
    "added to other span": ("other+ours", "other"),
    "added to other span in an agent's trace": ("inside+ours", "inside"),
    "added to agent's span": ("genai+ours", "genai"),
    "worker, agent's span": ("genai+read", "genai+ours"),
    "scan, recorded span": ("scan", None),
}


class NotHere(Exception):
    """Counting is not possible on this machine; the text says what is missing."""


def run(kind: str, size: int, folder: str) -> None:
    """What is counted: one workload of one size. Prints the number of spans."""
    random.seed(1)
    gc.disable()
    print(scan(Path(folder)) if kind == "scan" else live(kind, size), flush=True)
    os._exit(0)  # nothing is judged, flushed or freed on the way out


def live(kind: str, size: int) -> int:
    """Make spans without us or with us, or with us and have them read and judged."""
    import workload
    from harness import Side

    name, _, what = kind.partition("+")
    work = {"other": workload.OTHER, "inside": workload.INSIDE, "genai": workload.GENAI}[name]
    triage = held() if what else None
    side = Side(kind, () if triage is None else (triage,))
    rounds = size // work.spans
    with work.around(side.tracer):
        for _ in range(rounds):
            work.act(side.tracer)
        if triage is not None and what == "read" and not triage.worker.flush(WAIT_S):
            raise TimeoutError("reading took too long")
    if triage is not None and triage.worker.accounts()["dropped.queue_full"]:
        raise RuntimeError("spans were dropped")
    return rounds * work.spans


def held() -> TriageProcessor:
    """Our processor with a worker that has no thread: what is queued waits for a flush, on the thread that asks for it."""
    from spantriage import TriageProcessor
    from spantriage.worker import Worker

    class Held(Worker):
        def _rouse(self) -> None:
            pass

    triage = TriageProcessor(sinks=[])
    triage.worker = Held(triage.settings, triage.worker.runs.engine.detectors, [])
    return triage


def scan(folder: Path) -> int:
    """Read and judge recorded runs."""
    from spantriage.detectors import all_detectors
    from spantriage.engine import Engine, select
    from spantriage.replay import Replay

    replay = Replay(Engine(select(all_detectors())))
    for _ in replay.scan([folder]):
        pass
    return replay.counts["spans"]


def count_all() -> dict[str, int]:
    """All counts, per span; two processes at a time where there are two processors."""
    from corpus import write_corpus

    valgrind, python = shutil.which("valgrind"), real_python()
    if valgrind is None:
        raise NotHere("valgrind is not installed: apt-get install valgrind, or your system's equivalent")
    with tempfile.TemporaryDirectory(prefix="spantriage-") as made, ThreadPoolExecutor(os.cpu_count()) as pool:
        for traces in TRACES:
            folder = Path(made) / str(traces)
            folder.mkdir()
            write_corpus(folder, traces)
        wanted = [(kind, size) for kind, sizes in KINDS.items() for size in sizes]
        command = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", python, "-S", __file__]
        found = dict(zip(wanted, pool.map(lambda each: count(command, each[0], each[1], made), wanted), strict=True))
    per_span: dict[str, float] = {}
    for kind, sizes in KINDS.items():
        (spans, instructions), (more_spans, more) = (found[kind, size] for size in sizes)
        per_span[kind] = (more - instructions) / (more_spans - spans)
    return {name: round(per_span[kind] - (per_span[other] if other else 0)) for name, (kind, other) in COUNTS.items()}


def count(command: list[str], kind: str, size: int, folder: str) -> tuple[int, int]:
    """Spans and instructions of one run in a process of its own. No name of chance may reach it: names are hashed."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANTRIAGE_", "PYTHON"))}
    settings |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        [*command, "--run", kind, str(size), str(size)], env=settings, cwd=folder, capture_output=True, text=True, check=False
    )
    counted = COUNTED.search(told.stderr)
    if told.returncode or counted is None:
        said = [line for line in told.stderr.splitlines() if line and not line.startswith(("==", "--"))]
        raise NotHere(f"{kind} could not be counted: {said[-1] if said else 'valgrind failed'}")
    return int(told.stdout), int(counted[1].replace(",", ""))


def real_python() -> str:
    """The program itself, behind the links of virtual environments and the scripts of version managers."""
    for path in (Path(sys.executable).resolve(), Path(getattr(sys, "_base_executable", sys.executable)).resolve()):
        with path.open("rb") as file:
            if file.read(4) in (b"\x7fELF", b"\xcf\xfa\xed\xfe"):
                return str(path)
    raise NotHere(f"{sys.executable} is not a program but a script")


def environment() -> str:
    """What the counts depend on besides our own code."""
    return f"Python {platform.python_version()} {platform.machine()}, opentelemetry-sdk {version('opentelemetry-sdk')}"


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true", help="exit 1 when a count has grown by more than 2 %%")
    group.add_argument("--write", action="store_true", help="store the counts")
    group.add_argument("--run", nargs=3, metavar=("KIND", "SIZE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run[0], int(options.run[1]), options.run[2])
    every: dict[str, dict[str, int]] = json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}
    stored = every.get(environment(), {})
    try:
        counts = count_all()
    except NotHere as missing:
        print(missing, file=sys.stderr)
        return 2
    print(environment())
    for name, number in counts.items():
        known = stored.get(name)
        print(f"  {'     new' if not known else f'{number / known - 1:+8.2%}'}  {number:>9,}  {name}")
    if options.write:
        STORED.write_text(json.dumps({**every, environment(): counts}, indent=2) + "\n", encoding="utf-8")
    elif options.check and not stored:
        print(f"no counts are stored for {environment()}; --write stores them", file=sys.stderr)
        return 2
    return int(options.check and any(number > stored.get(name, number) * (1 + TOLERANCE) for name, number in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
