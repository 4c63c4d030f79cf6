"""OTLP files: JSON, JSON lines and protobuf, as SDKs, the Collector's file exporter and most back ends write them.

| what | how it is recognised |
|---|---|
| JSON lines: an export request, a ResourceSpans or a span on each line | a key such as `"resourceSpans"` near the beginning |
| one JSON document over many lines | its first line is no JSON by itself |
| protobuf: one message, or messages with a length before each (4 bytes or varint), these also as zstd | the first bytes |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from spantriage import zst
from spantriage.files import Skip, TraceFile
from spantriage.sources import Piece, Source, otlp_json, otlp_protobuf
from spantriage.sources.spans import RecordedSpan, Resource, Scope
from spantriage.values import is_document, load, mend

__all__ = ["SOURCE", "RecordedSpan", "load", "read", "sniff"]

TRIES: Final = 100  # damaged spans of one piece after which it is given up
# What a damaged document is searched for: the beginning of a span, and the scope that stands before its spans.
_SCOPE_OR_SPAN: Final = re.compile(r'"scope"\s*:\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")|\{\s*"(?:traceId|trace_id)"\s*:')


def sniff(head: bytes, name: str) -> bool:
    """Claims JSON that speaks of spans near its beginning, and protobuf by the shape of its first bytes."""
    return any(mark in head for mark in otlp_json.MARKS) or otlp_protobuf.framing_of(head) is not None


def read(file: TraceFile) -> Iterator[Piece]:
    """The spans of a file, in the order they are there."""
    framing = None if file.head.lstrip()[:1] in (b"{", b"[") else otlp_protobuf.framing_of(file.head)
    if framing is not None:
        for message in otlp_protobuf.messages(file, framing):
            yield from (message,) if isinstance(message, Skip) else _read_message(file, *message, framing)
    elif is_document(file.head):
        cap = file.limits.line_bytes
        text = file.read(cap + 1)
        yield from _read_json(file, 1, text) if len(text) <= cap else (Skip(file.path, 1, f"longer than {cap} bytes"),)
    else:
        for line in file.lines():
            yield from (line,) if isinstance(line, Skip) else _read_json(file, *line)


def _read_message(file: TraceFile, number: int, message: bytes, framing: str) -> Iterator[Piece]:
    try:
        if message.startswith(zst.MAGIC):
            message = zst.unpack(message, file.limits.line_bytes)
        if message.startswith((b"{", b"[")):
            yield from _read_json(file, number, message)
            return
        for span in otlp_protobuf.spans_of(message, framing, file.path):
            usable = span.context.trace_id and span.context.span_id
            yield span if usable else Skip(file.path, number, "a span without a valid id")
    except (ValueError, RecursionError) as error:
        yield Skip(file.path, number, str(error) or type(error).__name__)


def _read_json(file: TraceFile, number: int, text: bytes) -> Iterator[Piece]:
    path = file.path
    try:
        value = load(text)
    except ValueError as error:
        yield Skip(path, number, f"not JSON: {error}")
        yield from _salvage(text, path)
        return
    try:
        for span in otlp_json.spans_of(value, path):
            yield span if isinstance(span, RecordedSpan) else Skip(path, number, span)
    except RecursionError:
        yield Skip(path, number, "nested too deeply")


def _salvage(text: bytes, path: str) -> Iterator[RecordedSpan]:
    """The spans of a damaged document that are whole themselves."""
    decoder, decoded, scope = json.JSONDecoder(), text.decode("utf-8", "replace"), Scope("")
    at = tries = 0
    while tries < TRIES and (found := _SCOPE_OR_SPAN.search(decoded, at)):
        at = found.end()
        try:
            if found[1] is not None:
                scope = Scope(str(mend(json.loads(found[1]))))
                continue
            value, at = decoder.raw_decode(decoded, found.start())
        except (ValueError, RecursionError):
            tries += 1
            continue
        if "name" in value:  # a link has ids too
            span = otlp_json.read_span(mend(value), scope, Resource({}), path)
            if isinstance(span, RecordedSpan):
                yield span


BEGINS: Final = tuple(f'{bracket}"{key}"'.encode() for bracket in ("{", "[{") for key in (*otlp_json.REQUEST, *otlp_json.SCOPES))
SOURCE: Final = Source("otlp", sniff, read, rank=90, begins=BEGINS)
