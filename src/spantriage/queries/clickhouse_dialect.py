"""What ClickHouse has to be told: `records` over the tables of the Collector's exporter, and its words for PostgreSQL's.

The exporter keeps attributes as a map of texts; so `->>` gives the text, and a cast reads a number out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlglot
from sqlglot import exp

from spantriage.queries.rendering import Lookup, Target
from spantriage.store.rows import MOVED

__all__ = ["SETTINGS", "target"]

SETTINGS: Final[dict[str, int]] = {
    "join_use_nulls": 1,
    "prefer_column_name_to_alias": 1,
    "allow_experimental_analyzer": 1,
    "group_by_use_nulls": 0,
    "cast_keep_nullable": 1,
}
_RESOURCE: Final = {
    "service_name": "ServiceName",
    "service_version": "nullIf(ResourceAttributes['service.version'], '')",
    "service_namespace": "nullIf(ResourceAttributes['service.namespace'], '')",
    "service_instance_id": "nullIf(ResourceAttributes['service.instance.id'], '')",
    "deployment_environment": "nullIf(if(ResourceAttributes['deployment.environment.name'] != '', "
    "ResourceAttributes['deployment.environment.name'], ResourceAttributes['deployment.environment']), '')",
    "telemetry_sdk_language": "nullIf(ResourceAttributes['telemetry.sdk.language'], '')",
    "telemetry_sdk_name": "nullIf(ResourceAttributes['telemetry.sdk.name'], '')",
    "telemetry_sdk_version": "nullIf(ResourceAttributes['telemetry.sdk.version'], '')",
    "process_pid": "toInt32OrNull(ResourceAttributes['process.pid'])",
    "otel_resource_attributes": "toJSONString(ResourceAttributes)",
    "otel_scope_name": "nullIf(ScopeName, '')",
    "otel_scope_version": "nullIf(ScopeVersion, '')",
    "trace_id": "TraceId",
}
_NOTHING: Final = "cast(null as Nullable(String))"
_EMPTY: Final = ("attributes_json_schema", "log_body", "otel_scope_attributes")
_START: Final = "toDateTime64(Timestamp, 6, 'UTC')"
_END: Final = "fromUnixTimestamp64Micro(intDiv(toUnixTimestamp64Nano(Timestamp) + toInt64(Duration), 1000), 'UTC')"
_IS_LOG: Final = "SpanAttributes['logfire.span_type'] = 'log'"
_FAILED: Final = "StatusCode in ('Error', 'STATUS_CODE_ERROR')"
_RAISED: Final = "has(Events.Name, 'exception')"


def _exception(key: str) -> str:
    first = "arrayElement(Events.Attributes, indexOf(Events.Name, 'exception'))"
    return f"if({_RAISED} and mapContains({first}, 'exception.{key}'), {first}['exception.{key}'], null)"


def _attribute(*keys: str) -> str:
    return "coalesce(" + ", ".join(f"nullIf(SpanAttributes['{key}'], '')" for key in keys) + ", null)"


_SPAN: Final = {
    **_RESOURCE,
    **dict.fromkeys(_EMPTY, _NOTHING),
    "attributes": "SpanAttributes",
    "created_at": _END,
    "day": f"toDate({_START})",
    "duration": f"if({_IS_LOG}, null, Duration / 1e9)",
    "end_timestamp": _END,
    "exception_message": _exception("message"),
    "exception_stacktrace": _exception("stacktrace"),
    "exception_type": _exception("type"),
    "http_method": _attribute("http.request.method", "http.method"),
    "http_response_status_code": f"toInt32OrNull(assumeNotNull({_attribute('http.response.status_code', 'http.status_code')}))",
    "http_route": _attribute("http.route"),
    "is_exception": _RAISED,
    "kind": f"if({_IS_LOG}, 'log', 'span')",
    "level": f"coalesce(toInt32OrNull(SpanAttributes['logfire.level_num']), if({_FAILED}, 17, 9))",
    "message": "if(SpanAttributes['logfire.msg'] != '', SpanAttributes['logfire.msg'], SpanName)",
    "otel_events": "toJSONString(arrayMap((n, a) -> map('event_name', n, 'attributes', toJSONString(a)), Events.Name, Events.Attributes))",
    "otel_links": "nullIf(toJSONString(arrayMap((t, s) -> map('span_id', s, 'trace_id', t), Links.TraceId, Links.SpanId)), '[]')",
    "otel_status_code": f"multiIf({_FAILED}, 'ERROR', StatusCode in ('Ok', 'STATUS_CODE_OK'), 'OK', null)",
    "otel_status_message": "nullIf(StatusMessage, '')",
    "parent_span_id": "nullIf(ParentSpanId, '')",
    "project_id": "'clickhouse'",
    "span_id": "SpanId",
    "span_name": "SpanName",
    "start_timestamp": _START,
    "tags": "JSONExtract(SpanAttributes['logfire.tags'], 'Array(String)')",
    "url_full": _attribute("url.full", "http.url"),
    "url_path": _attribute("url.path"),
    "url_query": _attribute("url.query"),
}
_AT: Final = "toDateTime64(event_at, 6, 'UTC')"
_EVENT: Final = {
    **_RESOURCE,
    **dict.fromkeys((name for name in _SPAN if name not in _RESOURCE), _NOTHING),
    "attributes": "event_attributes",
    "created_at": _AT,
    "day": f"toDate({_AT})",
    "duration": "cast(null as Nullable(Float64))",
    "end_timestamp": _AT,
    "http_response_status_code": "cast(null as Nullable(Int32))",
    "is_exception": "false",
    "kind": "'span_event'",
    "level": "9",
    "message": "event_name",
    "parent_span_id": "cast(SpanId as Nullable(String))",
    "project_id": "'clickhouse'",
    "span_id": "lower(substring(hex(SHA256(concat(TraceId, SpanId, toString(event_number - 1)))), 1, 16))",
    "span_name": "event_name",
    "start_timestamp": _AT,
    "tags": "cast([] as Array(String))",
}
_EVENTS: Final = (
    "array join Events.Name as event_name, Events.Timestamp as event_at, Events.Attributes as event_attributes, "
    "arrayEnumerate(Events.Name) as event_number"
)
_FINDING: Final = {
    "finding_id": "LogAttributes['triage.finding.id']", "code": "LogAttributes['gen_ai.evaluation.name']",
    "category": "LogAttributes['gen_ai.evaluation.score.label']", "severity": "LogAttributes['triage.severity']",
    "score": "toFloat64OrNull(LogAttributes['gen_ai.evaluation.score.value'])", "trace_id": "TraceId", "span_id": "SpanId",
    "agent": "nullIf(LogAttributes['gen_ai.evaluation.target'], 'unknown')", "summary": "LogAttributes['gen_ai.evaluation.explanation']",
    "primary": "LogAttributes['triage.primary'] = 'true'", "time": "toDateTime64(Timestamp, 6, 'UTC')",
    "wasted_tokens": "toInt64OrNull(LogAttributes['triage.wasted.usage'])",
    "wasted_cost_usd": "toFloat64OrNull(LogAttributes['triage.wasted.cost_usd'])",
    "detector_version": "LogAttributes['gen_ai.evaluation.evaluator.version']",
    **{
        name: f"nullIf(LogAttributes['triage.{key}'], '')"
        for name, key in {
            "kind": "kind", "subcategory": "subcategory", "root_cause": "root_cause", "actionable": "actionable", "reason": "reason",
            "outcome": "outcome", "trial_name": "trial", "task_name": "task", "source": "source",
        }.items()
    },
}  # fmt: skip


def target(traces: str, logs: str, parameters: Mapping[str, object]) -> Target:
    """How to say it to a ClickHouse with these tables, and with these parameters bound by name."""
    kinds = {name: _kind(value) for name, value in parameters.items()}
    return Target(
        "clickhouse",
        _look_up,
        lambda alias: exp.func("toJSONString", exp.column("attributes", table=alias)),
        lambda tree: _finish(tree, traces, logs, kinds),
        types=(("DECIMAL", "decimal(38, 9)"), ("FLOAT", "double"), ("INT", "bigint")),
    )


def _kind(value: object) -> str:
    return "Int64" if type(value) is int else "Float64" if type(value) is float else "Nullable(String)"


def _look_up(asked: Lookup) -> exp.Expr:
    column, key = exp.column("attributes", table=asked.alias), exp.Literal.string(asked.key)
    there = exp.func("mapContains", column, key)
    if asked.how == "has":
        return exp.false() if asked.key in MOVED else there
    if asked.key in MOVED:
        return exp.null()
    found = exp.func("if", there, exp.Bracket(this=column.copy(), expressions=[key.copy()], offset=0), exp.null())
    if asked.cast is None or asked.presence:
        return found
    kind = asked.cast.this.value
    if kind in ("INT", "BIGINT", "SMALLINT"):
        return exp.Anonymous(this="toInt64OrNull", expressions=[found])
    if kind in ("FLOAT", "DOUBLE"):
        return exp.Anonymous(this="toFloat64OrNull", expressions=[found])
    return exp.cast(found, asked.cast)


def _finish(tree: exp.Expr, traces: str, logs: str, kinds: Mapping[str, str]) -> exp.Expr:
    known = {cte.alias for cte in tree.find_all(exp.CTE)}
    tree = tree.transform(_say)
    for table in list(tree.find_all(exp.Table)):
        if table.name in ("records", "findings") and table.name not in known:
            source = _records(traces) if table.name == "records" else _findings(logs)
            table.replace(exp.Subquery(this=source, alias=exp.TableAlias(this=exp.to_identifier(table.alias_or_name))))
    for select in tree.find_all(exp.Select):
        _sort_by_place(select)
    for placeholder in tree.find_all(exp.Placeholder):
        placeholder.set("kind", exp.DataType.build(kinds.get(placeholder.name, "Nullable(String)"), dialect="clickhouse"))
    return tree


def _sort_by_place(select: exp.Select) -> None:
    """A column of the result is sorted by its place: its name would be taken for the table's column of that name."""
    named = {each.alias: number for number, each in enumerate(select.expressions, 1) if isinstance(each, exp.Alias)}
    ordered = select.args.get("order")
    for each in ordered.expressions if ordered is not None else ():
        column = each.this
        if isinstance(column, exp.Column) and not column.table and column.name in named:
            column.replace(exp.Literal.number(named[column.name]))


def _say(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Extract) and node.name.upper() == "EPOCH":
        return exp.Div(
            this=exp.Anonymous(this="toUnixTimestamp64Micro", expressions=[node.expression]), expression=exp.Literal.number("1e6")
        )
    if isinstance(node, (exp.TimestampTrunc, exp.DateTrunc)):
        begin = {"HOUR": "toStartOfHour", "DAY": "toStartOfDay"}.get(str(node.args["unit"].name).upper())
        if begin is not None:
            moment = exp.Anonymous(this=begin, expressions=[node.this])
            return exp.Anonymous(this="toDateTime64", expressions=[moment, exp.Literal.number(6), exp.Literal.string("UTC")])
    if isinstance(node, exp.WithinGroup) and isinstance(node.this, exp.PercentileCont):
        ordered = node.expression.expressions[0].this
        return exp.CombinedParameterizedAgg(this="quantileExactInclusive", expressions=[node.this.this], params=[ordered])
    return node


def _records(traces: str) -> exp.Expr:
    spans = ", ".join(f"{sql} as {name}" for name, sql in sorted(_SPAN.items()))
    events = ", ".join(f"{sql} as {name}" for name, sql in sorted(_EVENT.items()))
    return _Raw(
        this=f"select {spans} from {traces} where SpanAttributes['logfire.span_type'] != 'pending_span' "
        f"union all select {events} from {traces} {_EVENTS} where event_name != 'exception'"
    )


def _findings(logs: str) -> exp.Expr:
    cells = ", ".join(f'{sql} as "{name}"' for name, sql in _FINDING.items())
    return _Raw(
        this=f"select {cells} from {logs} "
        "where LogAttributes['gen_ai.evaluation.name'] != '' and LogAttributes['triage.withdrawn'] != 'true' "
        "order by Timestamp desc limit 1 by LogAttributes['triage.finding.id']"
    )


class _Raw(exp.Identifier):
    """SQL that is in ClickHouse's own words already."""


_generate = sqlglot.Dialect.get_or_raise("clickhouse").generator_class
_generate.TRANSFORMS[_Raw] = lambda _, node: node.this
