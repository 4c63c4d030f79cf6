"""LangSmith: exports of its run trees, and the message files that `langsmith-fetch` sorts into `by-outcome/`.

A run tree is read as the spans that LangSmith's own OpenTelemetry exporter would have written of it, so that a run gives
the same findings either way. Message files tell no times of messages and no usage of calls, only those of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson

from spantriage import text, values
from spantriage.dialects.langsmith import to_message
from spantriage.files import Skip, TraceFile
from spantriage.model import Step
from spantriage.sources import Labels, Piece, Source, ids, times
from spantriage.sources.spans import NO_STATUS, Event, Ids, RecordedSpan, Resource, Scope
from spantriage.sources.talk import Failure, Talk, listed, mapping

FORM: Final = "langsmith"
SCOPE: Final = Scope("langsmith")
NO_RESOURCE: Final = Resource({})
OUTCOMES: Final = {"passed": "passed", "failed": "failed", "error": "error", "errors": "error"}
WRAPPED: Final = ("runs", "data", "results")  # keys that a reply's list of runs may stand under
TREE: Final = 100_000  # runs of one nested tree
_ROLES: Final = (b'"role"', b'"type": "human"', b'"type":"human"', b'"type": "system"', b'"type":"system"')
_NO_MESSAGES: Final = (b'"run_type"', b'"parentUuid"', b'"schema_version"', b'"resourceSpans"', b'"op_name"')


def sniff(head: bytes, name: str) -> bool:
    """Claims runs by their `run_type` beside an order or a trace, and documents that are messages, or hold them."""
    if b'"run_type"' in head:
        return any(key in head for key in (b'"dotted_order"', b'"trace_id"', b'"parent_run_id"', b'"child_runs"'))
    if any(key in head for key in _NO_MESSAGES):
        return False
    begin = head.lstrip()
    if begin[:1] == b"[":
        return any(role in begin[:400] for role in _ROLES) and b'"content"' in begin
    return begin[:1] == b"{" and b'"messages"' in head and (b'"trace_id"' in head[:400] or b'"messages"' in begin[:40])


def read(file: TraceFile) -> Iterator[Piece]:
    """The runs of an export, or the conversation of a message file."""
    if b'"run_type"' in file.head:
        yield from _read_runs(file)
    elif file.head.lstrip()[:1] == b"[":
        yield from _read_messages(file, {}, values.read(file))
    else:
        for found in values.read(file):
            if isinstance(found, Skip):
                yield found
            elif isinstance(found.value, dict) and isinstance(found.value.get("messages"), list):
                messages = enumerate(listed(found.value["messages"]), 1)
                yield from _read_messages(file, found.value, (values.Value(n, message) for n, message in messages))
            else:
                yield Skip(file.path, found.line, "no list of messages")


def _read_runs(file: TraceFile) -> Iterator[Piece]:
    told: set[int] = set()
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        for run in _runs(found.value):
            span = _span(run, file.path)
            if span is None:
                yield Skip(file.path, found.line, "a run without an id")
                continue
            yield span
            labels = _labels(run)
            if labels and span.context.trace_id not in told:
                told.add(span.context.trace_id)
                yield Labels(span.context.trace_id, labels)


def _runs(value: object) -> Iterator[Mapping[str, object]]:
    """The runs in a value: itself, a list, a reply that wraps one, and the children that stand inside a run."""
    waiting, number = [value], 0
    while waiting and number < TREE:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += reversed(found)
        elif isinstance(found, dict) and "run_type" in found:
            number += 1
            yield found
            waiting += reversed(listed(found.get("child_runs")))
        elif isinstance(found, dict):
            waiting += [found[key] for key in WRAPPED if isinstance(found.get(key), list)]


def _span(run: Mapping[str, object], path: str) -> RecordedSpan | None:
    span_id = _id(run.get("id"), 1)
    trace_id = _id(run.get("trace_id") or _first_of(run.get("dotted_order")) or run.get("id"), 0)
    if span_id is None or trace_id is None:
        return None
    parent = _id(run.get("parent_run_id"), 1)
    start, end = times.read(run.get("start_time")), times.read(run.get("end_time"))
    error = text.string(run.get("error"))
    name = text.string(run.get("name")) or ""
    events = [Event("exception", {"exception.type": "Exception", "exception.message": error}, end)] if error is not None else ()
    return RecordedSpan(
        name,
        Ids(trace_id, span_id),
        None if parent is None else Ids(trace_id, parent),
        start,
        end or start,
        _attributes(run),
        events,
        (),
        SCOPE,
        NO_RESOURCE,
        NO_STATUS,
        error is not None or run.get("status") == "error",
        path,
    )


def _attributes(run: Mapping[str, object]) -> dict[str, object]:
    """A run in the words of LangSmith's exporter. Children's tokens are added up on their parents: only a model's own count."""
    extra = mapping(run.get("extra"))
    metadata, parameters = mapping(extra.get("metadata")), mapping(extra.get("invocation_params"))
    attributes: dict[str, object] = {"langsmith.span.kind": run.get("run_type"), "langsmith.trace.name": run.get("name")}
    for key, value in metadata.items():
        attributes[f"langsmith.metadata.{key}"] = _json(value) if isinstance(value, (dict, list)) else value
    for key, value in (("gen_ai.prompt", run.get("inputs")), ("gen_ai.completion", run.get("outputs"))):
        if value is not None:
            attributes[key] = _json(value)
    if run.get("run_type") != "llm":
        return attributes
    attributes["gen_ai.request.model"] = metadata.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
    attributes["gen_ai.tool.definitions"] = _json(parameters["tools"]) if "tools" in parameters else None
    attributes["gen_ai.usage.input_tokens"] = _count(run.get("prompt_tokens"))
    attributes["gen_ai.usage.output_tokens"] = _count(run.get("completion_tokens"))
    attributes["operation.cost"] = _amount(run.get("total_cost"))
    if "usage_metadata" not in metadata:
        details = {"input_token_details": run.get("prompt_token_details"), "output_token_details": run.get("completion_token_details")}
        attributes["langsmith.metadata.usage_metadata"] = _json(details)
    return {key: value for key, value in attributes.items() if value is not None}


def _labels(run: Mapping[str, object]) -> dict[str, str]:
    if run.get("parent_run_id"):
        return {}
    metadata = mapping(mapping(run.get("extra")).get("metadata"))
    found = {"form": FORM, "trial_name": metadata.get("harbor_session_id"), "task_name": metadata.get("task_name")}
    return {key: value for key, value in found.items() if type(value) is str and value}


def _read_messages(file: TraceFile, told: Mapping[str, object], messages: Iterator[values.Value | Skip]) -> Iterator[Piece]:
    """One conversation. Where it lies among others tells how it came out."""
    path, metadata = Path(file.path), mapping(told.get("metadata"))
    trial = path.name.partition(".")[0]
    trace_id = _id(told.get("trace_id"), 0) or ids.trace_id(FORM, trial, file.head[:4_096].hex())
    outcome, kind = outcome_of(path)
    start, end = times.read(metadata.get("start_time")), times.read(metadata.get("end_time"))
    custom = mapping(metadata.get("custom_metadata"))
    talk = Talk(trace_id, text.name(custom.get("lc_agent_name")) or "agent", file.path, FORM, start_ns=start)
    for found in messages:
        message = to_message(found.value) if not isinstance(found, Skip) and isinstance(found.value, dict) else {}
        if isinstance(found, Skip):
            yield found
        elif not message:
            yield Skip(file.path, found.line, "no message with a role and a content")
        else:
            yield from talk.add(message, line=found.line)
    failed = outcome == "error" or metadata.get("status") == "error"
    yield from talk.close(
        end, Failure(kind or text.string(metadata.get("error_type")), text.string(metadata.get("error"))) if failed else None
    )
    yield _usage(talk, metadata)
    labels = {"form": FORM, "trial_name": trial, "task_name": trial.rsplit("__", 1)[0]}
    yield Labels(trace_id, {**labels, **({"outcome": outcome} if outcome else {}), **({"cause": kind} if kind else {})})
    if talk.truncated:
        yield Skip(file.path, 0, f"{talk.truncated} messages beyond the limit were not read")


def outcome_of(path: Path) -> tuple[str | None, str | None]:
    """What the folders say of a file: how its run came out, and the exception that ended it, if one did."""
    above, higher = path.parent.name, path.parent.parent.name
    if higher == "errors":
        return "error", above
    return OUTCOMES.get(above), None


def _usage(talk: Talk, metadata: Mapping[str, object]) -> Step:
    """The whole run's tokens and cost, which no single call carries."""
    usage, at = mapping(metadata.get("token_usage")), talk.now_ns
    step = Step(talk.trace_id, ids.span_id(talk.trace_id, "usage"), talk.span_id, at, at, "event", "usage of the trace", FORM)
    step.agent, step.source = talk.agent, talk.source
    step.input_tokens, step.output_tokens = text.count(usage.get("prompt_tokens")), text.count(usage.get("completion_tokens"))
    step.cost_usd = _amount(mapping(metadata.get("costs")).get("total_cost"))
    return step


def _id(said: object, part: int) -> int | None:
    """A run's UUID as trace id (0) or span id (1); other words by their digest."""
    known = ids.from_uuid(said)
    if known is not None:
        return known[part]
    if type(said) is not str or not said:
        return None
    return ids.span_id(said) if part else ids.trace_id(said)


def _first_of(order: object) -> str | None:
    """The root's id out of a dotted order: "20261120T141320381557Z<uuid>.20261120T...Z<uuid>"."""
    return order.partition(".")[0].partition("Z")[2] if type(order) is str else None


def _count(value: object) -> int | None:
    return text.count(int(value)) if type(value) is str and value.isdecimal() and len(value) < 16 else text.count(value)


def _amount(value: object) -> float | None:
    try:
        return text.number(float(value) if type(value) is str and len(value) < 40 else value)
    except ValueError:
        return None


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested too deeply, or a number that only Python knows
        return json.dumps(value, default=str)


SOURCE: Final = Source(FORM, sniff, read, rank=60)
