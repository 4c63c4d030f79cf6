"""Questions to Logfire, through its query API.

It needs a read token in LOGFIRE_READ_TOKEN; LOGFIRE_BASE_URL names a server other than the token's own.
`logfire?days=90` looks back further than 30 days.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from sqlglot import exp

from spantriage.errors import MissingExtra, QueryError, RateLimited
from spantriage.queries.parsing import parse, wanted
from spantriage.queries.rendering import Lookup, Target, render
from spantriage.redact import redact

if TYPE_CHECKING:
    import pyarrow as pa
    from logfire.query_client import LogfireQueryClient

__all__ = ["TOKEN", "Logfire", "NoToken"]

TOKEN: Final = "LOGFIRE_READ_TOKEN"  # noqa: S105  # the variable that holds it
BASE_URL: Final = "LOGFIRE_BASE_URL"
PAGE: Final = 10_000  # rows that Logfire gives at once
DAYS: Final = 30
PATIENCE_S: Final = 60.0  # for how long one question waits for its turn, altogether
PAUSE_S: Final = 5.0  # where Logfire does not say how long
_KEYS: Final = ("start_timestamp", "span_id")


class NoToken(QueryError):
    """Logfire cannot be asked without a read token."""


class Logfire:
    """Answers questions with Logfire's data. For one thread. Raises NoToken, MissingExtra."""

    name = "logfire"

    def __init__(self, options: str | None = None, *, sleep: Callable[[float], object] = time.sleep) -> None:
        days = DAYS
        for name, value in parse_qsl(options or "", keep_blank_values=True):
            if name != "days" or not value.isdecimal():
                raise QueryError(f"unknown option {name}={value} of logfire; there is: days")
            days = int(value)
        token = os.environ.get(TOKEN)
        if not token:
            raise NoToken(
                f"Logfire needs a read token: make one in the project's settings (it is not the write token) and set {TOKEN}; "
                "what is on this machine can be asked without it: --on FOLDER"
            )
        self._since = dt.timedelta(days=days)
        self._sleep = sleep
        self._client = _client(token)

    def run(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one SELECT. Raises QueryError, RateLimited when Logfire asks to wait for longer than a minute."""
        given = dict(parameters or {})
        wanted(parse(sql), given)
        said = render(sql, _target(given))
        patience = [PATIENCE_S]
        answer = self._ask(said, patience)
        if answer.num_rows < PAGE or parse(sql).args.get("limit") is not None:
            return answer
        return self._read_on(said, answer, patience)

    def _read_on(self, said: str, first: pa.Table, patience: list[float]) -> pa.Table:
        """All pages of an answer, by the start and id of the last row of each. The order is by these two."""
        import pyarrow as pa

        order = _order(said)
        if order is None or not set(_KEYS) <= set(first.column_names):
            raise QueryError(
                f"there are {PAGE:,} rows or more, and Logfire gives no more at once: add a limit, or select start_timestamp and "
                "span_id and order by start_timestamp, so that the rest can be asked for"
            )
        sign, direction = order
        pages, last = [], None
        while True:
            after = "" if last is None else f"where (start_timestamp, span_id) {sign} (timestamp '{last[0]}', '{last[1]}') "
            sql = f"select * from ({said}) as asked {after}order by start_timestamp {direction}, span_id {direction}"
            pages.append(self._ask(sql, patience))
            if pages[-1].num_rows < PAGE:
                return pa.concat_tables(pages, promote_options="default")
            row = pages[-1].slice(PAGE - 1).to_pylist()[0]
            last = row["start_timestamp"].isoformat(), str(row["span_id"]).replace("'", "''")

    def _ask(self, sql: str, patience: list[float]) -> pa.Table:
        from logfire.query_client import QueryRateLimitedError

        while True:
            try:
                now = dt.datetime.now(dt.UTC)
                return self._client.query_arrow(sql, min_timestamp=now - self._since, limit=PAGE)
            except QueryRateLimitedError as error:
                wait = PAUSE_S if error.retry_after is None else error.retry_after
                if wait > patience[0]:
                    raise RateLimited(f"Logfire has no time for us: it asks to wait {wait:.0f} s") from None
                patience[0] -= max(wait, 1.0)
                self._sleep(wait)
            except Exception as error:
                raise QueryError(f"Logfire: {_words(error)}") from None

    def about(self) -> dict[str, str]:
        """Whose data it is: `organization_name`, `project_name`, `base_url`. Raises QueryError."""
        try:
            found = self._client.info()
        except Exception as error:
            raise QueryError(f"Logfire: {_words(error)}") from None
        return {**{name: str(value) for name, value in found.items()}, "base_url": str(self._client.base_url)}

    def refresh(self) -> None:
        """Every question is asked anew."""

    def close(self) -> None:
        """Let the connection go."""
        self._client.client.close()


def _client(token: str) -> LogfireQueryClient:
    try:
        from logfire.query_client import LogfireQueryClient
    except ImportError:
        raise MissingExtra("questions to Logfire", "logfire") from None
    return LogfireQueryClient(token, base_url=os.environ.get(BASE_URL) or None)


def _words(error: Exception) -> str:
    said: Any = error.args[0] if error.args else type(error).__name__
    if isinstance(said, dict):
        said = said.get("detail") or said.get("message") or said
    return redact(str(said)).split("\n", 1)[0][:500]


def _order(said: str) -> tuple[str, str] | None:
    """How the pages of an answer follow each other: by its own order where that begins with the start, else from the first on."""
    ordered = parse(said).args.get("order")
    if ordered is None:
        return ">", "asc"
    first = ordered.expressions[0]
    if not (isinstance(first.this, exp.Column) and first.this.name == "start_timestamp"):
        return None
    return ("<", "desc") if first.args.get("desc") else (">", "asc")


def _target(given: Mapping[str, object]) -> Target:
    return Target(
        "postgres", _look_up, lambda alias: exp.column("attributes", table=alias), lambda tree: _finish(tree, given), spreads=False
    )


def _look_up(asked: Lookup) -> exp.Expr:
    column, key = exp.column("attributes", table=asked.alias), exp.Literal.string(asked.key)
    if asked.how == "has":
        return exp.paren(exp.JSONBContains(this=column, expression=key))
    kind = exp.JSONExtractScalar if asked.how == "text" else exp.JSONExtract
    answer = exp.paren(kind(this=column, expression=key))
    return answer if asked.cast is None else exp.cast(answer, asked.cast)


def _finish(tree: exp.Expr, given: Mapping[str, object]) -> exp.Expr:
    """Parameters become literals, for the API takes none; findings are the log events among the records."""
    for placeholder in list(tree.find_all(exp.Placeholder)):
        placeholder.replace(exp.convert(given[placeholder.name]))
    known = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in list(tree.find_all(exp.Table)):
        if table.name == "findings" and table.name not in known:
            source: exp.Expr = exp.maybe_parse(_FINDINGS, dialect="postgres")
            table.replace(exp.Subquery(this=source, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
    return tree


def _told(name: str, key: str, cast: str = "") -> str:
    return f"(attributes->'{key}')::{cast} as \"{name}\"" if cast else f"attributes->>'{key}' as \"{name}\""


_FINDINGS: Final = "select trace_id, parent_span_id as span_id, start_timestamp as \"time\", " + ", ".join((
    _told("finding_id", "triage.finding.id"), _told("code", "gen_ai.evaluation.name"),
    _told("category", "gen_ai.evaluation.score.label"), _told("score", "gen_ai.evaluation.score.value", "float"),
    _told("summary", "gen_ai.evaluation.explanation"), _told("agent", "gen_ai.evaluation.target"),
    _told("severity", "triage.severity"), _told("kind", "triage.kind"), _told("subcategory", "triage.subcategory"),
    _told("root_cause", "triage.root_cause"), _told("actionable", "triage.actionable"), _told("reason", "triage.reason"),
    _told("outcome", "triage.outcome"), _told("trial_name", "triage.trial"), _told("task_name", "triage.task"),
    _told("source", "triage.source"), _told("wasted_tokens", "triage.wasted.usage", "bigint"),
    _told("wasted_cost_usd", "triage.wasted.cost_usd", "float"),
    "coalesce(attributes->>'triage.primary' = 'true', false) as \"primary\"",
    _told("detector_version", "gen_ai.evaluation.evaluator.version"),
)) + " from records where attributes->>'gen_ai.evaluation.name' is not null and attributes->>'triage.withdrawn' is null"  # fmt: skip
