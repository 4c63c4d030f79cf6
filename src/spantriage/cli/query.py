"""`spantriage query`: questions about spans."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table

from spantriage.cli.charts import draw
from spantriage.cli.show import console, inert
from spantriage.errors import QueryError, SpantriageError
from spantriage.files import Skip
from spantriage.queries.answers import to_csv, to_json, to_parquet
from spantriage.queries.asking import DEFAULT_STORE, Engine, open_engine
from spantriage.queries.catalogue import Named, all_queries, named
from spantriage.store.layout import is_store
from spantriage.store.packing import pack

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["WHERE", "query"]

PACK_S: Final = 1.0
PULSE_S: Final = 0.5  # how often `--follow` looks
SKIPS_SHOWN: Final = 20
WHERE: Final = f"Store, files or folders, logfire, clickhouse[:URL]. [{DEFAULT_STORE}]"
NAME: Final = "A named question; 'list' names them, 'schema' the columns, 'link' tells where to look at a run."


class Form(StrEnum):
    """How answers are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


Question = tuple[str, dict[str, Any], Named | None]


def query(
    name: Annotated[str | None, typer.Argument(help=NAME, show_default=False)] = None,
    sql: Annotated[str | None, typer.Option("--sql", help="SELECT over records and findings; - reads it from stdin.")] = None,
    on: Annotated[list[str] | None, typer.Option("--on", help=WHERE)] = None,
    trace_id: Annotated[str | None, typer.Option("--trace-id", help="The run: its trace id, the beginning of it, or latest.")] = None,
    given: Annotated[list[str] | None, typer.Option("--param", "-p", help="A parameter as name=value.")] = None,
    form: Annotated[Form, typer.Option("--format", help="table, json (an object a line), csv or parquet.")] = Form.table,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the answer here.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Ask again as spans arrive, until interrupted.")] = False,
) -> None:
    """Ask about spans, by the name of a question or in SQL.

    Example: spantriage query cost_by_agent --on traces.jsonl --trace-id latest
    """
    if sql is None and name in ("list", "schema", "link"):
        _tell_about(name, form, on, trace_id)
        return
    if (name is None) == (sql is None):
        raise QueryError("give the name of a question, or --sql; 'spantriage query list' names them all")
    if name is not None:
        named(name.replace("-", "_"))
    _pack(on or [DEFAULT_STORE])
    skips: list[Skip] = []
    engine = open_engine(_place(on), skips=skips)
    _tell(skips)
    try:
        parameters = _parameters(given or [])
        if trace_id is not None:
            parameters["trace_id"] = _whole_id(engine, trace_id)
        questions = list(_questions(name, sys.stdin.read() if sql == "-" else sql or "", parameters))
        if follow:
            _follow(engine, questions, form)
            return
        for text, bound, known in questions:
            _print(engine.run(text, bound), known, form, out)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        engine.close()


def _tell_about(what: str, form: Form, on: list[str] | None, trace_id: str | None) -> None:
    if what == "list":
        _list(form)
    elif what == "schema":
        _schema()
    else:
        from spantriage.queries.tools import Tools

        print(Tools(_place(on)).link(trace_id or ""))


def _pack(places: list[str]) -> None:
    """Pack for a moment what writers have left, so that a store never needs somebody to look after it."""
    if len(places) == 1 and is_store(places[0]):
        with suppress(SpantriageError, OSError):
            pack(Path(places[0]).absolute(), budget_s=PACK_S)


def _place(on: list[str] | None) -> Any:
    places = on or [DEFAULT_STORE]
    return places[0] if len(places) == 1 else places


def _questions(name: str | None, sql: str, parameters: dict[str, Any]) -> Iterator[Question]:
    if name is not None:
        known = named(name.replace("-", "_"))
        if not any(parameter.name == "trace_id" for parameter in known.parameters):
            parameters = {key: value for key, value in parameters.items() if key != "trace_id"}
        yield known.sql, known.bind(parameters), known
        return
    from spantriage.queries.parsing import statements

    for statement in statements(sql):
        yield statement, parameters, None


def _parameters(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise QueryError(f"--param is name=value, not {each!r}")
        found[name] = value
    return found


def _whole_id(engine: Engine, said: str) -> str:
    """A trace id from its beginning, or the latest run's."""
    if said == "latest":
        sql = "select trace_id from records group by trace_id having count(*) > 1 order by min(start_timestamp) desc, trace_id limit 1"
        found = engine.run(sql).to_pylist()
    elif len(said) == 32:
        return said
    else:
        sql = "select distinct trace_id from records where trace_id like :said || '%' order by trace_id limit 2"
        found = engine.run(sql, {"said": said.lower()}).to_pylist()
    if len(found) != 1:
        raise QueryError(f"{'no run begins' if not found else 'more than one run begins'} with {said!r}")
    return str(found[0]["trace_id"])


def _print(answer: pa.Table, known: Named | None, form: Form, out: Path | None) -> None:
    if form is Form.parquet or (out is not None and out.suffix == ".parquet"):
        to_parquet(answer, out)
    elif form is Form.table and out is None:
        console().print(draw(answer, known))
    else:
        text = to_csv(answer) if form is Form.csv or (out is not None and out.suffix == ".csv") else to_json(answer)
        if out is not None:
            out.write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)


def _follow(engine: Engine, questions: list[Question], form: Form) -> None:
    """Tables are drawn anew in place; of the other forms only rows that were not there before are printed."""
    if form is Form.table and console().is_terminal:
        with Live(console=console(), auto_refresh=False) as live:
            while True:
                live.update(_drawn(engine, questions), refresh=True)
                time.sleep(PULSE_S)
                engine.refresh()
    seen: set[str] = set()
    while True:
        for text, bound, _ in questions:
            for line in to_json(engine.run(text, bound)).splitlines(keepends=True):
                if line not in seen:
                    seen.add(line)
                    sys.stdout.write(line)
        sys.stdout.flush()
        time.sleep(PULSE_S)
        engine.refresh()


def _drawn(engine: Engine, questions: list[Question]) -> RenderableType:
    return Group(*(draw(engine.run(text, bound), known) for text, bound, known in questions))


def _list(form: Form) -> None:
    if form is not Form.table:
        import orjson

        for known in all_queries().values():
            said = {
                "name": known.name,
                "title": known.title,
                "purpose": known.purpose,
                "parameters": {p.name: {"type": p.kind, "required": p.required, "default": p.default} for p in known.parameters},
                "columns": {name: {"unit": unit, "meaning": meaning} for name, (unit, meaning) in known.columns.items()},
                "instead_of": known.instead,
            }
            sys.stdout.write(orjson.dumps(said).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "what it answers", "parameters"):
        table.add_column(title, no_wrap=title == "name")
    for known in all_queries().values():
        words = [parameter.name if parameter.required else f"[{parameter.name}]" for parameter in known.parameters]
        more = f" (instead of {', '.join(known.instead)})" if known.instead else ""
        table.add_row(known.name, inert(known.title + more), " ".join(words))
    console().print(table)


def _schema() -> None:
    import orjson

    from spantriage.queries.tools import Tools

    print(orjson.dumps(Tools(DEFAULT_STORE).schema(), option=orjson.OPT_INDENT_2).decode())


def _tell(skips: list[Skip]) -> None:
    for skip in skips[:SKIPS_SHOWN]:
        print(inert(str(skip), 400).plain, file=sys.stderr)
    if len(skips) > SKIPS_SHOWN:
        print(f"... and {len(skips) - SKIPS_SHOWN} more that could not be read", file=sys.stderr)
