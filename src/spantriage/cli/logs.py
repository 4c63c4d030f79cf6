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

from spantriage.cli.show import console, inert, tokens
from spantriage.errors import ConfigError, SourceError
from spantriage.logs import LOGS, entries
from spantriage.text import clean
from spantriage.values import mend

__all__ = ["app"]

app = typer.Typer(name="logs", help="MassGen's logs.", no_args_is_help=True)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


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
