"""`spantriage scan`: recorded runs, read and judged."""

from __future__ import annotations

import gc
import sys
from collections import Counter
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
from spantriage.errors import SinkError
from spantriage.parallel import Result, Scan
from spantriage.sinks.jsonl import JsonlSink
from spantriage.summary import total

if TYPE_CHECKING:
    from spantriage.judge import Judge

__all__ = ["progress", "scan"]

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
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, help="Processes that read; 0: one for each processor.")] = 1,
    store: Annotated[str | None, typer.Option("--store", help="Keep spans and findings here for questions: FOLDER[?content=yes].")] = None,
    assume: Annotated[Assume | None, typer.Option("--assume", help="The runs are known to have failed: always name a root cause.")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Ask this model, such as openai:gpt-5-mini, where rules are unsure.")] = None,
    judge_budget: Annotated[float, typer.Option("--judge-budget", min=0.0, help="Dollars that --judge may spend.")] = 0.5,
) -> None:
    """Judge recorded runs.

    Example: spantriage scan traces/ --out findings.jsonl --fail-on error
    """
    second = None if judge is None else _second(judge, judge_budget)
    going = Scan(kind, assume is Assume.failed, workers, store, second=None if second is None else second.ask)
    sinks = [sink for sink in (None if out is None else _open(out), None if store is None else _keep(store)) if sink is not None]
    gc.set_threshold(100_000, 50, 1_000)  # much is made and kept here; the defaults would look through it all the time
    worst = -1
    shown: list[Result] = []
    with progress(going):
        for result in going.run(paths):
            worst = max([worst, *(RANK[finding.severity] for finding in result.findings)])
            for sink in sinks if result.findings else ():
                sink.write(result.findings)
            if form is Format.json:
                sys.stdout.write(orjson.dumps(result.summary).decode() + "\n")
            else:
                shown.append(result)
    for sink in sinks:
        sink.close(5.0)
    if form is Format.table:
        _print(shown, going, out)
    _tell_skips(going)
    _tell_judge(second)
    if going.skips and not going.counts["spans"] and not going.counts["steps"]:
        raise typer.Exit(2)
    if fail_on is not None and worst >= RANK[fail_on.value]:
        raise typer.Exit(1)


def _second(model: str, budget_usd: float) -> Judge:
    """The model that reads runs again. Raises MissingExtra without its library."""
    from spantriage.judge import Judge

    return Judge(model, budget_usd)


def _tell_judge(judge: Judge | None) -> None:
    """What became of the runs that a model was to read again, on stderr; nothing more is asked of it."""
    if judge is None:
        return
    judge.close()
    told = ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in sorted(judge.counts.items())) or "no runs"
    print(inert(f"{judge.model}: {told}; ${judge.spent_usd:.4f} of ${judge.budget_usd:.2f} spent", 400).plain, file=sys.stderr)
    if judge.last_error is not None:
        print(inert(f"{judge.model} could not be asked: {judge.last_error}", 400).plain, file=sys.stderr)


def _open(path: Path) -> JsonlSink:
    """The file, empty; refused where something other than a plain file is in the way."""
    if path.exists() and not path.is_file():
        raise SinkError(f"{path} is not a file")
    path.unlink(missing_ok=True)
    return JsonlSink(path)


def _keep(said: str) -> JsonlSink:
    """Where a store keeps what is found in recorded runs. Raises StoreError when it cannot be had."""
    from spantriage.store.layout import create
    from spantriage.store.target import read_target

    return JsonlSink(create(read_target(said).folder) / "findings" / "scanned.jsonl", max_bytes=1 << 40)


class Counts(ProgressColumn):
    """How far the scan has come."""

    def __init__(self, going: Scan) -> None:
        super().__init__()
        self._going = going

    def render(self, task: Task) -> Text:
        """Read anew with each refresh."""
        counts = self._going.counts
        files = f"{counts['files']:,} of {counts['files_found']:,} files, " if counts["files_found"] > 1 else ""
        return Text(f"{files}{_read(counts)} read, {counts['runs']:,} runs judged")


def _read(counts: Counter[str]) -> str:
    """How much was read, in words."""
    spans, steps = counts["spans"], counts["made_steps"]
    return f"{spans:,} spans and {steps:,} other steps" if spans and steps else f"{steps:,} steps" if steps else f"{spans:,} spans"


def progress(going: Scan) -> Progress:
    """Shown on a terminal, on stderr, and gone at the end."""
    screen = console(stderr=True)
    columns = (SpinnerColumn(), Counts(going), TimeElapsedColumn())
    progress = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    progress.add_task("scan", total=None)
    return progress


def _print(shown: list[Result], going: Scan, out: Path | None) -> None:
    screen = console()
    findings = [finding for result in shown for finding in result.findings]
    outcomes = Counter(str(result.summary["outcome"]) for result in shown)
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    screen.print(inert(f"{len(shown)} runs ({told or 'none'}), {_read(going.counts)}, {len(findings)} findings"))
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


def _runs_table(shown: list[Result]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("run", "left"), ("outcome", "left"), ("agents", "left"), ("spans", "right"), ("time", "right"),
        ("tokens", "right"), ("cost", "right"), ("root cause", "left"), ("source", "left"),
    ):  # fmt: skip
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    ordered = sorted(shown, key=_score)
    for result in ordered[:RUNS_SHOWN]:
        summary, primary = result.summary, result.primary
        agents, labels, cost = summary["agents"], summary["labels"], summary["cost_usd"]
        both = total([summary["input_tokens"], summary["output_tokens"]])  # type: ignore[list-item]  # counts or None
        outcome = str(summary["outcome"])
        trial = labels.get("trial_name") if isinstance(labels, dict) else None
        table.add_row(
            inert(trial, 40) if trial else str(summary["trace_id"])[:12],
            inert(outcome, style="green" if outcome in ("ok", "passed") else STYLES["error"]),
            inert(", ".join(agents) if isinstance(agents, dict) else "", 60),
            tokens(summary["spans"]),
            f"{summary['duration_s']:.2f} s",
            tokens(both),
            f"${cost:.4f}" if isinstance(cost, float) else "-",
            inert(f"{primary.code} in {primary.agent}" if primary else "-", 80),
            inert(summary["source"], 80),
        )
    if len(ordered) > RUNS_SHOWN:
        table.add_row(f"{len(ordered) - RUNS_SHOWN} more")
    return table


def _score(result: Result) -> float:
    score = result.summary["failure_score"]
    return -score if isinstance(score, float) else 0.0


def _tell_skips(going: Scan) -> None:
    """What could not be read, on stderr, with file and line."""
    for skip in going.skips[:SKIPS_SHOWN]:
        place = f"{skip.path}:{skip.line}" if skip.line else f"{skip.path}"
        print(inert(f"{place}: {skip.reason}", 400).plain, file=sys.stderr)
    if not going.counts["runs"] and (passed := going.counts["files_passed_over"]):
        print(f"{passed} JSON {'file' if passed == 1 else 'files'} in no format that is known", file=sys.stderr)
    if going.counts["skips"] > SKIPS_SHOWN:
        print(f"... and {going.counts['skips'] - SKIPS_SHOWN} more that could not be read", file=sys.stderr)
