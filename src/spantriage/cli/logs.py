"""`spantriage logs`: MassGen's logs."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from spantriage.cli.report import put, render, tell_summary, truth_of
from spantriage.cli.show import console, inert, tokens
from spantriage.errors import ConfigError, SinkError, SourceError
from spantriage.logs import LOGS, entries
from spantriage.report.case import open_case
from spantriage.report.loading import load
from spantriage.report.logdir import Turn, find_turn, latest_log
from spantriage.text import clean
from spantriage.values import mend

__all__ = ["app"]

app = typer.Typer(name="logs", help="MassGen's logs.", no_args_is_help=True)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


class Mode(StrEnum):
    """Who writes the report."""

    prompt = "prompt"
    self = "self"


@app.callback()
def logs() -> None:
    """MassGen's logs."""


@app.command("list")
def list_logs(
    folder: Annotated[Path, typer.Option("--logs-dir", help="The folder that holds the logs.")] = LOGS,
    analysed: Annotated[bool, typer.Option("--analyzed", help="Only logs that have an ANALYSIS_REPORT.md.")] = False,
    open_only: Annotated[bool, typer.Option("--unanalyzed", help="Only logs of which a turn has none.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show so many, the newest first.")] = 10,
    form: Annotated[Format, typer.Option("--format", help="table for people, json for programs: one object a log.")] = Format.table,
) -> None:
    """List logs with what became of them.

    Example: spantriage logs list --unanalyzed --limit 20
    """
    if analysed and open_only:
        raise ConfigError("--analyzed and --unanalyzed leave nothing to show together")
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    shown = [entry for entry in entries(folder) if not (analysed and not entry.analysed) and not (open_only and entry.analysed)]
    if form is Format.json:
        for number, entry in enumerate(shown[:limit], 1):
            sys.stdout.write(
                orjson.dumps(
                    mend(
                        {"number": number, **asdict(entry), "path": clean(entry.path), "question": entry.question and clean(entry.question)}
                    )
                ).decode()
                + "\n"
            )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("#", "began", "turns", "time", "tokens", "cost", "analysed", "status", "question", "log"):
        table.add_column(name, justify="right" if name in ("#", "turns", "time", "tokens", "cost") else "left", overflow="fold")
    for number, entry in enumerate(shown[:limit], 1):
        used = None if entry.input_tokens is None else entry.input_tokens + (entry.output_tokens or 0)
        table.add_row(
            str(number),
            inert(entry.began.replace("T", " ")),
            str(entry.turns),
            "-" if entry.duration_s is None else f"{entry.duration_s:.1f} s",
            tokens(used),
            "-" if entry.cost_usd is None else f"${entry.cost_usd:.4f}",
            "yes" if entry.analysed else f"{entry.analysed_turns} of {entry.turns}" if entry.analysed_turns else "no",
            inert(entry.status or "-", 20),
            inert(entry.question or "-", 60),
            inert(entry.path, 80),
        )
    screen = console()
    screen.print(inert(f"{len(shown)} logs in {folder}" + (f", {limit} of them shown" if len(shown) > limit else "")))
    if shown:
        screen.print(table)


@app.command("analyze")
def analyze(
    log_dir: Annotated[Path | None, typer.Option("--log-dir", help="The log's folder; without it the latest log.")] = None,
    turn: Annotated[int | None, typer.Option("--turn", min=1, help="The turn; without it the latest.")] = None,
    mode: Annotated[Mode, typer.Option("--mode", help="prompt: print what a coding agent needs. self: write the report.")] = Mode.prompt,
    force: Annotated[bool, typer.Option("--force", help="Write over a report without asking.")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file of settings, as in pyproject.toml.")] = None,
    folder: Annotated[Path, typer.Option("--logs-dir", help="The folder that holds the logs.")] = LOGS,
    truth: Annotated[str | None, typer.Option("--ground-truth", help="What the answer should be: text, or @FILE.")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Let a model add to each review: its name for pydantic-ai.")] = None,
) -> None:
    """Analyse a turn of a log: a prompt for a coding agent, or a report that three reviewers have looked over.

    Example: spantriage logs analyze --mode self --turn 1
    """
    if log_dir is None and not folder.is_dir():
        raise SourceError(f"{folder}: no such folder")
    log = log_dir or latest_log(folder)
    if not log.is_dir():
        raise SourceError(f"{log}: no such folder")
    found = find_turn(log, turn)
    if found is None:
        raise SourceError(f"{log}: no log of MassGen")
    if mode is Mode.prompt:
        _print_prompt(found, log, truth_of(truth))
        return
    if found.report.exists() and not force and not _agreed(found.report):
        raise SinkError(f"{found.report} is there and was kept; --force overwrites it")
    runs, skips = load([found.attempt], config=config)
    case = open_case(runs[0], found.folder, (inert(str(skip), 400).plain for skip in skips))
    document, said = render(case, html=False, truth=truth_of(truth), reviewed=True, judge=judge)
    put(found.report, said, force=True)
    tell_summary(document)
    print(f"report written to {found.report}")


def _agreed(path: Path) -> bool:
    """Ask; who cannot be asked has not agreed."""
    try:
        return typer.confirm(f"{path} is there already. Overwrite it?")
    except typer.Abort:
        return False


def _print_prompt(found: Turn, log: Path, truth: str | None) -> None:
    from spantriage.report.markdown import prompt
    from spantriage.report.sections.appendix import QUESTIONS
    from spantriage.report.wording import NEUTRAL

    said = prompt(
        log=str(log), turn=found.number, attempt=str(found.attempt), report=str(found.report), exists=found.report.exists(),
        truth=truth, neutral=NEUTRAL, questions=QUESTIONS,
    )  # fmt: skip
    sys.stdout.write(clean(said))
