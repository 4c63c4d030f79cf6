"""The relations `records` and `findings` in DuckDB: over files of a store, or over a table in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from spantriage.store.columns import COLUMNS, PROMOTED, RECORDS

if TYPE_CHECKING:
    import duckdb

    from spantriage.finding import Finding

__all__ = ["FINDINGS", "FINDING_COLUMNS", "fill", "findings_table", "records_view"]

_COMPUTED: Final = {
    "created_at": "end_timestamp",
    "day": "start_timestamp::date",
    "project_id": "'local'",
    "otel_scope_attributes": "null::json",
}


def fill(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    """Make `records` of a table of physical columns."""
    con.register("given", rows)
    cells = ", ".join(f"{name}::{kind} as {name}" if kind == "JSON" else name for name, kind in COLUMNS.items())
    con.execute(f"create table kept as select {cells} from given")
    con.unregister("given")
    con.execute(records_view("kept"))


def records_view(source: str) -> str:
    """The statements that make `records`: Logfire's columns, and behind them the hidden ones.

    `records_whole` has also `whole_attributes`, which takes its time even where it is not asked for.
    """
    named = [f"{_COMPUTED[c.name]} as {c.name}" if c.name in _COMPUTED else c.name for c in RECORDS]
    hidden = ["content", *(p.column for p in PROMOTED.values())]
    return (
        f"create or replace view records as select {', '.join((*named, *hidden))} from {source}; "
        f"create or replace view records_whole as select *, {_whole()} as whole_attributes from records"
    )


def _whole() -> str:
    """All attributes as one JSON object: their texts put together, for merging objects would drop nulls."""
    inner = [f"nullif(substr({part}::varchar, 2, length({part}::varchar) - 2), '')" for part in ("attributes", "content")]
    told = [f"'\"{p.key}\":' || to_json({p.column})::varchar" for p in PROMOTED.values()]
    return f"('{{' || concat_ws(',', {', '.join((*told, *inner))}) || '}}')::json"


FINDING_COLUMNS: Final = {
    "finding_id": "VARCHAR", "code": "VARCHAR", "category": "VARCHAR", "subcategory": "VARCHAR", "kind": "VARCHAR", "severity": "VARCHAR",
    "score": "DOUBLE", "confidence": "VARCHAR", "primary": "BOOLEAN", "trace_id": "VARCHAR", "span_id": "VARCHAR", "agent": "VARCHAR",
    "evidence": "JSON", "summary": "VARCHAR", "root_cause": "VARCHAR", "actionable": "VARCHAR", "trial_name": "VARCHAR",
    "task_name": "VARCHAR", "outcome": "VARCHAR", "wasted_tokens": "BIGINT", "wasted_cost_usd": "DOUBLE", "reason": "VARCHAR",
    "time": "TIMESTAMPTZ", "detector_version": "VARCHAR", "source": "VARCHAR", "writer_id": "VARCHAR", "seq": "BIGINT",
}  # fmt: skip
FINDINGS: Final = "create table findings (" + ", ".join(f'"{name}" {kind}' for name, kind in FINDING_COLUMNS.items()) + ")"


def findings_table(findings: Iterable[Finding]) -> pa.Table:
    """Findings as an Arrow table with the columns of the relation."""
    from spantriage.store.lines import json_text

    rows = [finding.model_dump(mode="json") for finding in findings]
    for row in rows:
        row["evidence"] = json_text(row["evidence"])
    kinds = {"DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "BIGINT": pa.int64()}
    return pa.table({name: pa.array([row[name] for row in rows], kinds.get(kind, pa.string())) for name, kind in FINDING_COLUMNS.items()})
