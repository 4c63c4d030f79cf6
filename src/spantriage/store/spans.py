"""Rows of spans as they are recorded in files, or as the SDK hands them over when they end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from spantriage.store.rows import Row, Status, resource_row, rows_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from spantriage.sources.spans import RecordedSpan

__all__ = ["LiveRows", "RecordedRows", "rows_of_spans"]

RESOURCES: Final = 1_000  # remembered at the same time
_CODES: Final = {0: None, 1: "OK", 2: "ERROR"}  # OpenTelemetry's numbers
_FAILED: Final = {False: None, True: "ERROR"}


class _Resources:
    """Resources that many spans share, each made into columns once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, Row]] = {}

    def row(self, resource: Any) -> Row:
        known = self._known.get(id(resource))
        if known is None:
            if len(self._known) >= RESOURCES:
                self._known.clear()
            known = self._known[id(resource)] = resource, resource_row(resource.attributes if resource is not None else {})
        return known[1]


class RecordedRows:
    """Makes rows of recorded spans, each once: of two with one id the first counts."""

    def __init__(self, *, content: bool, redacts: bool) -> None:
        self._content, self._redacts = content, redacts
        self._resources = _Resources()
        self._seen: set[tuple[int, int]] = set()

    def of(self, span: RecordedSpan) -> list[Row]:
        """The rows of one span; none if it was here before."""
        ids = span.context.trace_id, span.context.span_id
        if ids in self._seen:
            return []
        parent = span.parent
        rows = rows_of(
            span,
            span.attributes,
            (*ids, None if parent is None else parent.span_id),
            Status(_FAILED[span.failed], span.status.description),
            self._resources.row(span.resource),
            content=self._content,
            redacts=self._redacts,
        )
        if rows:
            self._seen.add(ids)
        return rows


class LiveRows:
    """Makes rows of spans of the SDK, without credentials. What is not of a trace, or was not sampled, has none."""

    def __init__(self, *, content: bool, redacts: bool = True) -> None:
        self._content, self._redacts = content, redacts
        self._resources = _Resources()

    def of(self, span: ReadableSpan) -> list[Row]:
        """The rows of one span."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return []
        parent, status = span.parent, span.status
        return rows_of(
            span,
            span.attributes or {},
            (context.trace_id, context.span_id, None if parent is None else parent.span_id),
            Status(_CODES[status.status_code.value], status.description),
            self._resources.row(span.resource),
            content=self._content,
            redacts=self._redacts,
        )


def rows_of_spans(spans: Iterable[Any]) -> Iterable[Row]:
    """Rows of recorded spans or of the SDK's, with all that was said in them."""
    recorded, live = RecordedRows(content=True, redacts=False), LiveRows(content=True, redacts=False)
    for span in spans:
        yield from (recorded.of(span) if hasattr(span, "failed") else live.of(span))
