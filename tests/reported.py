"""Runs for reports: recorded ones, and some put together from examples of steps."""

import os
import subprocess
import sys
from pathlib import Path

from samples import DATA, ENGINE, scanned

from spantriage import __version__
from spantriage.detectors.example import build
from spantriage.engine import Engine
from spantriage.finding import make_finding
from spantriage.replay import Judged
from spantriage.report.case import Case, open_case
from spantriage.report.compose import compose
from spantriage.report.markdown import render

RUN1 = DATA / "massgen" / "run1"
LOG = "log_20261120_140133_562139"
TURN = RUN1 / LOG / "turn_1"
GENERATED = "2026-11-20 20:00:00 UTC"


def judged_of(*steps) -> Judged:
    """The judged run that these steps make."""
    run = build(steps)
    judgement = Engine(ENGINE).judge(run)
    findings = [make_finding(verdict, primary=verdict is judgement.primary) for verdict in judgement.verdicts]
    return Judged(judgement, findings, "run.jsonl", len(run.steps), frozenset({1}))


def case_of(*steps) -> Case:
    """The same, as a report sees it."""
    return open_case(judged_of(*steps), "/nowhere")


def recorded_case(path, home=None) -> Case:
    """The only run that lies there, as a report sees it."""
    (judged,), replay = scanned(path)
    return open_case(judged, home or path, map(str, replay.skips))


def markdown(case, **options) -> str:
    """Its report."""
    return render(compose(case, generated=GENERATED, **options)).replace(__version__, "VERSION")


def part(text, heading) -> str:
    """What stands under a heading, to the next of the same or a higher level."""
    begin = text.index(f"\n{heading}\n") + len(heading) + 2
    level = heading.split(" ")[0]
    ends = [text.find(f"\n{mark} ", begin) for mark in ("#" * n for n in range(1, len(level) + 1))]
    return text[begin : min([end for end in ends if end > 0], default=len(text))].strip()


def agrees(said: str, name: str) -> bool:
    """Say whether a golden reads like this; `WRITE_GOLDENS=1` writes it anew, to be read before it is kept."""
    path = DATA / "report" / name
    if os.environ.get("WRITE_GOLDENS"):
        path.write_text(said)
    return Path(path).read_text() == said


def spantriage(*arguments, cwd=None, stdin=None):
    """The command, run as a user runs it."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "spantriage", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=60, input=stdin)
