"""The columns of `records`: Logfire's, and those in which the attributes are kept that are asked for often.

Physical names hold no dots: some engines cannot read them. A promoted attribute is in its column where its value is exactly
of the column's type, and else in `attributes` like any other; so nothing is lost, and nothing is kept twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["COLUMNS", "LAYOUT_VERSION", "PROMOTED", "RECORDS", "Column", "Promoted", "is_content"]

LAYOUT_VERSION: Final = 1  # of what is on disk; raised when an older reader could not read it


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `records` as people see it. `kind` is DuckDB's name of its type."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Promoted:
    """An attribute that has a column of its own. `python` is the type that a value must be of."""

    key: str
    column: str
    kind: str
    python: type


RECORDS: Final = tuple(
    Column(name, kind, meaning)
    for name, kind, meaning in (
        ("attributes", "JSON", "what the program said of the span: an object, asked with attributes->>'key'"),
        ("attributes_json_schema", "JSON", "types of the attributes, as Logfire's SDK gives them"),
        ("created_at", "TIMESTAMPTZ", "when the record was made; here the end of the span"),
        ("day", "DATE", "the day in UTC on which the span began"),
        ("deployment_environment", "VARCHAR", "of the resource"),
        ("duration", "DOUBLE", "seconds from start to end; null for logs and span events"),
        ("end_timestamp", "TIMESTAMPTZ", "when the span ended"),
        ("exception_message", "VARCHAR", "of the first exception that the span recorded"),
        ("exception_stacktrace", "VARCHAR", "of the first exception that the span recorded"),
        ("exception_type", "VARCHAR", "of the first exception that the span recorded"),
        ("http_method", "VARCHAR", "of the request"),
        ("http_response_status_code", "INTEGER", "of the response"),
        ("http_route", "VARCHAR", "the pattern that matched the path"),
        ("is_exception", "BOOLEAN", "whether the span recorded an exception"),
        ("kind", "VARCHAR", "span, log or span_event"),
        ("level", "INTEGER", "1 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal; compares with these names too"),
        ("log_body", "VARCHAR", "of an OpenTelemetry log record"),
        ("message", "VARCHAR", "the name with its values filled in; the span's name where there is no other"),
        ("otel_events", "JSON", "a list of event_name, event_timestamp and attributes"),
        ("otel_links", "JSON", "a list of trace_id and span_id"),
        ("otel_resource_attributes", "JSON", "what the spans of one process share"),
        ("otel_scope_attributes", "JSON", "of the library that wrote the span"),
        ("otel_scope_name", "VARCHAR", "the library that wrote the span"),
        ("otel_scope_version", "VARCHAR", "its version"),
        ("otel_status_code", "VARCHAR", "OK or ERROR; null where the span says neither"),
        ("otel_status_message", "VARCHAR", "what the span says of its status"),
        ("parent_span_id", "VARCHAR", "16 hex digits; null for a root"),
        ("process_pid", "INTEGER", "the process that wrote the span"),
        ("project_id", "VARCHAR", "Logfire's project; local here"),
        ("service_instance_id", "VARCHAR", "of the resource"),
        ("service_name", "VARCHAR", "of the resource"),
        ("service_namespace", "VARCHAR", "of the resource"),
        ("service_version", "VARCHAR", "of the resource"),
        ("span_id", "VARCHAR", "16 hex digits"),
        ("span_name", "VARCHAR", "the name, of low cardinality"),
        ("start_timestamp", "TIMESTAMPTZ", "when the span began"),
        ("tags", "VARCHAR[]", "as logfire.tags gives them"),
        ("telemetry_sdk_language", "VARCHAR", "of the resource"),
        ("telemetry_sdk_name", "VARCHAR", "of the resource"),
        ("telemetry_sdk_version", "VARCHAR", "of the resource"),
        ("trace_id", "VARCHAR", "32 hex digits; the spans of one run share it"),
        ("url_full", "VARCHAR", "of the request"),
        ("url_path", "VARCHAR", "of the request"),
        ("url_query", "VARCHAR", "of the request"),
    )
)

_BY_TYPE: Final[dict[tuple[str, type], str]] = {
    ("VARCHAR", str): """
        massgen.agent_id massgen.round_type massgen.backend massgen.outcome massgen.answer_label
        gen_ai.operation.name gen_ai.agent.name gen_ai.tool.name gen_ai.request.model gen_ai.response.model
        gen_ai.provider.name gen_ai.system gen_ai.conversation.id gen_ai.tool.call.id error.type
        openinference.span.kind tool.name llm.model_name llm.model session.id triage.severity triage.category
        logfire.span_type""",
    ("BIGINT", int): """
        massgen.round massgen.iteration massgen.usage.input massgen.usage.output massgen.usage.reasoning
        massgen.usage.cached_input gen_ai.usage.input_tokens gen_ai.usage.output_tokens
        gen_ai.usage.cache_read.input_tokens llm.token_count.prompt llm.token_count.completion""",
    ("DOUBLE", float): "massgen.usage.cost operation.cost llm.cost_usd triage.score",
}
PROMOTED: Final = {
    key: Promoted(key, "a_" + re.sub(r"[^a-z0-9]", "_", key), kind, python)
    for (kind, python), keys in _BY_TYPE.items()
    for key in keys.split()
}

# What is on disk, in order: name and type. Everything else in `records` is worked out from these.
COLUMNS: Final[dict[str, str]] = {
    **{c.name: c.kind for c in RECORDS if c.name not in ("created_at", "day", "project_id", "otel_scope_attributes")},
    "content": "JSON",  # attributes that hold messages, arguments and results
    "odd": "VARCHAR[]",  # promoted attributes of this row whose value is not of the column's type
    **{p.column: p.kind for p in PROMOTED.values()},
}

# Attributes that hold what people and models said. Names alone decide, so that a query knows where to look.
_WORDS: Final = frozenset(
    """input output prompt completion messages request response result arguments instructions definitions documents content contents
    body task query inputs outputs spaninputs spanoutputs request_data response_data events all_messages final_result tool_arguments
    tool_response raw_input message_context model_request_parameters model_config answer_preview answer_previews crew_tasks crew_agents
    crew_inputs input_preview output_preview arguments_preview system_instructions input_messages output_messages tools json_schema
    input_summary message goal backstory page_content system_prompt user_prompt tool_result reply answer""".split()  # noqa: SIM905
)
_ENDINGS: Final = frozenset(("value", "text", "data", "content", "raw", "json", "object", "preview"))
_FIGURES: Final = re.compile(
    r"usage|token|cost|count|duration|error|exception|finish_reason|_id$|\.id$|\.name$|\.role$|\.type$|^logfire\.", re.IGNORECASE
)


def is_content(key: str) -> bool:
    """Say whether an attribute of this name holds messages, arguments or results. Depends on the name alone."""
    if key in PROMOTED or (_FIGURES.search(key) and not re.search(r"\.\d+\.", key)):
        return False
    parts = key.lower().split(".")
    if any(part.isdecimal() for part in parts):  # numbered messages: all of what is below them
        return any(part in _WORDS for part in parts)
    return parts[-1] in _WORDS or (len(parts) > 1 and parts[-1] in _ENDINGS and parts[-2] in _WORDS)
