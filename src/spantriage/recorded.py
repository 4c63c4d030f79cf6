"""What was recorded of one trace, and the run that it makes, alone or with the traces that belong to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from spantriage import dialects
from spantriage.beside import put_beside
from spantriage.files import Skip
from spantriage.joining import BARE, LINKS, Joiner
from spantriage.model import Step
from spantriage.run import Run, shorten
from spantriage.sources import ids
from spantriage.sources.spans import BESIDE, RecordedSpan

__all__ = ["SPAN_BYTES", "Trace", "groups", "is_bare", "read_run"]

LOG = logging.getLogger("spantriage")
MAX_STEPS: Final = 100_000  # spans of one trace, steps of one run
SPAN_BYTES: Final = 2_000  # what a span takes besides its texts
LOG_PATH: Final = "massgen.log_path"  # of the span whose run also kept a log in a folder
JOINED: Final = 1 << 20  # tool calls and conversations that are remembered to find out what belongs together


@dataclass(slots=True)
class Trace:
    """The pieces of one trace, each once."""

    trace_id: int
    spans: dict[int, RecordedSpan] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)  # of sources that make steps themselves
    labels: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    links: set[int] = field(default_factory=set)  # other traces
    size: int = 0  # bytes, about
    duplicates: int = 0
    truncated: int = 0

    @property
    def start_ns(self) -> int:
        """When the first of it began."""
        starts = [span.start_time or 0 for span in self.spans.values()] + [step.start_ns for step in self.steps.values()]
        return min(starts, default=0)

    @property
    def number(self) -> int:
        """Spans and steps."""
        return len(self.spans) + len(self.steps)

    def add_span(self, span: RecordedSpan) -> int:
        """Keep a span, of two with one id the more complete; returns the bytes that it takes."""
        span_id = span.context.span_id
        known = self.spans.get(span_id)
        if known is not None:
            self.duplicates += 1
            if (_completeness(span), known.source or "") <= (_completeness(known), span.source or ""):
                return 0
        elif len(self.spans) >= MAX_STEPS:
            self.truncated += 1
            return 0
        self.spans[span_id] = span
        if span.links and len(span.links) <= LINKS:
            self.links.update(link.context.trace_id for link in span.links)
            self.links.discard(self.trace_id)
        logged = ids.log_trace_id(span.attributes.get(LOG_PATH))
        if logged is not None:
            self.links.add(logged)
        size = SPAN_BYTES
        for value in span.attributes.values():
            if type(value) is str:
                size += len(value)
        self.size += size
        return size

    def add_step(self, step: Step) -> int:
        """Keep a step that its source has made; returns the bytes that it takes."""
        if step.span_id in self.steps:
            self.duplicates += 1
            return 0
        if len(self.steps) >= MAX_STEPS:
            self.truncated += 1
            return 0
        self.steps[step.span_id] = step
        said = step.content.text if step.content is not None else None
        size = SPAN_BYTES + len(step.arguments or "") + len(step.result or "") + len(said or "")
        self.size += size
        return size


def read_run(traces: list[Trace], skip: Callable[[Skip], None]) -> Run:
    """The run that these traces make; their histories are read as one, in the order of the calls."""
    run = Run(traces[0].trace_id)
    spans = [span for trace in traces for span in trace.spans.values()]
    spans.sort(key=_place)
    for span in spans:
        parent_id = None if span.parent is None else span.parent.span_id
        run.root_ended = run.root_ended or parent_id is None
        step = _step(span, run, skip)
        if step is None:
            run.pass_through(span.context.span_id, parent_id)
        else:
            run.add(step, MAX_STEPS)
    seen = bool(run.steps)
    if seen:
        run.trace_id = next(trace.trace_id for trace in traces if trace.spans)
    made = [step for trace in traces for step in trace.steps.values()]
    if seen:
        put_beside(run, [step for step in made if (step.note or {}).get(BESIDE)], MAX_STEPS)
    else:
        for step in made:
            run.add(step, MAX_STEPS)
    for trace in traces:
        run.labels.update(trace.labels)
        run.duplicates += trace.duplicates
        run.truncated += trace.truncated
    for step in run.steps.values():
        shorten(step)
    return run


def _step(span: RecordedSpan, run: Run, skip: Callable[[Skip], None]) -> Step | None:
    try:
        step = dialects.read(span, span.attributes, span.instrumentation_scope.name, span.failed)
        if step is not None:
            step.source = span.source
            dialects.read_content(step, span, span.attributes, run.history)
    except Exception as error:
        LOG.debug("span %x", span.context.span_id, exc_info=True)
        skip(Skip(span.source or "", 0, f"span {span.context.span_id:016x}: {type(error).__name__}: {error}"))
        return None
    return step


def groups(waiting: Mapping[int, tuple[Trace, Run]]) -> list[list[int]]:
    """Traces that are one run, the earliest first: linked, or bare model calls of one file that continue each other."""
    joiner = Joiner(JOINED)
    for trace_id, (trace, _) in waiting.items():
        for other in trace.links & waiting.keys():
            joiner.link(trace_id, other)
    bare = {trace_id for trace_id, (_, run) in waiting.items() if is_bare(run)}
    steps = [(step, trace) for trace, run in waiting.values() for step in run.steps.values()]
    for step, trace in sorted(steps, key=lambda each: each[0].order):
        for path in trace.files:
            joiner.key(step, bare=trace.trace_id in bare, scope=path)
    found: dict[int, list[int]] = {}
    for trace_id in sorted(waiting, key=lambda each: _start(waiting[each][1])):
        found.setdefault(joiner.leader(trace_id), []).append(trace_id)
    return list(found.values())


def is_bare(run: Run) -> bool:
    """Say whether there are model calls in it and nothing else, so that it may be a part of something longer."""
    return bool(run.steps) and all(step.kind in BARE for step in run.steps.values())


def _start(run: Run) -> tuple[bool, int, int]:
    """Traces without steps come last: they may tie others together, but lead none."""
    return not run.steps, min((step.start_ns for step in run.steps.values()), default=0), run.trace_id


def _place(span: RecordedSpan) -> tuple[int, int, int]:
    return span.start_time or 0, -(span.end_time or 0), span.context.span_id


def _completeness(span: RecordedSpan) -> tuple[int, int, int]:
    return span.end_time or 0, len(span.attributes), len(span.events)
