"""How the live path is measured: providers side by side in one process, samples taken in turn, CPU time of the ending thread."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer
from workload import Workload

from spantriage import TriageProcessor

__all__ = ["Encodes", "Side", "ending_us", "forget", "paused_us", "per_length", "total_us"]

SPANS: Final = 1_000  # of one sample: as fast as they can be made; the worker wakes when it does, ten times a second
PAUSE_S: Final = 0.002
WAIT_S: Final = 60.0


class Encodes(SpanExporter):
    """Exports nowhere, but does the work: every span is encoded to OTLP."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode and forget."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


@dataclass
class Side:
    """A provider with some processors, of which one may be ours."""

    name: str
    processors: tuple[SpanProcessor, ...] = ()
    tracer: Tracer = field(init=False)
    triage: TriageProcessor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        for processor in self.processors:
            provider.add_span_processor(processor)
            self.triage = processor if isinstance(processor, TriageProcessor) else self.triage
        self.tracer = provider.get_tracer("benchmark")

    def catch_up(self) -> None:
        """Have everything read, on this thread, and exported."""
        if self.triage is not None:
            self.triage.worker.catch_up()
        for processor in self.processors:
            if processor is not self.triage:
                processor.force_flush()

    def finish(self) -> None:
        """Have everything read, judged and exported, on whichever thread."""
        if self.triage is not None and not self.triage.worker.flush(WAIT_S):
            raise TimeoutError(f"{self.name}: the worker does not keep up")
        self.catch_up()

    def check(self) -> None:
        """Raise when spans were not looked at: the figures would be too good."""
        accounts = {} if self.triage is None else self.triage.worker.accounts()
        if accounts.get("dropped.queue_full") or accounts.get("hook_errors"):
            raise RuntimeError(f"{self.name}: not every span was looked at: {accounts}")


def forget() -> None:
    """Keep what was there before the measurement out of every garbage collection."""
    gc.collect()
    gc.freeze()


def ending_us(work: Workload, sides: Sequence[Side], samples: int) -> list[list[float]]:
    """CPU time per span of the thread that ends them: for each side its samples, taken in turn, there and back."""
    found: list[list[float]] = [[] for _ in sides]
    for number in range(samples + 2):
        for index in _there_and_back(len(sides), number):
            side = sides[index]
            with work.around(side.tracer):
                took = _ending_ns(work, side, SPANS // work.spans)
            side.finish()
            if number > 1:  # the first ones warm up
                found[index].append(took / SPANS / 1_000)
    for side in sides:
        side.check()
    return found


def paused_us(work: Workload, sides: Sequence[Side], samples: int) -> list[list[float]]:
    """The same for one repetition at a time, after a pause in which the processor's caches go cold."""
    found: list[list[float]] = [[] for _ in sides]
    for number in range(samples):
        for index in _there_and_back(len(sides), number):
            time.sleep(PAUSE_S)
            began = time.thread_time_ns()
            work.act(sides[index].tracer)
            found[index].append((time.thread_time_ns() - began) / work.spans / 1_000)
    for side in sides:
        side.finish()
        side.check()
    return found


def total_us(work: Workload, sides: Sequence[Side], samples: int) -> list[list[float]]:
    """CPU time per span of the whole process, until everything is read, judged and exported."""
    found: list[list[float]] = [[] for _ in sides]
    for number in range(samples + 1):
        for index in _there_and_back(len(sides), number):
            side = sides[index]
            gc.collect()
            began = time.process_time_ns()
            with work.around(side.tracer):
                for _ in range(SPANS // work.spans):
                    work.act(side.tracer)
            side.finish()
            took = time.process_time_ns() - began
            if number:
                found[index].append(took / SPANS / 1_000)
    for side in sides:
        side.check()
    return found


def per_length(work: Workload, side: Side, spans: int, times: int) -> tuple[float, float]:
    """Runs of that length: CPU time per span of the ending thread, and of everything that is done later."""
    ending = 0
    gc.collect()
    began = time.process_time_ns()
    for _ in range(times):
        with work.around(side.tracer):
            for _ in range(spans // SPANS):
                ending += _ending_ns(work, side, SPANS // work.spans, collect=False)
                side.catch_up()
        side.finish()
    whole = time.process_time_ns() - began
    side.check()
    number = spans * times * 1_000
    return ending / number, (whole - ending) / number


def _there_and_back(number: int, turn: int) -> range:
    return range(number) if turn % 2 else range(number - 1, -1, -1)


def _ending_ns(work: Workload, side: Side, rounds: int, *, collect: bool = True) -> int:
    act, tracer = work.act, side.tracer
    if collect:
        gc.collect()
        gc.disable()
    began = time.thread_time_ns()
    for _ in range(rounds):
        act(tracer)
    took = time.thread_time_ns() - began
    gc.enable()
    return took
