"""The engine that comes along: DuckDB in this process, over a store, over files of spans, or over spans in memory."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from spantriage.errors import QueryError
from spantriage.queries.parsing import parse, wanted
from spantriage.queries.relations import FINDING_COLUMNS, FINDINGS, fill, findings_table, records_view
from spantriage.queries.rendering import Lookup, Target, render
from spantriage.queries.steps import STEPS
from spantriage.store.columns import PROMOTED, RECORDS, is_content
from spantriage.store.layout import Snapshot, look
from spantriage.store.parquet import quoted
from spantriage.store.relation import stored

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["Duck"]

LOG: Final = logging.getLogger("spantriage")
TRIES: Final = 5  # times that a question is asked again because files went away under it
JSON: Final = {b"ARROW:extension:name": b"arrow.json"}  # on the column of an answer
_LOCKS: Final = (
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    "set python_enable_replacements = false",
    "set enable_external_access = false",
    "set lock_configuration = true",
)
_FLOATS: Final = frozenset(("FLOAT", "DOUBLE", "DECIMAL"))
# What a column of a kind can be cast to just as its JSON would be.
_EXACT: Final = {"VARCHAR": frozenset[str](), "BIGINT": _FLOATS | {"TINYINT", "SMALLINT", "INT", "BIGINT", "INT128"}, "DOUBLE": _FLOATS}
_NAME: Final = re.compile(r'(?:column|named|Function with name) "([^"]+)"|Function with name (\w+)', re.IGNORECASE)


class Duck:
    """Answers questions. `records` is a store, or an Arrow table of physical columns; `findings` is asked when a question is.

    Files cannot be reached from SQL: what a question may read is fixed before it is run. For one thread.
    """

    name = "duckdb"

    def __init__(self, records: Path | pa.Table, findings: Callable[[], Iterable[Finding]] = tuple) -> None:
        self._records = records
        self._findings = findings
        self._asked = False  # whether `findings` has been filled
        self._promoted: frozenset[str] = frozenset(PROMOTED)
        self._open()

    def _open(self) -> None:
        self._con = con = duckdb.connect()
        con.execute("set TimeZone = 'UTC'")
        con.execute("set parquet_metadata_cache = true")
        self._asked = False
        if isinstance(self._records, Path):
            snapshot = self._view(self._records)
            self._promoted = snapshot.promoted
            paths = [*map(str, snapshot.parquet), *map(str, snapshot.segments)]
            con.execute("set allowed_paths = [" + ", ".join(map(quoted, paths)) + "]")
        else:
            fill(con, self._records)
            odd = pc.list_flatten(self._records["odd"]) if self._records.num_rows else []
            self._promoted = frozenset(PROMOTED) - {str(each) for each in odd}
        con.execute(FINDINGS)
        for lock in _LOCKS:
            con.execute(lock)

    def _view(self, folder: Path) -> Snapshot:
        """Make `records` of the files that are there; they may be packed between the look and the view."""
        for attempt in range(TRIES):
            snapshot = look(folder)
            try:
                self._con.execute(records_view(stored(snapshot)))
            except duckdb.IOException as error:
                if attempt == TRIES - 1:
                    raise QueryError(_first_line(error)) from None
                continue
            for words in snapshot.unreadable:
                LOG.warning("%s; it is left out", words)
            return snapshot
        raise AssertionError

    def refresh(self) -> None:
        """Look at the store again: what has come since is seen by the next question."""
        if isinstance(self._records, Path):
            self._con.close()
            self._open()

    def run(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one SELECT. Raises QueryError; a store that is compacted meanwhile is looked at again."""
        tree = parse(sql)
        if not self._asked and any(table.name == "findings" for table in tree.find_all(exp.Table)):
            self._fill_findings()
        given = dict(parameters or {})
        names = wanted(tree, given)
        for attempt in range(TRIES):
            said = render(sql, _target(self._promoted))
            try:
                answer = self._con.sql(said, params={name: given[name] for name in names})
                return _plain(answer.to_arrow_table(), [str(kind) for kind in answer.types])
            except (duckdb.IOException, duckdb.PermissionException) as error:
                if attempt == TRIES - 1 or not isinstance(self._records, Path):
                    raise QueryError(_first_line(error)) from None
                self.refresh()
                if any(table.name == "findings" for table in tree.find_all(exp.Table)):
                    self._fill_findings()
            except (duckdb.Error, OverflowError) as error:
                raise _explained(error, sql) from None
        raise AssertionError

    def _fill_findings(self) -> None:
        self._asked = True
        found = findings_table(self._findings())
        self._con.register("found", found)
        self._con.execute("insert into findings by name select * from found")
        self._con.unregister("found")

    def interrupt(self) -> None:
        """Stop the question that is being answered; from any thread."""
        self._con.interrupt()

    def close(self) -> None:
        """Let go of memory and files."""
        self._con.close()


def _plain(table: pa.Table, kinds: list[str]) -> pa.Table:
    """Sums of whole numbers come with 38 digits; they are whole numbers of 64 bits where they fit. JSON is marked as such."""
    if "JSON" in kinds:
        fields = [column.with_metadata(JSON) if kind == "JSON" else column for column, kind in zip(table.schema, kinds, strict=True)]
        table = pa.table(table.columns, schema=pa.schema(fields))
    for number, column in enumerate(table.schema):
        if pa.types.is_decimal(column.type) and column.type.scale == 0 and column.type.precision == 38:
            with contextlib.suppress(pa.ArrowInvalid):
                table = table.set_column(number, column.name, table[number].cast(pa.int64()))
    return table


def _target(promoted: frozenset[str]) -> Target:
    return Target(
        "duckdb",
        lambda asked: _look_up(asked, promoted),
        _whole,
        _finish,
        types=(("DECIMAL", "decimal(38, 9)"), ("FLOAT", "double")),
    )


def _look_up(asked: Lookup, promoted: frozenset[str]) -> exp.Expr:
    """From the attribute's column if it has one; also from the JSON where not all values are in the column."""
    home = exp.column("content" if is_content(asked.key) else "attributes", table=asked.alias)
    there = exp.func("coalesce", exp.func("json_exists", home, _path(asked.key)), exp.false())
    kind = exp.JSONExtractScalar if asked.how == "text" else exp.JSONExtract
    answer: exp.Expr = exp.paren(kind(this=home.copy(), expression=_path(asked.key), only_json_types=True))
    own = PROMOTED.get(asked.key)
    if own is not None:
        column = exp.column(own.column, table=asked.alias)
        trusted = asked.key in promoted
        if asked.how == "has":
            has = column.is_(exp.null()).not_()
            return exp.paren(has if trusted else exp.or_(has, there))
        wanted = asked.cast.this.value if asked.cast is not None else ""
        if trusted and (asked.presence or (wanted in _EXACT[own.kind] and asked.how == "json")):
            return column if asked.presence else exp.cast(column, wanted_type(asked))
        told = _told(column, own.kind, asked.how)
        answer = told if trusted else exp.func("coalesce", told, answer)
    if asked.how == "has":
        return there
    return answer if asked.cast is None else exp.cast(answer, asked.cast)


def wanted_type(asked: Lookup) -> exp.DataType:
    """What an attribute is cast to."""
    assert asked.cast is not None
    return asked.cast


def _told(column: exp.Expr, kind: str, how: str) -> exp.Expr:
    """A column's value as `->>` or `->` would give it."""
    if how == "json":
        return exp.func("to_json", column)
    if kind == "VARCHAR":
        return column
    return exp.cast(column if kind == "BIGINT" else exp.func("to_json", column), "text")


def _path(key: str) -> exp.Expr:
    """A key as DuckDB takes it for one: as it is, or where it could be taken for a path, with a slash as a pointer."""
    if key and key[0] not in "$/" and "*" not in key and "~" not in key:
        return exp.Literal.string(key)
    return exp.Literal.string("/" + key.replace("~", "~0").replace("/", "~1"))


def _whole(alias: str) -> exp.Expr:
    return exp.column("whole_attributes", table=alias)


def _finish(tree: exp.Expr) -> exp.Expr:
    """Whole attributes are in a view of their own."""
    if any(column.name == "whole_attributes" for column in tree.find_all(exp.Column)):
        known = {cte.alias for cte in tree.find_all(exp.CTE)}
        for table in list(tree.find_all(exp.Table)):
            if table.name == "records" and "records" not in known:
                alias = table.alias_or_name
                table.replace(exp.alias_(exp.to_table("records_whole"), alias, table=True))
    return tree


def _explained(error: Exception, sql: str) -> QueryError:
    """DuckDB's complaint in a line, with the place of the name it is about and the nearest name that exists."""
    said = _first_line(error)
    found = _NAME.search(said)
    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException)) and found:
        name = (found[1] or found[2]).rpartition(".")[2]
        if "function" in said.lower():
            near = re.search(r'Did you mean "([^"]+)"', str(error))
            return QueryError.at(sql, name, "there is no function", [near[1]] if near else [])
        known = [*(column.name for column in RECORDS), *STEPS, *FINDING_COLUMNS]
        return QueryError.at(sql, name, "there is no column", known)
    return QueryError(said)


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
