"""The screen of `spantriage watch`. What agents said is plain text in every cell."""

from __future__ import annotations

import threading
from collections import Counter
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Header, Input, Static

from spantriage.cause import RANK
from spantriage.cli.show import STYLES, inert
from spantriage.errors import SpantriageError
from spantriage.finding import Finding
from spantriage.following import follow

__all__ = ["Screen"]

KEPT: Final = 2_000  # findings
TOGETHER: Final = 200  # findings shown at once, when many come


class Screen(App[None]):
    """Agents above, findings below; both grow as findings come."""

    TITLE = "spantriage"
    CSS = "#agents { height: 30%; } #findings { height: 1fr; } #filter { display: none; } Evidence { align: center middle; } "
    CSS += (
        "Evidence VerticalScroll { width: 80%; height: auto; max-height: 80%; border: round $primary; padding: 1 2; background: $surface; }"
    )
    BINDINGS: ClassVar[list[BindingType]] = [("slash", "filter", "Filter"), ("c", "copy", "Copy trace"), ("q", "quit", "Leave")]

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place, self._stop = place, threading.Event()
        self.findings: dict[str, Finding] = {}  # by id, newest last
        self._words = ""
        self.failure: SpantriageError | None = None

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable(id="agents", cursor_type="none")
        yield Input(placeholder="agent, code or trace", id="filter")
        yield DataTable(id="findings", cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to follow."""
        self.sub_title = self._place
        self.query_one("#agents", DataTable).add_columns("agent", "findings", "worst", "wasted, USD", "what")
        self.query_one("#findings", DataTable).add_columns("time", "severity", "code", "agent", "what happened")
        self.query_one("#findings").focus()
        self.follow()

    @work(thread=True)
    def follow(self) -> None:
        """On a thread: what comes is handed over in batches."""
        batch: list[Finding] = []
        try:
            for finding in follow(self._place, self._stop):
                if finding is not None:
                    batch.append(finding)
                if batch and (finding is None or len(batch) >= TOGETHER):
                    self.call_from_thread(self.take, batch)
                    batch = []
        except SpantriageError as error:
            self.failure = error
            self.call_from_thread(self.exit)

    def take(self, findings: list[Finding]) -> None:
        """Show findings; a later version takes the place of the earlier, a withdrawn one goes."""
        for finding in findings:
            self.findings.pop(finding.finding_id, None)
            if not finding.withdrawn:
                self.findings[finding.finding_id] = finding
        while len(self.findings) > KEPT:
            self.findings.pop(next(iter(self.findings)))
        self._draw()

    def _draw(self) -> None:
        table = self.query_one("#findings", DataTable)
        at = table.cursor_row
        table.clear()
        shown = [finding for finding in reversed(self.findings.values()) if self._words in _searched(finding)]
        for finding in shown:
            severity = Text(finding.severity, style=STYLES[finding.severity])
            said = inert(finding.summary + (" (root cause)" if finding.primary else ""))
            table.add_row(finding.time[11:19], severity, inert(finding.code), inert(finding.agent, 40), said, key=finding.finding_id)
        table.move_cursor(row=at)
        self._draw_agents()

    def _draw_agents(self) -> None:
        table = self.query_one("#agents", DataTable)
        table.clear()
        by_agent: dict[str, list[Finding]] = {}
        for finding in self.findings.values():
            by_agent.setdefault(finding.agent or "unknown", []).append(finding)
        for agent, found in sorted(by_agent.items()):
            worst = max((finding.severity for finding in found), key=RANK.__getitem__)
            wasted = sum(finding.wasted_cost_usd or 0.0 for finding in found)
            codes = ", ".join(f"{code} ×{number}" for code, number in Counter(finding.code for finding in found).most_common(4))
            table.add_row(inert(agent, 40), str(len(found)), Text(worst, style=STYLES[worst]), f"{wasted:.4f}", inert(codes))

    def _chosen(self) -> Finding | None:
        table = self.query_one("#findings", DataTable)
        if not table.row_count:
            return None
        return self.findings.get(str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter: the evidence."""
        if (finding := self._chosen()) is not None:
            self.push_screen(Evidence(finding))

    def action_filter(self) -> None:
        """Ask for words."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what has the words in it."""
        self._words = event.value.strip().lower()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the findings."""
        self.query_one("#findings").focus()

    def action_copy(self) -> None:
        """The trace's id into the clipboard."""
        if (finding := self._chosen()) is not None:
            self.copy_to_clipboard(finding.trace_id)
            self.notify(f"copied {finding.trace_id}", markup=False)

    def on_unmount(self) -> None:
        """Let the thread end."""
        self._stop.set()


class Evidence(ModalScreen[None]):
    """One finding with the spans that prove it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,enter,q", "dismiss", "Back")]

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self._finding = finding

    def compose(self) -> ComposeResult:
        finding = self._finding
        told = [("what happened", finding.summary), ("why", finding.root_cause), ("what to do", finding.actionable)]
        told += [("trace", finding.trace_id), ("span", finding.span_id)]
        told += [(each.name, each.excerpt or each.span_id) for each in finding.evidence]
        with VerticalScroll():
            yield Static(inert(f"{finding.code} ({finding.agent or 'unknown'})", style="bold"))
            for name, said in told:
                if said and said != "none":
                    yield Static(Text.assemble(inert(f"{name}: ", style="dim"), inert(said, 1_000)))


def _searched(finding: Finding) -> str:
    return f"{finding.agent} {finding.code} {finding.trace_id} {finding.summary}".lower()
