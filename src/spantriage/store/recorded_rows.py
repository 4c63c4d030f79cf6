"""Rows of spans as they are recorded in files, or as the SDK hands them over when they end."""

from __future__ import annotations

from typing import Any, Final

from spantriage.store.rows import Row, Status, resource_row, rows_of

__all__ = ["RecordedRows"]

RESOURCES: Final = 1_000  # remembered at the same time
CODES: Final = {"OK": "OK", "ERROR": "ERROR"}
_FAILED: Final = {False: None, True: "ERROR"}


class RecordedRows:
    """Makes rows, each span once: of two with one id the first counts."""

    def __init__(self, *, content: bool, redacts: bool) -> None:
        self._content, self._redacts = content, redacts
        self._resources: dict[int, tuple[object, Row]] = {}
        self._seen: set[tuple[int, int]] = set()

    def of(self, span: Any) -> list[Row]:
        """The rows of one span; none if it was here before."""
        context = span.context
        ids = context.trace_id, context.span_id
        if ids in self._seen:
            return []
        rows = rows_of(
            span,
            span.attributes or {},
            (*ids, None if span.parent is None else span.parent.span_id),
            _status(span),
            self._resource(span.resource),
            content=self._content,
            redacts=self._redacts,
        )
        if rows:
            self._seen.add(ids)
        return rows

    def _resource(self, resource: Any) -> Row:
        known = self._resources.get(id(resource))
        if known is None:
            if len(self._resources) >= RESOURCES:
                self._resources.clear()
            known = self._resources[id(resource)] = resource, resource_row(resource.attributes)
        return known[1]


def _status(span: Any) -> Status:
    """A recorded span says `failed`; the SDK's has a status code."""
    failed = getattr(span, "failed", None)
    code = _FAILED[failed] if failed is not None else CODES.get(span.status.status_code.name)
    return Status(code, span.status.description)
