"""`spantriage watch`: agents and findings as they come, on the screen, or line by line where there is none."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from spantriage.cli.show import console, inert
from spantriage.finding import Finding
from spantriage.following import follow

__all__ = ["line_of", "watch"]

DEFAULTS = (".spantriage/store", ".spantriage/findings.jsonl")


def watch(
    place: Annotated[str, typer.Argument(help="A file of findings, a store, or a service's URL.", show_default=False)] = "",
    store: Annotated[str, typer.Option("--store", help="A store; the same as naming it.")] = "",
    once: Annotated[bool, typer.Option("--once", help="Tell what is there, a line each, and leave.")] = False,
) -> None:
    """Show findings as they come. Keys: / filters, Enter shows the evidence, c copies the trace's id, q leaves.

    Without a place it looks at what a program in this folder writes. Where the output is no terminal each finding is a line.

    Example: spantriage watch http://127.0.0.1:4318
    """
    said = place or store or next((each for each in DEFAULTS if Path(each).exists()), DEFAULTS[-1])
    if sys.stdout.isatty() and not once:
        from spantriage.cli.screen import Screen

        screen = Screen(said)
        screen.run()
        if screen.failure:
            raise screen.failure
        return
    stop = threading.Event()
    out = console()
    try:
        for finding in follow(said, stop, once=once):
            if finding is not None:
                out.print(inert(line_of(finding), 2_000), soft_wrap=True)
                sys.stdout.flush()
    except KeyboardInterrupt:
        stop.set()


def line_of(finding: Finding) -> str:
    """A finding in one line."""
    state = "withdrawn" if finding.withdrawn else finding.severity
    mark = " (root cause)" if finding.primary else ""
    return f"{finding.time[:19]} {state} {finding.code} {finding.agent or 'unknown'}: {finding.summary}{mark} trace={finding.trace_id}"
