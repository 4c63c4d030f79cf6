"""A question understood: one SELECT in PostgreSQL's words that reads our relations and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.tokenizer_core import Token, TokenType

from spantriage.errors import QueryError

__all__ = ["TABLES", "parse", "statements", "tokens", "wanted"]

TABLES: Final = ("records", "findings")
_TABLE_FUNCTIONS: Final = (exp.Unnest, exp.ExplodingGenerateSeries, exp.GenerateSeries)
_WHERE: Final = re.compile(r"\s*where\b", re.IGNORECASE)


def tokens(sql: str) -> list[Token]:
    """The words of a text with their places."""
    return list(Dialect.get_or_raise("postgres").tokenize(sql))


@lru_cache(maxsize=256)
def parse(sql: str) -> exp.Expr:
    """The one SELECT in the text. Raises QueryError."""
    try:
        if _WHERE.match(sql):  # a condition alone asks for whole rows
            sql = f"select * from records {sql}"
        trees = [tree for tree in sqlglot.parse(sql, read="postgres") if tree is not None and not isinstance(tree, exp.Semicolon)]
    except ParseError as error:
        first = error.errors[0]
        near = (first.get("highlight") or "the end").strip()
        what = re.sub(r" for <class .*", "", first["description"].rstrip(".")).lower()
        raise QueryError(f"{what} near {near!r}", first["line"], first["col"]) from None
    except (TokenError, RecursionError) as error:
        raise QueryError(str(error) or "nested too deeply") from None
    if len(trees) != 1:
        raise QueryError("there is no statement" if not trees else f"one statement at a time: here are {len(trees)}")
    _check(trees[0], sql)
    return trees[0]


def _check(tree: exp.Expr, sql: str) -> None:
    """Only questions, only about our relations: no file, no setting, no other table."""
    if not isinstance(tree, exp.Query):
        raise QueryError(f"only SELECT is answered, not {tree.key.upper()}")
    for node in tree.find_all(exp.Into, exp.DML, exp.DDL, exp.Command, exp.Lock):
        if not isinstance(node, exp.Query):
            raise QueryError(f"only SELECT is answered, not {node.key.upper()}")
    for scope in traverse_scope(tree):
        for table in scope.tables:
            inner = table.this
            if isinstance(inner, _TABLE_FUNCTIONS):
                continue
            if not isinstance(inner, exp.Identifier):
                raise QueryError(f"a function cannot stand in FROM: {inner.sql('postgres')[:60]}")
            known = {cte.alias for cte in _ctes_above(table)}
            if table.db or (table.name not in TABLES and table.name not in known):
                raise QueryError.at(sql, table.name, "there is no table", sorted({*TABLES, *known}))


def _ctes_above(node: exp.Expr) -> Iterator[exp.Expr]:
    above: exp.Expr | None = node
    while above is not None:
        if isinstance(above, exp.Query):
            yield from above.ctes
        above = above.parent


def wanted(tree: exp.Expr, given: Mapping[str, object]) -> list[str]:
    """The names of the parameters in a statement. Raises QueryError for one that has no value."""
    names = sorted({str(node.name) for node in tree.find_all(exp.Placeholder)})
    missing = [name for name in names if name not in given]
    if missing:
        raise QueryError(f"parameter {missing[0]!r} has no value")
    return names


def statements(text: str) -> list[str]:
    """The statements in a text, each at its place, so that lines and columns stay true. A condition alone asks for whole rows."""
    try:
        found = tokens(text)
    except TokenError as error:
        raise QueryError(str(error)) from None
    parts: list[str] = []
    begin: int | None = None
    for token in [*found, None]:
        if token is not None and token.token_type != TokenType.SEMICOLON:
            begin = token.start if begin is None else begin
            continue
        if begin is not None:
            end = len(text) if token is None else token.start
            before = "".join(char if char == "\n" else " " for char in text[:begin])
            parts.append(before + text[begin:end])
        begin = None
    return parts
