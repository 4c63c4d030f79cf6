"""`spantriage taxonomy`: what each code is called elsewhere."""

from __future__ import annotations

import sys
from typing import Annotated

import orjson
import typer
from rich.table import Table

from spantriage.cli.scan import Format
from spantriage.cli.show import console
from spantriage.taxonomy import SETS, crosswalk

__all__ = ["taxonomy"]


def taxonomy(form: Annotated[Format, typer.Option("--format", help="table or json: one object with every code")] = Format.table) -> None:
    """Print, for each code, its category and its names in other taxonomies.

    Example: spantriage taxonomy --format json
    """
    entries = crosswalk()
    if form is Format.json:
        sys.stdout.write(orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("code", "category", "subcategory", *SETS):
        table.add_column(name, overflow="fold")
    for code, entry in entries.items():
        names = [entry[name] for name in SETS]
        table.add_row(
            code,
            str(entry["category"]),
            str(entry["subcategory"] or "-"),
            *(", ".join(each) if isinstance(each, list) and each else "-" for each in names),
        )
    console().print(table)
