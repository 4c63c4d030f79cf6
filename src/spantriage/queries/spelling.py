"""What PostgreSQL and Logfire mean by words that other engines understand differently: levels, divisions, bare types."""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema

from spantriage.errors import QueryError
from spantriage.store.columns import RECORDS

__all__ = ["LEVELS", "compare_level", "divide_whole", "say_levels", "widen"]

LEVELS: Final = {"trace": 1, "debug": 5, "info": 9, "notice": 10, "warn": 13, "warning": 13, "error": 17, "fatal": 21}
_NAMES: Final = {"trace": 1, "debug": 5, "info": 9, "notice": 10, "warn": 13, "error": 17, "fatal": 21}
_COMPARED: Final = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_WHOLE: Final = frozenset({exp.DType.INT, exp.DType.BIGINT, exp.DType.SMALLINT, exp.DType.UBIGINT, exp.DType.INT128})
_TYPES: Final = {"JSON": "json", "VARCHAR[]": "array<text>", "TIMESTAMPTZ": "timestamptz"}
_SCHEMA: Final = MappingSchema(
    {"records": {column.name: _TYPES.get(column.kind, column.kind.lower()) for column in RECORDS}}, dialect="postgres"
)


def compare_level(column: exp.Column) -> None:
    """`level >= 'error'` compares with the number of that name."""
    compared = column.parent
    others = []
    if isinstance(compared, _COMPARED):
        others = [compared.this if compared.expression is column else compared.expression]
    elif isinstance(compared, (exp.In, exp.Between)):
        others = [node for node in compared.iter_expressions() if not isinstance(node, exp.Column)]
    for other in others:
        if isinstance(other, exp.Literal) and other.is_string:
            other.replace(exp.Literal.number(_number(other.name)))


def say_levels(tree: exp.Expr) -> None:
    """`level_num('error')` is its number, `level_name(level)` the name of a number."""
    for function in list(tree.find_all(exp.Anonymous)):
        name = str(function.this).lower()
        if name == "level_num" and len(function.expressions) == 1:
            function.replace(exp.Literal.number(_number(function.expressions[0].name)))
        elif name == "level_name" and len(function.expressions) == 1:
            case = exp.Case(this=function.expressions[0])
            for word, number in _NAMES.items():
                case = case.when(exp.Literal.number(number), exp.Literal.string(word))
            function.replace(case)


def _number(word: str) -> int:
    if word not in LEVELS:
        raise QueryError(f"there is no level {word!r}; there are: {', '.join(LEVELS)}")
    return LEVELS[word]


def divide_whole(tree: exp.Expr) -> None:
    """Whole numbers divide to whole numbers, as in PostgreSQL and DataFusion."""
    if tree.find(exp.Div) is None:
        return
    typed = annotate_types(tree.copy(), schema=_SCHEMA, dialect="postgres")
    for division, known in zip(list(tree.find_all(exp.Div)), list(typed.find_all(exp.Div)), strict=True):
        kinds = [side.unnest().type for side in (known.left, known.right)]
        if all(kind is not None and kind.this in _WHOLE for kind in kinds):
            division.replace(exp.IntDiv(this=division.this, expression=division.expression))


def widen(node: exp.Expr, types: dict[str, str]) -> exp.Expr:
    """A bare numeric, and a float of 32 bits, become types that lose nothing."""
    if isinstance(node, exp.DataType) and not node.expressions:
        name = node.this.value if hasattr(node.this, "value") else str(node.this)
        if name in types:
            return exp.DataType.build(types[name])
    return node
