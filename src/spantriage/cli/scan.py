"""`spantriage scan`: recorded runs, read and judged."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from spantriage.cause import RANK
from spantriage.cli.show import STYLES, console, findings_table, inert, tokens
from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.engine import Engine
from spantriage.errors import SinkError
from spantriage.replay import Judged, Replay
from spantriage.sinks.jsonl import JsonlSink

if TYPE_CHECKING:
    from spantriage.store.importing import Importer

__all__ = ["scan", "summarise"]

RUNS_SHOWN: Final = 40
SKIPS_SHOWN: Final = 20


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


class Severity(StrEnum):
    """From which severity on findings make the command fail."""

    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


class Assume(StrEnum):
    """What is known about the runs beforehand."""

    failed = "failed"


def scan(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders, plain or .gz/.xz/.zst.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write findings here, one JSON object a line; replaces a file.")] = None,
    kind: Annotated[str, typer.Option("--from", help="The format of the input; auto looks at each file.")] = "auto",
    form: Annotated[Format, typer.Option("--format", help="table for people, json for programs: one object a run.")] = Format.table,
    fail_on: Annotated[Severity | None, typer.Option("--fail-on", help="Exit 1 when a finding is at least this severe.")] = None,
    store: Annotated[str | None, typer.Option("--store", help="Keep spans and findings here for questions: FOLDER[?content=yes].")] = None,
    assume: Annotated[Assume | None, typer.Option("--assume", help="The runs are known to have failed: always name a root cause.")] = None,
) -> None:
    """Judge recorded runs.

    Example: spantriage scan traces/ --out findings.jsonl --fail-on error
    """
    engine = Engine(configure_detectors(load_settings(), all_detectors()))
    kept = None if store is None else _keep(store)
    replay = Replay(engine, assume_failed=assume is Assume.failed, watch=None if kept is None else kept[0].add)
    sinks = [sink for sink in (None if out is None else _open(out), kept and kept[1]) if sink is not None]
    gc.set_threshold(100_000, 50, 1_000)  # much is made and kept here; the defaults would look through it all the time
    worst = -1
    shown: list[Judged] = []
    with _progress(replay):
        for judged in replay.scan(paths, kind):
            worst = max([worst, *(RANK[finding.severity] for finding in judged.findings)])
            for sink in sinks if judged.findings else ():
                sink.write(judged.findings)
            if form is Format.json:
                sys.stdout.write(orjson.dumps(summarise(judged)).decode() + "\n")
            else:
                shown.append(judged)
    for sink in sinks:
        sink.close(5.0)
    if kept is not None:
        kept[0].close()
    if form is Format.table:
        _print(shown, replay, out)
    _tell_skips(replay)
    if replay.skips and not replay.counts["spans"] and not replay.counts["steps"]:
        raise typer.Exit(2)
    if fail_on is not None and worst >= RANK[fail_on.value]:
        raise typer.Exit(1)


def summarise(judged: Judged) -> dict[str, object]:
    """One run as `--format json` prints it. Unknown figures are null."""
    judgement = judged.judgement
    records = judgement.state.records
    steps = judgement.run.steps.values()
    primary = judged.primary
    start, end = min(step.start_ns for step in steps), max(step.end_ns for step in steps)
    return {
        "trace_id": f"{judgement.run.trace_id:032x}",
        "source": judged.source,
        "outcome": judgement.outcome,
        "failure_score": judgement.failure_score,
        "primary": None if primary is None else primary.model_dump(mode="json"),
        "agents": {name: record.as_dict() for name, record in sorted(records.items())},
        "spans": judged.spans,
        "duration_s": round(max(0, end - start) / 1e9, 6),
        "input_tokens": _sum(record.input_tokens for record in records.values()),
        "output_tokens": _sum(record.output_tokens for record in records.values()),
        "cost_usd": _sum(record.cost_usd for record in records.values()),
        "findings": len(judged.findings),
    }


def _sum(amounts: Iterable[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _open(path: Path) -> JsonlSink:
    """The file, empty; refused where something other than a plain file is in the way."""
    if path.exists() and not path.is_file():
        raise SinkError(f"{path} is not a file")
    path.unlink(missing_ok=True)
    return JsonlSink(path)


def _keep(said: str) -> tuple[Importer, JsonlSink]:
    """A store for spans and for what is found in them."""
    from spantriage.store.importing import Importer
    from spantriage.store.target import read_target

    importer = Importer(read_target(said))
    return importer, JsonlSink(importer.folder / "findings" / "scanned.jsonl", max_bytes=1 << 40)


class Counts(ProgressColumn):
    """How far the scan has come."""

    def __init__(self, replay: Replay) -> None:
        super().__init__()
        self._replay = replay

    def render(self, task: Task) -> Text:
        """Read anew with each refresh."""
        counts = self._replay.counts
        return Text(f"{counts['spans']:,} spans read, {counts['runs']:,} runs judged")


def _progress(replay: Replay) -> Progress:
    """Shown on a terminal, on stderr, and gone at the end."""
    screen = console(stderr=True)
    columns = (SpinnerColumn(), Counts(replay), TimeElapsedColumn())
    progress = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    progress.add_task("scan", total=None)
    return progress


def _print(shown: list[Judged], replay: Replay, out: Path | None) -> None:
    screen = console()
    findings = [finding for judged in shown for finding in judged.findings]
    outcomes = Counter(judged.judgement.outcome for judged in shown)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    screen.print(inert(f"{len(shown)} runs ({told or 'none'}), {replay.counts['spans']:,} spans, {len(findings)} findings"))
    if shown:
        screen.print(_runs_table(shown))
    loud = [finding for finding in findings if finding.severity != "info"]
    if loud:
        screen.print()
        screen.print(findings_table(loud))
    quiet = Counter(finding.code for finding in findings if finding.severity == "info")
    if quiet:
        screen.print(inert("notes: " + ", ".join(f"{code} ×{number}" for code, number in quiet.most_common())), style="dim")
    if out is not None:
        screen.print(inert(f"findings written to {out}"), style="dim")


def _runs_table(shown: list[Judged]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("run", "left"), ("outcome", "left"), ("agents", "left"), ("spans", "right"), ("time", "right"),
        ("tokens", "right"), ("cost", "right"), ("root cause", "left"), ("source", "left"),
    ):  # fmt: skip
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    ordered = sorted(shown, key=lambda judged: -judged.judgement.failure_score)
    for judged in ordered[:RUNS_SHOWN]:
        summary = summarise(judged)
        agents = summary["agents"]
        primary, cost = judged.primary, summary["cost_usd"]
        total = _sum([summary["input_tokens"], summary["output_tokens"]])  # type: ignore[list-item]  # counts or None
        outcome = judged.judgement.outcome
        table.add_row(
            str(summary["trace_id"])[:12],
            inert(outcome, style="green" if outcome in ("ok", "passed") else STYLES["error"]),
            inert(", ".join(agents) if isinstance(agents, dict) else "", 60),
            tokens(judged.spans),
            f"{summary['duration_s']:.2f} s",
            tokens(total),
            f"${cost:.4f}" if isinstance(cost, float) else "-",
            inert(f"{primary.code} in {primary.agent}" if primary else "-", 80),
            inert(judged.source, 80),
        )
    if len(ordered) > RUNS_SHOWN:
        table.add_row(f"{len(ordered) - RUNS_SHOWN} more")
    return table


def _tell_skips(replay: Replay) -> None:
    """What could not be read, on stderr, with file and line."""
    for skip in replay.skips[:SKIPS_SHOWN]:
        place = f"{skip.path}:{skip.line}" if skip.line else f"{skip.path}"
        print(inert(f"{place}: {skip.reason}", 400).plain, file=sys.stderr)
    if replay.counts["skips"] > SKIPS_SHOWN:
        print(f"... and {replay.counts['skips'] - SKIPS_SHOWN} more that could not be read", file=sys.stderr)
