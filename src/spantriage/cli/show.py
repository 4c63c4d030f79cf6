"""Findings and runs as people read them in a terminal. Agent text is shown as it is, never as markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.text import clean, clip

__all__ = ["STYLES", "console", "findings_table", "inert", "record_table", "tokens"]

STYLES: Final = {"info": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
RECORD_COLUMNS: Final = (
    ("model calls", "model_calls"),
    ("tool calls", "tool_calls"),
    ("tool errors", "tool_errors"),
    ("tokens in", "input_tokens"),
    ("tokens out", "output_tokens"),
)


def console(*, stderr: bool = False) -> Console:
    """A console that takes no markup from text, and wraps nothing when its output is piped."""
    made = Console(markup=False, emoji=False, highlight=False, stderr=stderr, soft_wrap=False)
    if not made.is_terminal:
        made = Console(markup=False, emoji=False, highlight=False, stderr=stderr, width=200)
    return made


def inert(said: object, size: int = 200, style: str = "") -> Text:
    """Outside text that cannot move the cursor, colour the screen or be taken for markup."""
    return Text(clip(clean("" if said is None else str(said)), size).replace("\n", " "), style=style)


def findings_table(findings: Sequence[Finding], *, limit: int = 50) -> Table:
    """The findings, worst first; the root cause of a run is marked."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("severity", "code", "agent", "what happened", "span"):
        table.add_column(name, no_wrap=name in ("severity", "code", "span"), overflow="fold")
    ordered = sorted(findings, key=lambda f: (-RANK[f.severity], not f.primary, f.code, f.time))
    for finding in ordered[:limit]:
        style = STYLES[finding.severity]
        said = inert(finding.summary)
        if finding.primary:
            said.append("  (root cause)", style="bold")
        table.add_row(Text(finding.severity, style=style), inert(finding.code), inert(finding.agent, 40), said, inert(finding.span_id))
    if len(ordered) > limit:
        left = Counter(f.code for f in ordered[limit:])
        table.add_row("", inert(f"{len(ordered) - limit} more"), "", inert(", ".join(f"{c} {n}" for c, n in left.most_common(6))), "")
    return table


def record_table(agents: Iterable[tuple[str, dict[str, object]]]) -> Table:
    """Each agent's reliability record, a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("agent", overflow="fold")
    table.add_column("outcome")
    for title, _ in RECORD_COLUMNS:
        table.add_column(title, justify="right")
    table.add_column("findings", overflow="fold")
    for name, record in agents:
        found = record.get("findings")
        codes = ", ".join(f"{code} ×{n}" if n != 1 else code for code, n in found.items()) if isinstance(found, dict) else ""
        outcome = str(record.get("outcome"))
        table.add_row(
            inert(name, 60),
            Text(outcome, style="green" if outcome == "ok" else "red"),
            *(tokens(record.get(key)) for _, key in RECORD_COLUMNS),
            inert(codes or "-"),
        )
    return table


def tokens(number: object) -> str:
    """A count with thin groups of three; "-" when it is not known."""
    return f"{number:,}" if isinstance(number, int) else "-"
