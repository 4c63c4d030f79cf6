"""`spantriage report`: what happened, written down with its evidence."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from spantriage.cli.show import inert
from spantriage.errors import ConfigError, MissingExtra, SinkError, SourceError
from spantriage.report.case import Case, open_case
from spantriage.report.loading import load, pick
from spantriage.report.logdir import find_turn
from spantriage.report.words import Document, Section, Sentence
from spantriage.report.writing import is_ours, write

__all__ = ["now", "put", "render", "report", "tell_summary", "truth_of"]

NAME = "ANALYSIS_REPORT"
TRUTH_CAP = 64 << 10


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
) -> None:
    """Write down what happened in a run, each sentence with its spans or file and line.

    Example: spantriage report .massgen/massgen_logs/log_20261120_140133_562139 --html
    """
    found = find_turn(paths[0], turn) if len(paths) == 1 and paths[0].is_dir() else None
    if turn is not None and found is None:
        raise ConfigError("--turn is for a MassGen log's folder")
    home = found.folder if found is not None else paths[0] if paths[0].is_dir() else paths[0].parent
    runs, skips = load([found.attempt] if found is not None else paths, kind)
    if len(runs) > 1 and trace_id is None:
        raise SourceError(f"{len(runs)} runs in {', '.join(map(str, paths))}: name one with --trace-id")
    judged = pick(runs, trace_id) if trace_id is not None else runs[0]
    case = open_case(judged, home, (inert(str(skip), 400).plain for skip in skips))
    target = out or (home if found is not None else Path()) / f"{NAME}{'.html' if html else '.md'}"
    document, text = render(case, html=html, truth=truth_of(truth), link=link)
    put(target, text, force=force or out is not None)
    if str(target) != "-":
        tell_summary(document)
        print(f"report written to {target}")


def put(target: Path, text: str, *, force: bool) -> None:
    """Write, or print. Raises SinkError where somebody else's report is in the way."""
    if str(target) == "-":
        sys.stdout.write(text)
        return
    if not force and not is_ours(target):
        raise SinkError(f"{target} is there and was not written by spantriage; --force overwrites it")
    write(target, text)


def render(case: Case, *, html: bool, truth: str | None, link: str | None = None, reviewed: bool = False) -> tuple[Document, str]:
    """The report and its text. Raises MissingExtra without jinja2."""
    try:
        from spantriage.report.compose import compose
        from spantriage.report.markdown import render as markdown
        from spantriage.report.page import run_page
    except ImportError as error:
        raise MissingExtra("Reports", "cli") from error
    document = compose(case, generated=now(), truth=truth, link=link, reviewed=reviewed)
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
