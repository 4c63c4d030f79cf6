"""Answers as people read them in a terminal: tables with units, trees, and bars along time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spantriage.cli.show import inert
from spantriage.queries.catalogue import Named

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["draw"]

ROWS: Final = 1_000  # shown of an answer
BAR: Final = 48  # characters
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
FAILED: Final = 17
SAID: Final = ("_s", "_usd", "_sec", "_tokens")  # names that tell their unit


def draw(answer: pa.Table, known: Named | None) -> RenderableType:
    """The answer with its title; a tree or bars where the question says so."""
    rows = answer.slice(0, ROWS).to_pylist()
    units = {name: unit for name, (unit, _) in known.columns.items()} if known is not None else {}
    names = list(answer.column_names)
    extra: list[tuple[str, list[Text]]] = []
    if known is not None and known.show == "tree" and rows:
        extra = [("span", _branches(rows))]
        names = [name for name in names if name not in ("depth", "span_name", "parent_span_id")]
    elif known is not None and known.show == "gantt" and rows:
        extra = [("", _bars(rows))]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in extra[:1] if known is not None and known.show == "tree" else ():
        table.add_column(title, overflow="fold")
    for name in names:
        unit = units.get(name, "-")
        counted = any(isinstance(row[name], (int, float, Decimal)) and not isinstance(row[name], bool) for row in rows)
        head = inert(name if unit in ("-", "UTC") or name.endswith(SAID) else f"{name} ({unit})", 60)
        table.add_column(head, justify="right" if counted else "left", overflow="fold")
    if known is not None and known.show == "gantt":
        table.add_column("", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [_cell(row[name], units.get(name, "-")) for name in names]
        chart = [each[number] for _, each in extra]
        table.add_row(*(chart + cells if known is not None and known.show == "tree" else cells + chart))
    told = f"{answer.num_rows:,} rows" if answer.num_rows != 1 else "1 row"
    told += f", {ROWS:,} of them shown" if answer.num_rows > ROWS else ""
    above = [Text(known.title, style="bold")] if known is not None else []
    return Group(*above, table, Text(told, style="dim"))


def _cell(value: Any, unit: str) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, dt.datetime):
        return Text(value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3])
    if isinstance(value, int):
        return Text(f"{value:,}" if unit != "-" or abs(value) >= 10_000 else str(value))
    if isinstance(value, (float, Decimal)):
        return Text(_number(float(value), unit))
    return inert(value)


def _number(value: float, unit: str) -> str:
    if unit == "USD":
        return f"${value:,.4f}"
    if unit == "s":
        return f"{value:,.3f}"
    return f"{value:,.0f}" if unit == "tokens" else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"


def _branches(rows: Sequence[dict[str, Any]]) -> list[Text]:
    """Names behind the lines that lead to them."""
    last = [True] * len(rows)  # whether nothing of the same depth follows below the same parent
    open_depths: set[int] = set()
    for number in range(len(rows) - 1, -1, -1):
        depth = rows[number]["depth"]
        last[number] = depth not in open_depths
        open_depths = {each for each in open_depths if each < depth} | {depth}
    drawn: list[Text] = []
    ended: list[bool] = []
    for row, is_last in zip(rows, last, strict=True):
        depth = row["depth"]
        ended = [*ended[:depth], is_last]
        lines = "".join("   " if done else "│  " for done in ended[1:depth]) + ("└─ " if is_last else "├─ ") * bool(depth)
        said = inert(row["span_name"], 100, style="red" if (row.get("level") or 0) >= FAILED else "")
        drawn.append(Text(lines, style="dim") + said)
    return drawn


def _bars(rows: Sequence[dict[str, Any]]) -> list[Text]:
    """A bar for each row, from its start, as long as it took; all on one scale."""
    ends = [(row["started_s"] or 0) + (row["duration"] or 0) for row in rows]
    whole = max(ends, default=0) or 1.0
    drawn = []
    for row in rows:
        start = int((row["started_s"] or 0) / whole * BAR * 8)
        size = max(1, int((row["duration"] or 0) / whole * BAR * 8))
        drawn.append(Text(_bar(start, size), style="red" if (row.get("level") or 0) >= FAILED else "cyan"))
    return drawn


def _bar(start: int, size: int) -> str:
    """In eighths of a character; the left edge is cut to whole ones, for there are no blocks that fill from the right."""
    full, rest = divmod(max(1, size + start % 8), 8)
    return " " * (start // 8) + "█" * full + (EIGHTHS[rest] if rest else "")
