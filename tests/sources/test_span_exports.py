"""One run's spans in the forms that other systems export: the findings are those of OTLP."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from otlp_forms import CAPTURES, captured
from samples import DATA, loud, one, put, records

from spantriage.sources.otlp_json import spans_of


@pytest.fixture(params=CAPTURES)
def capture(request):
    return request.param


def spans(name):
    return [span for line in captured(name) for span in spans_of(line)]


def iso(ns):
    whole = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{ns // 1_000 % 1_000_000:06d}Z"


def plain(value):
    return list(value) if isinstance(value, tuple) else value


def as_sdk_json(found):
    for span in found:
        yield {
            "name": span.name,
            "context": {"trace_id": f"0x{span.context.trace_id:032x}", "span_id": f"0x{span.context.span_id:016x}", "trace_state": "[]"},
            "kind": "SpanKind.INTERNAL",
            "parent_id": None if span.parent is None else f"0x{span.parent.span_id:016x}",
            "start_time": iso(span.start_time),
            "end_time": iso(span.end_time),
            "status": {"status_code": "ERROR" if span.failed else "UNSET", "description": span.status.description},
            "attributes": {key: plain(value) for key, value in span.attributes.items()},
            "events": [{"name": e.name, "timestamp": iso(e.timestamp or 0), "attributes": e.attributes} for e in span.events],
            "links": [],
            "resource": {"attributes": {"service.name": "shop"}},
            "instrumentation_scope": {"name": span.instrumentation_scope.name},
        }


def as_jaeger(found):
    def tag(key, value):
        kind = {bool: "bool", int: "int64", float: "float64"}.get(type(value), "string")
        return {"key": key, "type": kind, "value": json.dumps(plain(value)) if isinstance(value, tuple) else value}

    rows = []
    for span in found:
        trace = f"{span.context.trace_id:x}"
        parent = [{"refType": "CHILD_OF", "traceID": trace, "spanID": f"{span.parent.span_id:x}"}] if span.parent is not None else []
        tags = [tag(key, value) for key, value in span.attributes.items()] + [tag("otel.scope.name", span.instrumentation_scope.name)]
        if span.failed:
            tags += [tag("otel.status_code", "ERROR"), tag("error", True)]
            tags += [tag("otel.status_description", span.status.description)] if span.status.description else []
        logs = [
            {"timestamp": 1, "fields": [tag("event", e.name), *(tag(key, value) for key, value in e.attributes.items())]}
            for e in span.events
        ]
        rows.append({
            "traceID": trace, "spanID": f"{span.context.span_id:x}", "operationName": span.name, "references": parent,
            "startTime": span.start_time // 1_000, "duration": (span.end_time - span.start_time) // 1_000, "tags": tags, "logs": logs,
            "processID": "p1",
        })  # fmt: skip
    return {"data": [{"traceID": rows[0]["traceID"], "spans": rows, "processes": {"p1": {"serviceName": "shop", "tags": []}}}]}


def as_records(found):
    for span in found:
        yield {
            "span_name": span.name,
            "trace_id": f"{span.context.trace_id:032x}",
            "span_id": f"{span.context.span_id:016x}",
            "parent_span_id": None if span.parent is None else f"{span.parent.span_id:016x}",
            "start_timestamp": iso(span.start_time),
            "end_timestamp": iso(span.end_time),
            "kind": "span",
            "attributes": {key: plain(value) for key, value in span.attributes.items()},
            "otel_scope_name": span.instrumentation_scope.name,
            "otel_status_code": "ERROR" if span.failed else "UNSET",
            "otel_status_message": span.status.description,
            "otel_events": [{"event_name": e.name, "attributes": e.attributes} for e in span.events],
            "is_exception": any(e.name == "exception" for e in span.events),
        }


def as_columns(rows):
    names = list(rows[0])
    return {"columns": [{"name": name, "datatype": "x", "nullable": True, "values": [row[name] for row in rows]} for name in names]}


def as_csv(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({key: json.dumps(value) if isinstance(value, (dict, list)) else value for key, value in row.items()})
    return out.getvalue()


FORMS = {
    "sdk-lines.jsonl": lambda found: "\n".join(map(json.dumps, as_sdk_json(found))),
    "sdk-console.json": lambda found: "\n".join(json.dumps(span, indent=4) for span in as_sdk_json(found)),
    "jaeger.json": as_jaeger,
    "jaeger-indented.json": lambda found: json.dumps(as_jaeger(found), indent=2),
    "jaeger-store.jsonl": lambda found: "\n".join(
        json.dumps({**span, "process": {"serviceName": "shop", "tags": []}}) for span in as_jaeger(found)["data"][0]["spans"]
    ),
    "logfire-rows.json": lambda found: {"schema": {"fields": []}, "data": list(as_records(found))},
    "logfire-list.json": lambda found: list(as_records(found)),
    "logfire.jsonl": lambda found: "\n".join(map(json.dumps, as_records(found))),
    "logfire-columns.json": lambda found: as_columns(list(as_records(found))),
    "logfire.csv": lambda found: as_csv(list(as_records(found))),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_run_gives_the_same_findings_in_whatever_form_it_was_exported(tmp_path, capture, form):
    put(tmp_path, {"otlp/run.jsonl": "\n".join(map(json.dumps, captured(capture))), f"other/{form}": FORMS[form](spans(capture))})
    expected, exported = one(tmp_path / "otlp"), one(tmp_path / "other" / form)

    assert [(f.finding_id, f.severity, f.summary) for f in exported.findings] == [
        (f.finding_id, f.severity, f.summary) for f in expected.findings
    ]
    assert exported.spans == expected.spans
    assert {n: r.input_tokens for n, r in records(exported).items()} == {n: r.input_tokens for n, r in records(expected).items()}


def nested(attributes):
    """Dotted keys as a tree, numbers as places in lists."""
    tree = {}
    for key, value in attributes.items():
        at, parts = tree, key.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = plain(value)

    def listed(node):
        if not isinstance(node, dict):
            return node
        if node and all(key.isdecimal() for key in node):
            return [listed(node[key]) for key in sorted(node, key=int)]
        return {key: listed(value) for key, value in node.items()}

    return listed(tree)


@pytest.mark.parametrize("form", ["nested", "flat", "frame", "page"])
def test_phoenix_spans_are_openinference_again(tmp_path, form):
    name = "smolagents_rate_limited"
    found = spans(name)
    rows = []
    for span in found:
        attributes = dict(span.attributes)
        row = {
            "name": span.name,
            "span_kind": attributes.pop("openinference.span.kind"),
            "parent_id": None if span.parent is None else f"{span.parent.span_id:016x}",
            "start_time": iso(span.start_time),
            "end_time": iso(span.end_time),
            "status_code": "ERROR" if span.failed else "OK",
            "status_message": span.status.description or "",
            "events": [{"name": e.name, "timestamp": iso(1), "attributes": e.attributes} for e in span.events],
        }
        ids = {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}"}
        if form == "frame":
            row |= {f"context.{key}": value for key, value in ids.items()} | {f"attributes.{k}": plain(v) for k, v in attributes.items()}
        else:
            row |= {"context": ids, "attributes": nested(attributes) if form == "nested" else {k: plain(v) for k, v in attributes.items()}}
        rows.append(row)
    content = {"data": rows, "next_cursor": None} if form == "page" else "\n".join(map(json.dumps, rows))
    put(tmp_path, {"otlp/run.jsonl": "\n".join(map(json.dumps, captured(name))), "phoenix/spans.jsonl": content})

    expected, exported = one(tmp_path / "otlp"), one(tmp_path / "phoenix")

    assert loud(exported) == loud(expected) != []
    assert [f.finding_id for f in exported.findings] == [f.finding_id for f in expected.findings]


def test_rows_of_logs_and_of_spans_that_have_begun_are_no_calls(tmp_path):
    row = next(as_records(spans("openai_loop")))
    rows = [{**row, "kind": "pending_span", "span_id": "1" * 16}, row]

    assert one(put(tmp_path, {"rows.json": rows})).spans == 1


def test_spans_without_a_scope_are_told_by_their_attributes():
    run = one(DATA / "massgen" / "run1" / "spans.jsonl")

    assert {name: record.model_calls for name, record in records(run).items() if record.model_calls} == {"agent_a": 7, "agent_b": 5}
