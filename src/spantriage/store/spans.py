"""Rows of spans as they are recorded in files, or as the SDK hands them over when they end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from spantriage.model import Step
from spantriage.store.rows import Row, Status, resource_row, rows_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from spantriage.sources.spans import RecordedSpan

__all__ = ["LiveRows", "RecordedRows", "rows_of_spans"]

RESOURCES: Final = 1_000  # remembered at the same time
_OPERATIONS: Final = {"model": "chat", "tool": "execute_tool", "agent": "invoke_agent", "retrieval": "retrieval"}
_FACTS: Final = {
    "gen_ai.agent.name": "agent", "gen_ai.tool.name": "tool", "gen_ai.tool.call.id": "call_id", "gen_ai.tool.call.arguments": "arguments",
    "gen_ai.tool.call.result": "result", "gen_ai.request.model": "model", "gen_ai.provider.name": "provider",
    "gen_ai.conversation.id": "conversation", "error.type": "error_type", "operation.cost": "cost_usd",
}  # fmt: skip
_USAGE: Final = {
    "gen_ai.usage.input_tokens": "input_tokens", "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
}  # fmt: skip
_TOTALS: Final = {
    "massgen.usage.input": "input_tokens", "massgen.usage.output": "output_tokens", "massgen.usage.cached_input": "cached_tokens",
}  # fmt: skip
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
    """Makes rows of recorded spans and steps, each once: of two with one id the first counts."""

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

    def of_step(self, step: Step) -> list[Row]:
        """The row of a step that its source has made; none if it was here before."""
        ids = step.trace_id, step.span_id
        if ids in self._seen or step.implied:
            return []
        self._seen.add(ids)
        status = Status("ERROR" if step.failed else None, step.error_message)
        resource = {"service_name": step.dialect}
        return rows_of(
            _StepFacts(step), _attributes_of(step), (*ids, step.parent_id), status, resource, content=self._content, redacts=self._redacts
        )


class _StepFacts:
    """A step as if it were a span."""

    events = links = ()
    instrumentation_scope = None

    def __init__(self, step: Step) -> None:
        self.name, self.start_time, self.end_time = step.name, step.start_ns, step.end_ns


def _attributes_of(step: Step) -> dict[str, Any]:
    """A step's facts under the names of OpenTelemetry's GenAI conventions; MassGen's running totals under its own."""
    usage = _TOTALS if step.cumulative else _USAGE
    facts = {
        "gen_ai.operation.name": _OPERATIONS.get(step.kind),
        **{key: getattr(step, field) for key, field in (_FACTS | usage).items()},
    }
    return {key: value for key, value in facts.items() if value is not None}


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
    """Rows of recorded spans and steps, or of the SDK's spans, with all that was said in them."""
    recorded, live = RecordedRows(content=True, redacts=False), LiveRows(content=True, redacts=False)
    for span in spans:
        if isinstance(span, Step):
            yield from recorded.of_step(span)
        else:
            yield from (recorded.of(span) if hasattr(span, "failed") else live.of(span))
