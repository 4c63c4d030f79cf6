"""`spantriage traces`: execution traces of benchmark jobs, put together, compared, shared, kept, learned from."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.table import Table
from rich.text import Text

from spantriage.archive import ROOT, keep, traces_in
from spantriage.cli.show import console, inert
from spantriage.comparison import compare
from spantriage.errors import SinkError, SourceError
from spantriage.files import Skip
from spantriage.lessons import learn, read, store
from spantriage.sanitise import sanitise
from spantriage.sources.talk import listed, mapping
from spantriage.text import clean
from spantriage.traces import Job, stamp, summary_of
from spantriage.values import mend

__all__ = ["app"]

SKIPS_SHOWN: Final = 20
DATABASE: Final = Path(".engram/engram.db")
app = typer.Typer(name="traces", help="Execution traces of benchmark jobs: together, compared, shared, kept.", no_args_is_help=True)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


@app.command("aggregate")
def aggregate(
    job: Annotated[Path, typer.Option("--job-dir", help="The job's folder, of Harbor or Terminal-Bench.")],
    task: Annotated[str | None, typer.Option("--task", help="Only trials of this task, or this trial.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here; without it, to the screen.")] = None,
    tasks: Annotated[Path | None, typer.Option("--tasks-dir", help="Where the tasks lie, for their instructions.")] = None,
) -> None:
    """One JSON with everything about each trial of a job.

    Example: spantriage traces aggregate --job-dir jobs/2026-11-20__08-00-00 --output artifacts/baseline-execution-traces-full.json
    """
    traces = _traces(job, task, tasks)
    summed = {**summary_of(traces), "retries": Job(job).retries}
    document = {"job_dir": clean(str(job)), "timestamp": stamp(), "traces": traces, "summary": summed}
    _write(document, output)
    if output is not None:
        summary = mapping(document["summary"])
        said = ", ".join(f"{summary[name]} {name}" for name in ("passed", "failed", "partial", "errors"))
        print(f"{summary['total']} traces ({said}) written to {output}")


@app.command("compare")
def compare_traces(
    baseline: Annotated[Path, typer.Argument(help="Aggregated traces, or a job's folder.", show_default=False)],
    variant: Annotated[Path, typer.Argument(help="The same, of the other run.", show_default=False)],
    form: Annotated[Format, typer.Option("--format", help="table for people, json for programs.")] = Format.table,
) -> None:
    """What changed from one run of the same tasks to another.

    Example: spantriage traces compare artifacts/baseline.json artifacts/mcp.json
    """
    found = compare(_load(baseline), _load(variant))
    if form is Format.json:
        _write(found, None)
        return
    _print_comparison(found)


@app.command("export")
def export(
    source: Annotated[Path, typer.Argument(help="Aggregated traces, or a job's folder.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Write here.")],
    drop_content: Annotated[bool, typer.Option("--drop-content", help="Leave out instructions, replies, code and test output.")] = False,
) -> None:
    """A copy that can be shared: without homes, addresses, machines and credentials.

    Example: spantriage traces export artifacts/mcp.json --output shared.json --drop-content
    """
    traces = _load(source)
    document = {"timestamp": stamp(), "traces": traces, "summary": summary_of(traces)}
    _write(sanitise(document, drop_content=drop_content), output)
    print(f"{len(traces)} traces written to {output}")


@app.command("archive")
def archive(
    files: Annotated[list[Path], typer.Argument(help="Files to keep: traces, findings, reports.", show_default=False)],
    root: Annotated[Path, typer.Option("--root", help="The archive.")] = ROOT,
    day: Annotated[str | None, typer.Option("--day", help="YYYY-MM-DD; without it the day that the file tells, else today.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over what is there under the same name.")] = False,
) -> None:
    """Keep files of past runs by day. The archive keeps itself out of git.

    Example: spantriage traces archive artifacts/mcp.json findings.jsonl
    """
    for file in files:
        print(keep(file, root, day=day, replace=replace))


@app.command("learn")
def learn_patterns(
    source: Annotated[Path, typer.Argument(help="Aggregated traces, or a job's folder.", show_default=False)],
    baseline: Annotated[Path | None, typer.Option("--baseline", help="Traces to hold them against.")] = None,
    database: Annotated[Path, typer.Option("--db", help="The SQLite file, made where it is missing.")] = DATABASE,
) -> None:
    """Store what a job teaches: failures that come back, tools that go with success, what a variant changed.

    Example: spantriage traces learn artifacts/mcp.json --baseline artifacts/baseline.json
    """
    lessons = list(learn(_load(source), None if baseline is None else _load(baseline)))
    number = store(lessons, database, str(source))
    for lesson in lessons:
        print(inert(f"{lesson.kind}: {lesson.pattern}", 300).plain)
    print(f"{number} patterns written to {database}")


@app.command("lessons")
def lessons(
    database: Annotated[Path, typer.Option("--db", help="The SQLite file.")] = DATABASE,
    at_least: Annotated[int, typer.Option("--at-least", min=1, help="Trials that a pattern must rest on.")] = 2,
) -> None:
    """Print the stored patterns as Markdown, for the next run's instructions.

    Example: spantriage traces lessons --at-least 5 >> instruction.md
    """
    print("## Learned from earlier runs\n")
    for lesson in read(database, at_least=at_least):
        advice = "" if lesson.advice == "none" else f" {lesson.advice}"
        print(inert(f"- {lesson.pattern}.{advice}", 600).plain)


def _traces(job: Path, task: str | None, tasks: Path | None) -> list[dict[str, object]]:
    if not job.is_dir():
        raise SourceError(f"{job}: no such folder")
    found = Job(job, task=task, tasks=tasks)
    screen = console(stderr=True)
    with screen.status("reading trials") if screen.is_terminal else nullcontext():
        traces = list(found.traces())
    _tell(found.skips)
    if not traces:
        raise SourceError(f"{job}: no trials" + (f" of {task}" if task else "") + " in it")
    return traces


def _load(path: Path) -> list[dict[str, object]]:
    return _traces(path, None, None) if path.is_dir() else traces_in(path)


def _tell(skips: list[Skip]) -> None:
    for skip in skips[:SKIPS_SHOWN]:
        print(inert(str(skip), 400).plain, file=sys.stderr)
    if len(skips) > SKIPS_SHOWN:
        print(f"... and {len(skips) - SKIPS_SHOWN} more that could not be read", file=sys.stderr)


def _write(document: object, output: Path | None) -> None:
    raw = orjson.dumps(mend(document), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    if output is None:
        sys.stdout.write(raw.decode() + "\n")
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(raw + b"\n")
    except OSError as error:
        raise SinkError(f"{output}: {error.strerror or error}") from error


def _print_comparison(found: dict[str, object]) -> None:
    screen = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "baseline", "variant", "causes"):
        table.add_column(name, overflow="fold")
    tasks = [mapping(task) for task in listed(found["tasks"])]
    for task in sorted(tasks, key=lambda each: (not each["changed"], str(each["task"]))):
        better = task["variant"] == "PASSED"
        style = "" if not task["changed"] else "green" if better else "red"
        causes = ", ".join(str(cause) for cause in listed(task["causes"]))
        table.add_row(inert(task["task"], 60), Text(str(task["baseline"])), Text(str(task["variant"]), style=style), inert(causes, 80))
    screen.print(table)
    for name, number in mapping(found["transitions"]).items():
        screen.print(inert(f"{number} {name}"))
    one, two, delta = mapping(found["baseline"]), mapping(found["variant"]), mapping(found["delta"])
    for name, side in (("baseline", one), ("variant", two)):
        rate, (low, high) = side["success_rate"], listed(side["interval_95"])
        errors = f", {side['errors']} errors ({side['infrastructure_errors']} of the machines)" if side["errors"] else ""
        screen.print(inert(f"{name}: {side['passed']} of {side['total']} passed ({rate}, 95 % between {low} and {high}){errors}"))
    low, high = listed(delta["interval_95"])
    verdict = "no difference is proved" if isinstance(low, float) and isinstance(high, float) and low <= 0 <= high else "a difference"
    chance = f", p {delta['p_value']}" if delta["p_value"] is not None else ""
    screen.print(inert(f"difference: {delta['success_rate']}, 95 % between {low} and {high}{chance}: {verdict}"))
    for key in ("only_in_baseline", "only_in_variant"):
        if listed(found[key]):
            screen.print(inert(f"{key.replace('_', ' ')}: {', '.join(map(str, listed(found[key])))}", 300), style="dim")
