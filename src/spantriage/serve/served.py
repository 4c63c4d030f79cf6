"""A span that was received: its message, what is read of it, what will be shown on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import Status, StatusCode

from spantriage.enrichment import Enriched
from spantriage.sources.otlp_protobuf import read_attributes, read_span
from spantriage.sources.spans import RecordedSpan, Resource, Scope
from spantriage.store.rows import Row, resource_row

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

    from spantriage.worker import Worker

__all__ = ["Served", "put", "read", "set_value"]

GOOD: Final = Status(StatusCode.OK)
BAD: Final = Status(StatusCode.ERROR)


class Above(NamedTuple):
    """A span's parent. What another process calls remote is as near as any other to us."""

    trace_id: int
    span_id: int
    is_remote: bool = False


@dataclass(slots=True)
class Served:
    """A span on its way."""

    message: Span
    span: RecordedSpan
    resource: Row | None  # columns for the store
    shows: Enriched | None = None


def read(request: ExportTraceServiceRequest, *, rows: bool) -> Iterator[Served]:
    """The spans of a request; with `rows` also what a store keeps of their resources."""
    for batch in request.resource_spans:
        resource = Resource(read_attributes(batch.resource.attributes))
        yield from _read_batch(batch, resource, resource_row(resource.attributes) if rows else None)


def _read_batch(batch: ResourceSpans, resource: Resource, row: Row | None) -> Iterator[Served]:
    for group in batch.scope_spans:
        scope = Scope(group.scope.name, group.scope.version or None)
        for message in group.spans:
            yield Served(message, read_span(message, scope, resource, None), row)


def put(served: Served, worker: Worker, *, is_agents: bool) -> None:
    """Queue a span for the worker, unless it is neither an agent's nor in a trace of one."""
    span = served.span
    if not is_agents and span.context.trace_id not in worker.traces:
        return
    above = None if span.parent is None else Above(span.parent.trace_id, span.parent.span_id)
    own: Any = span.attributes
    served.shows = shows = Enriched(own, worker)
    if not is_agents:
        worker.put((shows, span.context, above))
        return
    status = BAD if span.failed else GOOD
    times = span.start_time, span.end_time
    worker.put((shows, span.context, above, own, span.name, *times, span.events, span.links, span.instrumentation_scope, status))


def set_value(target: AnyValue, value: object) -> None:
    """Put a scalar, or a list of them, into a protobuf value."""
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, (list, tuple)):
        target.array_value.SetInParent()
        for each in value:
            set_value(target.array_value.values.add(), each)
    else:
        target.string_value = str(value)
