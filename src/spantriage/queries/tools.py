"""Four tools for whoever looks into runs, a coding agent above all: ask anything, see the schema, find exceptions, link to a run.

They answer with JSON values of bounded size. What spans say is data in them, whatever it says.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from spantriage.errors import QueryError
from spantriage.queries.asking import Engine, On, is_remote, is_sql, open_engine
from spantriage.queries.catalogue import all_queries, named
from spantriage.queries.relations import FINDING_COLUMNS
from spantriage.queries.steps import MEANINGS
from spantriage.store.columns import RECORDS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Tools", "as_json"]

ROWS: Final = 1_000
CELL: Final = 4_000  # characters of one value
ANSWER_S: Final = 60.0
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_MEANINGS: Final = {
    "code": "what is wrong, such as tool.silent_failure", "severity": "info, warning, error or critical",
    "score": "how likely the claim holds, 0 to 1", "primary": "whether it is the root cause of its run",
    "evidence": "a list of spans that prove it", "agent": "the agent that it is about", "time": "when the span ended",
}  # fmt: skip


class Tools:
    """The tools over one place."""

    def __init__(self, on: On) -> None:
        self._on = on
        self._asking = threading.Lock()
        self._engine: Engine | None = None

    def query(self, question: str, parameters: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Answer a named question or a SELECT: columns, rows, and whether there were more. Raises QueryError."""
        given = dict(parameters or {})
        if is_sql(question):
            return self._answer(question, given)
        known = named(question.replace("-", "_"))
        answer = self._answer(known.sql, known.bind(given))
        return {**answer, "units": {name: unit for name, (unit, _) in known.columns.items() if unit != "-"}}

    def schema(self) -> dict[str, Any]:
        """Tables with their columns, columns that are worked out, named questions, and how SQL is spoken here."""
        return {
            "dialect": "PostgreSQL's SELECT; attributes->>'key' is text, (attributes->'key')::int a number; parameters as :name",
            "records": {column.name: f"{column.kind}: {column.meaning}" for column in RECORDS},
            "records, worked out": dict(MEANINGS),
            "findings": {name: f"{kind}: {_MEANINGS[name]}" if name in _MEANINGS else kind for name, kind in FINDING_COLUMNS.items()},
            "named questions": {
                known.name: {"answers": known.title, "parameters": {p.name: p.meaning for p in known.parameters}}
                for known in all_queries().values()
            },
        }

    def exceptions_in_file(self, file: str, limit: int = 10) -> dict[str, Any]:
        """The latest exceptions whose stack trace goes through a file."""
        return self.query("exceptions_in_file", {"file": file, "limit": max(1, min(limit, ROWS))})

    def link(self, trace_id: str) -> str:
        """Where a run can be looked at: its page in Logfire, its place in a report, or else the command that shows it.

        Raises QueryError unless `trace_id` is one.
        """
        if not _TRACE_ID.fullmatch(trace_id):
            raise QueryError("a trace id has 32 hex digits")
        if isinstance(self._on, str) and is_remote(self._on):
            return _logfire_link(trace_id) if self._on.startswith("logfire") else f"clickhouse: trace {trace_id}"
        places = [self._on] if isinstance(self._on, (str, Path)) else [each for each in self._on if isinstance(each, (str, Path))]
        report = Path(places[0]).absolute() / "report.html" if places else None
        if report is not None and report.is_file():
            return f"{report.as_uri()}#{trace_id}"
        return f"spantriage query trace_tree --trace-id {trace_id}" + "".join(f" --on {_word(str(each))}" for each in places)

    def _answer(self, sql: str, given: dict[str, Any]) -> dict[str, Any]:
        with self._asking:
            if self._engine is None:
                self._engine = open_engine(self._on)
            else:
                self._engine.refresh()
            with _limited(self._engine):
                found = self._engine.run(sql, given)
        rows = [{name: _cut(value) for name, value in orjson.loads(line).items()} for line in as_json(found.slice(0, ROWS)).splitlines()]
        return {"columns": found.column_names, "rows": rows, "row_count": found.num_rows, "complete": found.num_rows <= ROWS}

    def close(self) -> None:
        """Let go of what was opened."""
        if self._engine is not None:
            self._engine.close()


@contextmanager
def _limited(engine: Engine) -> Iterator[None]:
    """Stop a question that takes too long."""
    stop = getattr(engine, "interrupt", None)
    timer = threading.Timer(ANSWER_S, stop) if stop is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def _cut(value: Any) -> Any:
    """A value of bounded size; what is larger becomes the beginning of its text."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode() if isinstance(value, (dict, list)) else ""
    return f"{text[:CELL]}… ({len(text) - CELL} more characters)" if len(text) > CELL else value


def as_json(answer: pa.Table) -> str:
    """An object a line. JSON columns are JSON, times ISO 8601 in UTC."""
    from spantriage.queries.answers import to_json

    return to_json(answer)


def _logfire_link(trace_id: str) -> str:
    from spantriage.queries.logfire import BASE_URL, Logfire

    about = Logfire().about()
    base = os.environ.get(BASE_URL) or about["base_url"]
    return f"{base.rstrip('/')}/{quote(about['organization_name'])}/{quote(about['project_name'])}?q=trace_id%3D%27{trace_id}%27"


def _word(path: str) -> str:
    return path if re.fullmatch(r"[\w./-]+", path) else "'" + path.replace("'", "'\\''") + "'"
