"""One statement in PostgreSQL's words, checked and said again in the words of the engine that will run it.

The road: parse → check that it only reads `records` and `findings` → look at each SELECT from the inside out → write.
What a SELECT over `records` may name beyond Logfire's columns are the `step_` columns (`steps.py`), which every engine
works out from the attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from spantriage.queries.parsing import parse
from spantriage.queries.spelling import compare_level, divide_whole, say_levels, widen
from spantriage.queries.steps import STEPS
from spantriage.store.columns import RECORDS

__all__ = ["Lookup", "Target", "render"]

_NAMES: Final = tuple(column.name for column in RECORDS)
_HAS: Final = frozenset({"JSONBContains", "JSONBContainsTopKey"})  # `?`, by the names that sqlglot has given it
_HOW: Final[dict[str, Literal["text", "json"]]] = {"JSONExtractScalar": "text", "JSONExtract": "json"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """An attribute asked for: its key, the table's alias, how it was asked for, and what it is cast to."""

    key: str
    alias: str
    how: Literal["text", "json", "has"]  # ->> and -> and ?
    cast: exp.DataType | None = None
    presence: bool = False  # only whether it is null matters


@dataclass(frozen=True, slots=True)
class Target:
    """How an engine wants things said. What `look_up` returns takes the place of the question and of the cast around it."""

    dialect: str
    look_up: Callable[[Lookup], exp.Expr]
    whole: Callable[[str], exp.Expr]  # all attributes of a row of the table with this alias
    finish: Callable[[exp.Expr], exp.Expr] = field(default=lambda tree: tree)
    spreads: bool = True  # whether * has to be said column by column, for there are hidden ones
    types: tuple[tuple[str, str], ...] = ()  # bare type → what it is called


def render(sql: str, target: Target) -> str:
    """The statement for `target`. Raises QueryError with the position where it cannot be understood or is not allowed."""
    tree = parse(sql).copy()
    _name_columns(tree)
    _Pass(target).walk(tree)
    tree = tree.transform(widen, dict(target.types))
    return target.finish(tree).sql(target.dialect, comments=False)


def _name_columns(tree: exp.Expr) -> None:
    """Columns of the result that have no name are named by what was asked: `count(*)`."""
    select = tree.find(exp.Select)
    for each in list(select.expressions) if select is not None else ():
        if not each.alias and not _is_star(each) and not isinstance(each, exp.Column):
            each.replace(exp.alias_(each.copy(), each.sql("postgres", normalize_functions="lower").lower()[:60], quoted=True))


Sources = dict[str, exp.Table | Scope]


class _Pass:
    """Makes the `records` of people out of the `records` on disk, one SELECT after the other."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.passed: dict[int, list[str]] = {}  # SELECTs that hand whole rows of `records` on, and what they add to them

    def walk(self, tree: exp.Expr) -> None:
        scopes = list(traverse_scope(tree))
        divide_whole(tree)
        say_levels(tree)
        for scope in scopes:
            if isinstance(scope.expression, exp.Select):
                self._read(scope, scope.expression, is_root=scope.expression is tree)

    def _read(self, scope: Scope, select: exp.Select, *, is_root: bool) -> None:
        sources: Sources = {name: source for name, source in scope.sources.items() if self._is_records(source)}
        if sources:
            handed = not is_root and len(scope.sources) == 1 and isinstance(select.parent, (exp.CTE, exp.Subquery))
            if handed and any(_is_star(each) for each in select.expressions):
                self.passed[id(select)] = [each.alias_or_name for each in select.expressions if not _is_star(each)]
            elif self.target.spreads:
                self._spread_stars(select, sources)
        named = set(select.named_selects)
        for column in [node for node in scope.walk() if isinstance(node, exp.Column)]:
            if isinstance(column.this, exp.Star) or (_is_sorted_by(column, select) and column.name in named):
                continue  # a column of the result
            alias = self._alias_of(column, scope, sources)
            if alias is not None:
                self._change(column, alias, select)

    def _is_records(self, source: object) -> bool:
        if isinstance(source, exp.Table):
            return source.name == "records"
        return isinstance(source, Scope) and id(source.expression) in self.passed

    def _alias_of(self, column: exp.Column, scope: Scope, sources: Sources) -> str | None:
        """The alias of the `records` that a column belongs to, here or in a SELECT around this one; None: to none."""
        if not column.table:
            rivals = [name for name, other in scope.sources.items() if name not in sources and column.name in _named(other)]
            return next(iter(sources)) if len(sources) == 1 and not rivals else None
        around: Scope | None = scope
        while around is not None:
            if column.table in around.sources:
                return column.table if self._is_records(around.sources[column.table]) else None
            around = around.parent
        return None

    def _spread_stars(self, select: exp.Select, sources: Sources) -> None:
        made: list[exp.Expr] = []
        for each in select.expressions:
            if not _is_star(each) or each.find(exp.Star).args.get("except_"):
                made.append(each)
                continue
            wanted = [each.table] if isinstance(each, exp.Column) else list(select_sources(select))
            for name in wanted:
                if name not in sources:
                    made.append(exp.Column(this=exp.Star(), table=exp.to_identifier(name)))
                    continue
                source = sources[name]
                extra = self.passed.get(id(source.expression), []) if isinstance(source, Scope) else []
                made += [exp.column(column, table=name, quoted=False) for column in (*_NAMES, *extra)]
        select.set("expressions", made)

    def _change(self, column: exp.Column, alias: str, select: exp.Select) -> None:
        name = column.name
        if name in STEPS:
            made = sqlglot.parse_one(STEPS[name], read="postgres")
            for inner in list(made.find_all(exp.Column)):
                inner.set("table", exp.to_identifier(alias))
            made = exp.paren(made, copy=False) if isinstance(made, exp.Binary) else made
            _put(column, made, name, select)
            for inner in list(made.find_all(exp.Column)):
                if inner.name == "attributes":
                    self._change(inner, alias, select)
        elif name == "attributes":
            self._change_attributes(column, alias, select)
        elif name == "level":
            compare_level(column)

    def _change_attributes(self, column: exp.Column, alias: str, select: exp.Select) -> None:
        asked = column.parent
        key = _key_of(asked, column)
        if key is None or asked is None:
            _put(column, self.target.whole(alias), "attributes", select)
            return
        whole, cast, presence = asked, None, False
        outer = _above_parens(asked)
        if isinstance(outer.parent, exp.Cast) and outer.parent.this is outer:
            whole, cast = outer.parent, outer.parent.to
        elif isinstance(outer.parent, exp.Is) and isinstance(outer.parent.expression, exp.Null):
            whole, presence = outer, True
        whole.replace(self.target.look_up(Lookup(key, alias, _HOW.get(type(asked).__name__, "has"), cast, presence)))


def select_sources(select: exp.Select) -> list[str]:
    """The names of what a SELECT reads, in order."""
    tables = [select.args["from_"].this, *(join.this for join in select.args.get("joins") or ())]
    return [table.alias_or_name for table in tables]


def _named(source: object) -> list[str]:
    return list(source.expression.named_selects) if isinstance(source, Scope) and isinstance(source.expression, exp.Query) else []


def _is_sorted_by(column: exp.Column, select: exp.Select) -> bool:
    ordered = column.parent
    return not column.table and isinstance(ordered, exp.Ordered) and ordered.parent is select.args.get("order")


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _put(column: exp.Expr, made: exp.Expr, name: str, select: exp.Select) -> None:
    """Replace a column; where it was a column of the result it keeps its name."""
    column.replace(exp.alias_(made, name, copy=False) if column.parent is select and column.arg_key == "expressions" else made)


def _key_of(asked: exp.Expr | None, column: exp.Column) -> str | None:
    """The key in attributes->>'key' and attributes->'key', and in attributes ? 'key'; None where it is not one plain key."""
    if asked is None or asked.this is not column:
        return None
    said = asked.expression
    if isinstance(asked, (exp.JSONExtract, exp.JSONExtractScalar)):
        if isinstance(said, exp.JSONPath):
            keys = said.expressions[1:]
            key = keys[0].this if len(keys) == 1 and isinstance(keys[0], exp.JSONPathKey) else None
            return key if isinstance(key, str) else None
        return said.name if isinstance(said, exp.Literal) and said.is_string else None
    if type(asked).__name__ in _HAS and isinstance(said, exp.Literal):
        return said.name
    return None


def _above_parens(node: exp.Expr) -> exp.Expr:
    while isinstance(node.parent, exp.Paren):
        node = node.parent
    return node
