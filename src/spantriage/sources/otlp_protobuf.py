"""OTLP as protobuf: one message, or a sequence with a length before each, as the Collector's file exporter writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from spantriage import zst
from spantriage.files import Skip, TraceFile
from spantriage.sources.spans import NO_STATUS, Event, Ids, Link, RecordedSpan, Resource, Scope, Status

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

__all__ = ["FRAMINGS", "framing_of", "messages", "read_attributes", "read_span", "spans_of"]

FRAMINGS: Final = ("plain", "fixed", "varint")
SPANS_TAG: Final = 0x0A  # field 1 of TracesData and of ExportTraceServiceRequest: a ResourceSpans
BATCH_TAGS: Final = (0x0A, 0x12, 0x1A)  # fields of a ResourceSpans: resource, scope_spans, schema_url
MESSAGE_CAP: Final = 1 << 28  # four letters of text make a larger number
ERROR: Final = 2  # STATUS_CODE_ERROR


def framing_of(head: bytes) -> str | None:
    """How the messages lie in the file, judged by its beginning: one of FRAMINGS, or None when it is no OTLP protobuf.

    "plain" is one message without a length, "fixed" has a length of 4 bytes (big-endian) before each, "varint" a
    protobuf varint.
    """
    if _opens_request(head, 0, None):
        return "plain"
    length = int.from_bytes(head[:4], "big")
    if 0 < length <= MESSAGE_CAP and (_opens_request(head, 4, length) or head[4:8] == zst.MAGIC):
        return "fixed"
    length, at = _varint(head, 0)
    return "varint" if length > 0 and _opens_request(head, at, length) else None


def _opens_request(head: bytes, at: int, length: int | None) -> bool:
    """Say whether a request of `length` bytes could begin at `at`: a ResourceSpans that fits, with a field that fits."""
    if at >= len(head) or head[at] != SPANS_TAG:
        return False
    inner, begins = _varint(head, at + 1)
    if inner <= 0 or begins >= len(head) or (length is not None and begins - at + inner > length):
        return False
    field, content = _varint(head, begins + 1)
    return head[begins] in BATCH_TAGS and 0 <= field <= inner - (content - begins)


def _varint(head: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends; -1 when there is none."""
    number = 0
    for shift, byte in enumerate(head[at : at + 5]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    return -1, at


def messages(file: TraceFile, framing: str) -> Iterator[tuple[int, bytes] | Skip]:
    """Numbered messages: requests, or for "plain" the single request taken apart into its ResourceSpans."""
    cap = file.limits.line_bytes
    while (length := _next_length(file, framing)) is not None:
        file.line += 1
        if length < 0:
            yield Skip(file.path, file.line, "no message length where one should be")
            return
        message = file.read(min(length, cap))
        if length > cap:
            yield Skip(file.path, file.line, f"longer than {cap} bytes")
            while length > cap and (more := file.read(min(length - cap, cap))):
                length -= len(more)
        elif len(message) < length:
            yield Skip(file.path, file.line, f"cut short: {len(message)} of {length} bytes")
        elif message:
            yield file.line, message


def _next_length(file: TraceFile, framing: str) -> int | None:
    """None at the end of the file, -1 where no length can be read."""
    if framing == "fixed":
        prefix = file.read(4)
        return None if not prefix else int.from_bytes(prefix, "big") if len(prefix) == 4 else -1
    if framing == "plain":
        tag = file.read(1)
        if not tag:
            return None
        if tag[0] != SPANS_TAG:
            return -1
    number = shift = 0
    while byte := file.read(1):
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
        if (shift := shift + 7) > 35:
            return -1
    return None if framing == "varint" and not shift else -1


def spans_of(message: bytes, framing: str, source: str | None = None) -> Iterator[RecordedSpan]:
    """The spans of one message. Raises ValueError when it is none."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf has no types of its own
    from opentelemetry.proto.trace.v1 import trace_pb2

    try:
        if framing == "plain":
            batches: Sequence[ResourceSpans] = (trace_pb2.ResourceSpans.FromString(message),)
        else:
            batches = trace_pb2.TracesData.FromString(message).resource_spans
    except (DecodeError, RecursionError) as error:
        raise ValueError(f"not OTLP: {error}") from error
    for batch in batches:
        resource = Resource(read_attributes(batch.resource.attributes))
        for group in batch.scope_spans:
            scope = Scope(group.scope.name, group.scope.version or None)
            for span in group.spans:
                yield read_span(span, scope, resource, source)


def read_span(span: Span, scope: Scope, resource: Resource, source: str | None) -> RecordedSpan:
    """One span of a message."""
    trace_id, parent_id = int.from_bytes(span.trace_id, "big"), int.from_bytes(span.parent_span_id, "big")
    status = span.status
    return RecordedSpan(
        span.name,
        Ids(trace_id, int.from_bytes(span.span_id, "big")),
        Ids(trace_id, parent_id) if parent_id else None,
        span.start_time_unix_nano or None,
        span.end_time_unix_nano or None,
        read_attributes(span.attributes),
        [Event(e.name, read_attributes(e.attributes), e.time_unix_nano or None) for e in span.events],
        [Link(Ids(int.from_bytes(e.trace_id, "big"), int.from_bytes(e.span_id, "big"))) for e in span.links],
        scope,
        resource,
        Status(status.message) if status.message else NO_STATUS,
        status.code == ERROR,
        source,
    )


def read_attributes(pairs: Sequence[KeyValue]) -> dict[str, object]:
    """Attributes as a dict; of two with one name the last counts."""
    found: dict[str, object] = {}
    for pair in pairs:
        value = pair.value
        # Most are texts, then numbers. A field that is not set reads as empty, so what is not empty is the value.
        found[pair.key] = value.string_value or value.int_value or _value(value)
    return found


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)  # as the SDK keeps them
    if kind == "kvlist_value":
        return read_attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
