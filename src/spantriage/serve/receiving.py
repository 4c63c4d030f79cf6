"""Requests as they come, OTLP over HTTP in protobuf or JSON, made into one message; what is wrong with one, and with which of its spans."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from google.protobuf import json_format  # type: ignore[import-untyped]  # protobuf has no types of its own
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["JSON", "PROTOBUF", "Received", "Refused", "answer", "complain", "kind_of", "read", "unpack"]

M = TypeVar("M")
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_TRACE_ID, _SPAN_ID = 16, 8
_CODES: Final = {400: 3, 401: 16, 413: 8, 415: 3, 408: 4, 429: 8, 503: 14}  # google.rpc.Code by HTTP status


class Refused(Exception):
    """A request that is not taken, with the HTTP status that says so and, for one that may come again, when."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s


class Received(NamedTuple):
    """A request that can be taken: its spans that are usable, how many are not, and why the first of these is not."""

    request: ExportTraceServiceRequest
    spans: int
    rejected: int
    why: str


def kind_of(content_type: str) -> str:
    """PROTOBUF or JSON. Raises Refused for any other."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (PROTOBUF, JSON):
        raise Refused(415, f"content type must be {PROTOBUF} or {JSON}")
    return kind


def unpack(body: bytes, encoding: str, cap: int) -> bytes:
    """The body as it was before it was compressed. Raises Refused for what is damaged, and for what would be larger than `cap`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Refused(415, "content encoding must be gzip, or none")
    parts: list[bytes] = []
    size = 0
    while body:
        unpacking = zlib.decompressobj(GZIP_WINDOW)
        try:
            parts.append(unpacking.decompress(body, cap - size + 1))
        except zlib.error as error:
            raise Refused(400, "the body is no gzip") from error
        size += len(parts[-1])
        if size > cap:
            raise Refused(413, f"the body is larger than {cap} bytes when it is unpacked")
        if not unpacking.eof:
            raise Refused(400, "the gzip of the body is cut short")
        body = unpacking.unused_data
    return b"".join(parts)


def read(body: bytes, kind: str) -> Received:
    """The request in a body. Raises Refused for one that is none."""
    return _checked(*(_from_json(body) if kind == JSON else (_from_protobuf(body), 0, "")))


def _from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except (DecodeError, RecursionError) as error:
        raise Refused(400, "the body is no OTLP protobuf") from error
    return request


def _checked(request: ExportTraceServiceRequest, rejected: int, why: str) -> Received:
    """Without spans that have no usable ids."""
    spans = 0
    for batch in request.resource_spans:
        for group in batch.scope_spans:
            bad = [number for number, span in enumerate(group.spans) if not _is_usable(span)]
            for number in reversed(bad):
                del group.spans[number]
            spans += len(group.spans)
            rejected += len(bad)
            why = why or "a span without a valid trace id and span id" * bool(bad)
    return Received(request, spans, rejected, why)


def _is_usable(span: Span) -> bool:
    trace_id, span_id = span.trace_id, span.span_id
    return len(trace_id) == _TRACE_ID and len(span_id) == _SPAN_ID and any(trace_id) and any(span_id)


def _from_json(body: bytes) -> tuple[ExportTraceServiceRequest, int, str]:
    """OTLP's JSON is protobuf's but for ids, which are hex. Each span by itself: a bad one is left out, the others are taken."""
    try:
        found = orjson.loads(body)
    except ValueError as error:
        raise Refused(400, f"the body is no JSON: {error}") from error
    request, rejected, why = ExportTraceServiceRequest(), 0, ""
    batches = _field(found, "resourceSpans", "resource_spans") if isinstance(found, dict) else None
    if not isinstance(batches, list):
        raise Refused(400, "the body has no list of resourceSpans")
    for batch in batches:
        groups = _field(batch, "scopeSpans", "scope_spans") or []
        made = request.resource_spans.add()
        _fill(made, {key: value for key, value in batch.items() if key not in ("scopeSpans", "scope_spans")})
        for group in groups if isinstance(groups, list) else [groups]:
            scope = made.scope_spans.add()
            spans = _field(group, "spans", "spans") or []
            _fill(scope, {key: value for key, value in group.items() if key != "spans"})
            for span in spans if isinstance(spans, list) else [spans]:
                try:
                    scope.spans.append(_span(span))
                except Refused as refused:
                    rejected, why = rejected + 1, why or refused.message
    return request, rejected, why


def _field(value: object, name: str, other: str) -> Any:
    if not isinstance(value, dict):
        raise Refused(400, "the body is no OTLP: an object is missing")
    return value.get(name, value.get(other))


def _span(found: object) -> Span:
    if not isinstance(found, dict):
        raise Refused(400, "a span that is no object")
    fields, links = _with_ids(found), found.get("links")
    if isinstance(links, list):
        fields["links"] = [_with_ids(link) if isinstance(link, dict) else link for link in links]
    return _fill(Span(), fields)


def _with_ids(fields: Mapping[str, object]) -> dict[str, object]:
    made = dict(fields)
    for name in ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"):
        value = made.get(name)
        if isinstance(value, str):
            try:
                made[name] = base64.b64encode(binascii.unhexlify(value)).decode()
            except (binascii.Error, ValueError):
                raise Refused(400, f"a span whose {name} is not hex") from None
    return made


def _fill(message: M, fields: Mapping[str, object]) -> M:
    try:
        return json_format.ParseDict(fields, message, ignore_unknown_fields=True)  # type: ignore[no-any-return]  # protobuf has no types
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(400, f"the body is no OTLP: {str(error)[:200]}") from error


def answer(kind: str, rejected: int, why: str) -> bytes:
    """What a request that was taken is answered with, in the sender's own format."""
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = why
    return _written(response, kind)


def complain(kind: str, refused: Refused) -> bytes:
    """What a request that was not taken is answered with: google.rpc.Status, as OTLP wants it."""
    return _written(Status(code=_CODES.get(refused.status, 2), message=refused.message), kind)


def _written(message: Any, kind: str) -> bytes:
    if kind == JSON:
        text: str = json_format.MessageToJson(message, indent=None)
        return text.encode()
    made: bytes = message.SerializeToString()
    return made
