"""Answers as people read them in a terminal: tables with units, trees, and bars along time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spantriage.cli.show import console, inert
from spantriage.queries.catalogue import Named

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["draw"]

ROWS: Final = 1_000  # shown of an answer
BAR: Final = 48  # characters
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
FAILED: Final = 17
ID_WIDTH: Final = 12  # of a trace id's beginning, which is enough to ask with
WIDE: Final = 160
NARROW: Final = 100
SAID: Final = ("_s", "_usd", "_sec", "_tokens")  # names that tell their unit


def draw(answer: pa.Table, known: Named | None) -> RenderableType:
    """The answer with its title; a tree or bars where the question says so."""
    rows = answer.slice(0, ROWS).to_pylist()
    units = {name: unit for name, (unit, _) in known.columns.items()} if known is not None else {}
    show = known.show if known is not None and rows else "table"
    names = [name for name in answer.column_names if show != "tree" or name not in ("depth", "span_name", "parent_span_id")]
    table = Table(box=None, pad_edge=False, header_style="bold")
    branches = _branches(rows) if show == "tree" else []
    bars = _bars(rows) if show == "gantt" else []
    if branches:
        table.add_column("span", overflow="fold")
    for name in names:
        _add_column(table, name, units.get(name, "-"), rows)
    if bars:
        table.add_column("", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [_cell(row[name], units.get(name, "-")) for name in names]
        table.add_row(*branches[number : number + 1], *cells, *bars[number : number + 1])
    told = f"{answer.num_rows:,} rows" if answer.num_rows != 1 else "1 row"
    told += f", {ROWS:,} of them shown" if answer.num_rows > ROWS else ""
    above = [Text(known.title, style="bold")] if known is not None else []
    return Group(*above, table, Text(told, style="dim"))


def _add_column(table: Table, name: str, unit: str, rows: Sequence[dict[str, Any]]) -> None:
    """Figures, times and ids stay in one piece; on a narrow terminal headings are broken and ids cut."""
    counted = any(isinstance(row[name], (int, float, Decimal)) and not isinstance(row[name], bool) for row in rows)
    is_id, narrow = name.endswith("_id"), console().width < WIDE
    head = inert(name if unit in ("-", "UTC") or name.endswith(SAID) else f"{name} ({unit})", 60).plain
    table.add_column(
        Text(head.replace("_", "_\n").replace(" (", "\n(") if counted and narrow else head),
        justify="right" if counted else "left",
        overflow="ellipsis" if counted or is_id or unit == "UTC" else "fold",
        no_wrap=counted or is_id or unit == "UTC",
        max_width=ID_WIDTH if is_id and narrow else None,
    )


def _cell(value: Any, unit: str) -> Text:
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, dt.datetime):
        return Text(value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[: 23 if console().width >= NARROW else 19])
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
