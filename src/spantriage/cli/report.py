"""`spantriage report`: what happened, written down with its evidence."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from spantriage.cli.scan import progress
from spantriage.cli.show import inert
from spantriage.errors import ConfigError, MissingExtra, SinkError, SourceError
from spantriage.files import Skip
from spantriage.parallel import Scan
from spantriage.replay import Judged
from spantriage.report.case import Case, open_case
from spantriage.report.loading import FEW, files_in, load, pick
from spantriage.report.logdir import find_turn
from spantriage.report.words import Document, Section, Sentence
from spantriage.report.writing import is_ours, write

__all__ = ["now", "put", "render", "report", "tell_summary", "truth_of"]

NAME = "ANALYSIS_REPORT"
TRUTH_CAP = 64 << 10
SKIPS_SHOWN = 20


def report(
    paths: Annotated[list[Path], typer.Argument(help="A run's files or folder, or a MassGen log.", show_default=False)],
    html: Annotated[bool, typer.Option("--html", help="One HTML file that needs nothing else, instead of Markdown.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write here; - is the screen. A MassGen log's goes into its turn.")
    ] = None,
    trace_id: Annotated[str | None, typer.Option("--trace-id", help="Of several runs, this one; a beginning will do.")] = None,
    turn: Annotated[int | None, typer.Option("--turn", min=1, help="Of a MassGen log; without it the latest.")] = None,
    truth: Annotated[str | None, typer.Option("--ground-truth", help="What the answer should be: text, or @FILE.")] = None,
    link: Annotated[str | None, typer.Option("--link", help="Where the run can be seen, such as in Logfire.")] = None,
    kind: Annotated[str, typer.Option("--from", help="The format of the input; auto looks at each file.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Write over a report that somebody else has written.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Hold two or more runs against each other.")] = False,
    judge: Annotated[str | None, typer.Option("--judge", help="Let a model add to the report: its name for pydantic-ai.")] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, help="Processes that read many runs; 0: one for each processor.")] = 0,
) -> None:
    """Write down what happened in a run, each sentence with its spans or file and line; of many runs, what they have in common.

    Example: spantriage report .massgen/massgen_logs/log_20261120_140133_562139 --html
    """
    target = _Target(out, html, force or out is not None)
    turns = [find_turn(path, turn) if path.is_dir() else None for path in paths]
    if turn is not None and turns.count(None):
        raise ConfigError("--turn is for a MassGen log's folder")
    places = [path if found is None else found.attempt for path, found in zip(paths, turns, strict=True)]
    is_picked = trace_id is not None or compare
    if not is_picked and files_in(places, kind) > FEW:
        _report_fleet(places, kind, workers, target)
        return
    runs, skips = load(places, kind)
    if len(runs) > 1 and not is_picked:
        _report_fleet(places, kind, 1, target)
        return
    told = _tell_skips(skips)
    if compare:
        _report_comparison(runs, target)
        return
    found = turns[0] if len(turns) == 1 else None
    home = found.folder if found is not None else paths[0] if paths[0].is_dir() else paths[0].parent
    case = open_case(pick(runs, trace_id) if trace_id is not None else runs[0], home, told)
    document, text = render(case, html=html, truth=truth_of(truth), link=link, judge=judge)
    target.put(document, text, home if found is not None else Path())


def _tell_skips(skips: list[Skip]) -> list[str]:
    """Say on stderr what could not be read, and give it for the report."""
    told = [inert(str(skip), 400).plain for skip in skips]
    for line in told[:SKIPS_SHOWN]:
        print(line, file=sys.stderr)
    if len(told) > SKIPS_SHOWN:
        print(f"... and {len(told) - SKIPS_SHOWN} more that could not be read", file=sys.stderr)
    return told


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a report goes."""

    out: Path | None
    html: bool
    force: bool

    def put(self, document: Document, text: str, folder: Path) -> Path:
        """Write it and tell what stands in it; returns where."""
        path = self.out or folder / f"{NAME}{'.html' if self.html else '.md'}"
        put(path, text, force=self.force)
        if str(path) != "-":
            tell_summary(document)
            print(f"report written to {path}")
        return path


def _report_comparison(runs: list[Judged], target: _Target) -> None:
    from spantriage.report.comparing import MOST, compare_runs
    from spantriage.report.many_pages import compare_page
    from spantriage.report.markdown import render as markdown

    if not 2 <= len(runs) <= MOST:
        raise ConfigError(f"{len(runs)} runs; two to {MOST} can be compared")
    cases = [open_case(run, Path()) for run in runs]
    document = compare_runs(cases, generated=now())
    target.put(document, compare_page(cases, document) if target.html else markdown(document), Path())


def _report_fleet(paths: list[Path], kind: str, workers: int, target: _Target) -> None:
    """Every run is looked at once and let go; `analysis_summary.json` goes beside the report."""
    from spantriage.report.fleet import Fleet, analysis_summary
    from spantriage.report.fleet_document import compose_fleet
    from spantriage.report.many_pages import fleet_page
    from spantriage.report.markdown import render as markdown

    gc.set_threshold(100_000, 50, 1_000)  # much is made and kept here, as in a scan
    going, fleet = Scan(kind, workers=workers), Fleet()
    with progress(going):
        for result in going.run(paths):
            fleet.add(result)
    if not fleet.runs:
        raise SourceError(str(going.skips[0]) if going.skips else f"{', '.join(map(str, paths))}: no run in it")
    name = ", ".join(map(str, paths[:5])) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    document = compose_fleet(fleet, generated=now(), name=name, skips=_tell_skips(going.skips))
    path = target.put(document, fleet_page(fleet, document) if target.html else markdown(document), Path())
    if str(path) != "-":
        beside = path.with_name("analysis_summary.json")
        write(beside, orjson.dumps(analysis_summary(fleet), option=orjson.OPT_INDENT_2).decode() + "\n")
        print(f"figures written to {beside}")


def put(target: Path, text: str, *, force: bool) -> None:
    """Write, or print. Raises SinkError where somebody else's report is in the way."""
    if str(target) == "-":
        sys.stdout.write(text)
        return
    if not force and not is_ours(target):
        raise SinkError(f"{target} is there and was not written by spantriage; --force overwrites it")
    write(target, text)


def render(
    case: Case, *, html: bool, truth: str | None, link: str | None = None, reviewed: bool = False, judge: str | None = None
) -> tuple[Document, str]:
    """The report and its text. Raises MissingExtra without jinja2."""
    try:
        from spantriage.report.compose import compose
        from spantriage.report.markdown import render as markdown
        from spantriage.report.page import run_page
    except ImportError as error:
        raise MissingExtra("Reports", "cli") from error
    document = compose(case, generated=now(), truth=truth, link=link, reviewed=reviewed)
    if judge is not None:
        from spantriage.report.judge import ask_model, deepen

        with ask_model(judge) as ask:
            faults = deepen(document, ask, truth=truth is not None)
        for fault in faults:
            print(inert(fault, 400).plain, file=sys.stderr)
    return document, run_page(case, document) if html else markdown(document)


def truth_of(said: str | None) -> str | None:
    """The ground truth, from a file where it is told as `@FILE`. Raises SourceError when that cannot be read."""
    if said is None or not said.startswith("@"):
        return said
    try:
        with open(said[1:], encoding="utf-8", errors="replace") as file:
            return file.read(TRUTH_CAP).strip()
    except OSError as error:
        raise SourceError(f"{said[1:]}: {error.strerror or error}") from error


def now() -> str:
    """The time as reports tell it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def tell_summary(document: Document) -> None:
    """Print the first section, inert."""
    first: Section = document.sections[0]
    for block in first.blocks:
        if isinstance(block, Sentence):
            print(inert("".join(part for _, part in block.parts), 600).plain)
