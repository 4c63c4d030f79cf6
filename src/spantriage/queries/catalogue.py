"""The named questions: one `.sql` file each, with a header that says what it answers.

The header is made of comments, one fact a line:

```
-- title: Tool calls, slowest first
-- purpose: one or more sentences; further lines go on with it
-- parameter trace_id text: the run            (required)
-- parameter limit integer = 20: rows at most  (with a default; `= null` is none)
-- column duration s: time it took             (unit, or "-")
-- instead of slow_tools: why that one misleads
-- show: tree
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, Literal

from spantriage.errors import QueryError

__all__ = ["Asked", "Named", "all_queries", "named", "read_query"]

FOLDER: Final = Path(__file__).parent / "catalogue"
KINDS: Final = {"text": str, "integer": int, "number": float}
_PARAMETER: Final = re.compile(r"(\w+) (text|integer|number)(?: = (\S+))?: (.+)")
_COLUMN: Final = re.compile(r"(\w+) (\S+): (.+)")
_INSTEAD: Final = re.compile(r"(\w+): (.+)")

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter of a question."""

    name: str
    kind: str  # text, integer or number
    required: bool
    default: Value
    meaning: str

    def read(self, value: object) -> Value:
        """The value as the question wants it. Raises QueryError."""
        if value is None:
            return None
        try:
            return KINDS[self.kind](str(value))  # type: ignore[no-any-return]  # str, int or float
        except ValueError:
            raise QueryError(f"parameter {self.name!r} cannot be {value!r}; it is of the kind {self.kind}") from None


@dataclass(frozen=True, slots=True)
class Named:
    """A question with a name."""

    name: str
    sql: str
    title: str
    purpose: str
    parameters: tuple[Asked, ...] = ()
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)  # name → (unit, meaning)
    instead: dict[str, str] = field(default_factory=dict)  # the question that this one corrects → why
    show: Literal["table", "tree", "gantt"] = "table"

    def bind(self, given: dict[str, object]) -> dict[str, Value]:
        """Every parameter with its value. Raises QueryError for one that is missing or that does not exist."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given.keys() - known.keys():
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known) or 'none'}"
            raise QueryError(f"query {self.name} has no parameter {name!r}{hint}")
        bound: dict[str, Value] = {}
        for name, parameter in known.items():
            value = given.get(name)
            if value is None and parameter.required:
                raise QueryError(f"query {self.name} needs {name}: {parameter.meaning}")
            bound[name] = parameter.default if value is None else parameter.read(value)
        return bound


@cache
def all_queries() -> dict[str, Named]:
    """Every named question, by name."""
    return {path.stem: read_query(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.sql"))}


def named(name: str) -> Named:
    """The question of that name. Raises QueryError, with the nearest name there is."""
    found = all_queries().get(name)
    if found is None:
        near = get_close_matches(name, all_queries(), n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QueryError(f"no query is called {name!r}{hint}; 'spantriage query list' names them all")
    return found


def read_query(name: str, text: str) -> Named:
    """A file of the catalogue. Raises QueryError for a header that does not follow the rules."""
    facts: dict[str, str] = {}
    parameters: list[Asked] = []
    columns: dict[str, tuple[str, str]] = {}
    instead: dict[str, str] = {}
    last = ""
    lines = text.splitlines()
    for line in lines:
        if not line.startswith("--"):
            break
        said = line[2:].strip()
        word, _, rest = said.partition(" ")
        if word == "parameter" and (found := _PARAMETER.fullmatch(rest)):
            default = found[3]
            kind = KINDS[found[2]]
            parameters.append(Asked(found[1], found[2], default is None, None if default in (None, "null") else kind(default), found[4]))
        elif word == "column" and (found := _COLUMN.fullmatch(rest)):
            columns[found[1]] = found[2], found[3]
        elif said.startswith("instead of ") and (found := _INSTEAD.fullmatch(said.removeprefix("instead of "))):
            instead[last := found[1]] = found[2]
        elif word in ("title:", "purpose:", "show:"):
            facts[last := word[:-1]] = rest
        elif last in instead:
            instead[last] += f" {said}"
        elif last in facts:
            facts[last] += f" {said}"
        else:
            raise QueryError(f"query {name}: this line of its header says nothing: {line}")
    if not facts.get("title") or not columns:
        raise QueryError(f"query {name}: its header has no title or no columns")
    show = facts.get("show", "table")
    return Named(name, text, facts["title"], facts.get("purpose", ""), tuple(parameters), columns, instead, show)  # type: ignore[arg-type]  # a word of ours
