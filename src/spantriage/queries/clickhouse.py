"""Questions to ClickHouse, over the tables that the OpenTelemetry Collector's exporter writes.

`clickhouse` takes the server from CLICKHOUSE_DSN, `clickhouse:http://user@host:8123/otel` names it. The tables are
`otel_traces` and, for findings, `otel_logs`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from spantriage.errors import MissingExtra, QueryError
from spantriage.queries.clickhouse_dialect import SETTINGS, target
from spantriage.queries.parsing import parse, wanted
from spantriage.queries.rendering import render
from spantriage.redact import redact

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ClickHouse"]

DSN: Final = "CLICKHOUSE_DSN"
CONNECT_S: Final = 10
ANSWER_S: Final = 120


class _Client(Protocol):
    def query_arrow(self, query: str, *, parameters: dict[str, Any], settings: dict[str, Any], use_strings: bool) -> pa.Table: ...
    def close(self) -> None: ...


class ClickHouse:
    """Answers questions through clickhouse-connect. Parameters are bound by the server. For one thread.

    Raises MissingExtra without clickhouse-connect, QueryError when there is no server.
    """

    name = "clickhouse"

    def __init__(
        self, on: str = "clickhouse", *, client: _Client | None = None, traces: str = "otel_traces", logs: str = "otel_logs"
    ) -> None:
        self._traces, self._logs = traces, logs
        self._client = client if client is not None else connect(on.partition(":")[2] or os.environ.get(DSN, ""))

    def run(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Answer one SELECT. Raises QueryError with the server's words."""
        given = dict(parameters or {})
        names = wanted(parse(sql), given)
        said = render(sql, target(self._traces, self._logs, given))
        try:
            bound = {name: given[name] for name in names}
            return self._client.query_arrow(said, parameters=bound, settings={**SETTINGS, "readonly": 2}, use_strings=True)
        except Exception as error:
            raise QueryError(f"ClickHouse: {redact(str(error)).splitlines()[0][:500]}") from None

    def refresh(self) -> None:
        """Every question is asked anew."""

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()


def connect(dsn: str) -> _Client:
    """A client for `http(s)://user:password@host:port/database`."""
    try:
        import clickhouse_connect
    except ImportError:
        raise MissingExtra("questions to ClickHouse", "clickhouse") from None
    if not dsn:
        raise QueryError(f"no ClickHouse is named: set {DSN}, or say clickhouse:http://user@host:8123/otel")
    parts = urlsplit(dsn)
    try:
        client: _Client = clickhouse_connect.get_client(
            host=parts.hostname or "localhost",
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            username=parts.username or "default",
            password=parts.password or "",
            database=parts.path.strip("/") or "default",
            secure=parts.scheme == "https",
            connect_timeout=CONNECT_S,
            send_receive_timeout=ANSWER_S,
        )
    except Exception as error:
        raise QueryError(f"ClickHouse at {parts.hostname}: {redact(str(error)).splitlines()[0][:300]}") from None
    return client
