"""`spantriage detectors`: what is looked for, and the page of each pattern."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated

import orjson
import typer
from rich.markdown import Markdown
from rich.table import Table

from spantriage.cli.scan import Format
from spantriage.cli.show import STYLES, console, inert
from spantriage.detectors import Detector, all_detectors, named

__all__ = ["app", "page"]

app = typer.Typer(help="The failure patterns that are looked for.", no_args_is_help=True)


@app.command("list")
def list_detectors(form: Annotated[Format, typer.Option("--format", help="table or json")] = Format.table) -> None:
    """List every detector: code, what it means, severity, category.

    Example: spantriage detectors list
    """
    found = [detector() for detector in all_detectors()]
    if form is Format.json:
        for detector in found:
            sys.stdout.write(orjson.dumps(describe(detector)).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("code", "severity", "kind", "category", "what it is"):
        table.add_column(name, no_wrap=name != "what it is")
    for detector in found:
        table.add_row(
            detector.code,
            inert(detector.severity, style=STYLES[detector.severity]),
            detector.kind,
            detector.category,
            inert(detector.title, 300),
        )
    console().print(table)


@app.command("explain")
def explain(code: Annotated[str, typer.Argument(help="A code, such as tool.silent_failure.")]) -> None:
    """Print the page of one detector: what it is, why it matters, what to do, when it is wrong, its settings.

    Example: spantriage detectors explain loop.repeated_call
    """
    detector = named(code)
    if detector is None:
        near = get_close_matches(code, [d.code for d in all_detectors()], n=1, cutoff=0.5)
        print(f"spantriage: no detector is called {code!r}" + (f"; did you mean {near[0]}?" if near else ""), file=sys.stderr)
        raise typer.Exit(2)
    screen = console()
    screen.print(Markdown(page(detector)) if screen.is_terminal else page(detector))


def describe(detector: Detector) -> dict[str, object]:
    """A detector as JSON values."""
    return {
        "code": detector.code,
        "title": detector.title,
        "kind": detector.kind,
        "severity": detector.severity,
        "score": detector.score,
        "category": detector.category,
        "subcategory": detector.subcategory,
        "actionable": detector.actionable,
        "settings": {f.name: getattr(detector, f.name) for f in fields(detector)},
    }


def page(detector: type[Detector]) -> str:
    """A detector's page in Markdown, made of its docstring and its fields."""
    made = detector()
    category = f"{detector.category} / {detector.subcategory}" if detector.subcategory else detector.category
    facts = f"Category {category}, {detector.kind}, severity {detector.severity}, score {detector.score}."
    lines = [f"# {detector.code}", "", inspect.cleandoc(detector.__doc__ or ""), "", facts]
    settings = [f"- `{f.name}` = `{getattr(made, f.name)!r}`: {_meaning(detector, f.name)}" for f in fields(made)]
    return "\n".join([*lines, *(["", "## Settings", *settings] if settings else [])])


def _meaning(detector: type[Detector], name: str) -> str:
    """The docstring that stands under a field in the source."""
    source = inspect.getsource(detector).splitlines()
    for number, line in enumerate(source[:-1]):
        if line.strip().startswith(f"{name}:"):
            return source[number + 1].strip().strip('"')
    return ""
