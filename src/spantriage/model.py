"""The nouns: what a step is, what a detector says of it. No I/O, no OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from spantriage.detectors import Detector

__all__ = [
    "CODES_KEY",
    "Content",
    "FinishReason",
    "Kind",
    "Scope",
    "Severity",
    "Span",
    "SpanEvent",
    "SpanId",
    "SpanLink",
    "Step",
    "ToolCall",
    "ToolResult",
    "Verdict",
]

Kind = Literal["workflow", "agent", "model", "tool", "retrieval", "guardrail", "setup", "event", "other"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "malformed_tool_call", "error", "unknown"]
Severity = Literal["info", "warning", "error", "critical"]

CODES_KEY = "triage.codes"


class SpanId(Protocol):
    """The part of an OpenTelemetry `SpanContext` that we read."""

    @property
    def trace_id(self) -> int: ...
    @property
    def span_id(self) -> int: ...


class Scope(Protocol):
    """The instrumentation scope: which library wrote the span."""

    @property
    def name(self) -> str: ...


class SpanEvent(Protocol):
    """A span event, such as `exception`."""

    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, object] | None: ...


class SpanLink(Protocol):
    """A span link."""

    @property
    def context(self) -> SpanId: ...


class Span(Protocol):
    """An ended span, live (`ReadableSpan`) or recorded (`sources.otlp.RecordedSpan`)."""

    @property
    def name(self) -> str: ...
    @property
    def context(self) -> SpanId: ...
    @property
    def parent(self) -> SpanId | None: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def events(self) -> Sequence[SpanEvent]: ...
    @property
    def links(self) -> Sequence[SpanLink]: ...
    @property
    def instrumentation_scope(self) -> Scope | None: ...


@dataclass(slots=True)
class ToolCall:
    """A tool call that a model asked for."""

    name: str | None
    call_id: str | None = None
    arguments: str | None = None
    valid: bool | None = None  # do the arguments parse as a JSON object? None: not captured


@dataclass(slots=True)
class ToolResult:
    """A tool's answer as the model was shown it, read from the history of a later model call."""

    text: str
    call_id: str | None = None
    name: str | None = None
    call: ToolCall | None = None  # the request, where the same history holds it
    position: int = 0  # index of the message in the history
    failed: bool | None = None  # the history's own error mark; None: it has none
    ran: bool = True  # False: the framework answered for the tool, which was never run


@dataclass(slots=True)
class Content:
    """What a step's messages say; read on the worker, never on the agent's thread."""

    captured: bool = False  # False: the instrumentation recorded no content, so silence proves nothing
    replied: bool = False  # the reply itself was recorded, so that an empty one is empty
    text: str | None = None  # what the model or agent answered
    refusal: str | None = None
    requested: list[ToolCall] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)  # only the new tail of the history
    declared: dict[str, Mapping[str, object] | None] | None = None  # tool name -> JSON Schema of its arguments
    must_call: bool = False  # the request demands a tool call
    task: str | None = None  # digest of the first user message, to tell conversations apart
    truncated: bool = False  # a part was larger than the reader's cap and was not read

    @property
    def empty(self) -> bool:
        """Whether the reply was recorded and there is nothing in it."""
        return self.replied and not (self.requested or self.refusal or self.truncated or (self.text or "").strip())


@dataclass(slots=True)
class Step:
    """A span in our words. Missing is None, never 0 or "". Times are ns since the epoch."""

    trace_id: int
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    kind: Kind
    name: str
    dialect: str
    sign: str = "ok"  # "ok", the name of the failure (see failures.py), or for models the finish reason
    failed: bool = False  # the span itself says so
    agent: str | None = None
    agent_span_id: int | None = None  # the agent span that this step belongs to: one invocation of the agent
    tool: str | None = None
    call_id: str | None = None
    arguments: str | None = None  # of a tool call; whole until the worker clips it
    result: str | None = None  # of a tool or an agent; whole until the worker clips it
    arguments_digest: int | None = None
    result_digest: int | None = None
    model: str | None = None
    provider: str | None = None
    finish: FinishReason | None = None
    input_tokens: int | None = None  # including cached ones; an agent's own total on agent steps
    output_tokens: int | None = None  # including reasoning
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    conversation: str | None = None
    streamed: bool | None = None
    implied: bool = False  # a tool call known only from a model's messages; it has no span of its own
    cumulative: bool = False  # token counts are running totals of the agent, not of this step
    note: dict[str, object] | None = None  # what only this dialect knows (a MassGen round, a retry's cause)
    content: Content | None = None
    source: str | None = None  # the file it was read from

    @property
    def duration_ns(self) -> int:
        """Never negative: a clock that ran backwards counts as no time."""
        return max(0, self.end_ns - self.start_ns)

    @property
    def the_model(self) -> str:
        """The model, as a sentence names it."""
        return f"model {self.model}" if self.model else "the model"

    @property
    def order(self) -> tuple[int, int, int]:
        """The place in the canonical order of a run: by start; a parent before its children."""
        return (self.start_ns, -self.end_ns, self.span_id)


@dataclass(slots=True)
class Verdict:
    """What a detector says of a step; the engine makes a finding of it once the run is known."""

    detector: Detector
    step: Step
    summary: str
    root_cause: str | None = None
    actionable: str | None = None
    reason: str | None = None
    severity: Severity | None = None  # None: the detector's own
    score: float | None = None
    evidence: tuple[Step, ...] = ()
    agent: str | None = None  # None: the agent of the step
    near: str | None = None  # live only: the agent at work, as far as was known when the span ended
    wasted_tokens: int | None = None
    wasted_cost_usd: float | None = None

    def withdraw(self) -> None:
        """Take it back; its finding is sent again like this."""
        self.severity, self.score = "info", 0.0
        self.summary = f"Withdrawn: {self.summary}"

    @property
    def code(self) -> str:
        """The detector's code."""
        return self.detector.code
