"""The exporter that writes verdicts onto copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from faulty_sink import FaultySink
from live import FOUND, WEATHER, Kept, call, ended, exporting, make_provider, own, watching
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, Tracer
from programs.agent import run
from receiver import Receiver

from spantriage import TriageExporter
from spantriage.worker import Worker


def wrapping(inner: SpanExporter, sink: Any) -> TriageExporter:
    return TriageExporter(inner, sinks=[sink], grace_s=0.05)


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_the_wrapped_exporter_gets_the_verdicts(kind: str) -> None:
    sink = Kept()
    with Receiver() as receiver:
        provider = make_provider(exporting(kind, wrapping(OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces"), sink)))
        run(provider.get_tracer("test"))
        provider.force_flush()

        assert receiver.span(WEATHER)["triage.codes"] == ["tool.silent_failure"]
        assert receiver.span("invoke_agent bot")["triage.agent.tool_calls"] == 4
        sink.wait_for(lambda findings: {finding.code for finding in findings} >= FOUND)
        provider.shutdown()


def test_the_spans_themselves_stay_as_they_are() -> None:
    inner = InMemorySpanExporter()
    exporter = wrapping(inner, Kept())
    spans = ended(run)
    before = [span._attributes for span in spans]

    assert exporter.export(spans) is SpanExportResult.SUCCESS

    assert all(span._attributes is was for span, was in zip(spans, before, strict=True))
    assert [own(span.attributes) for span in inner.get_finished_spans()] == [dict(was or {}) for was in before]
    exporter.shutdown()


def test_a_copy_is_like_the_span_in_everything_else() -> None:
    def work(tracer: Tracer) -> None:
        attributes = {"one": 1, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x", "gen_ai.tool.call.result": "ok"}
        with tracer.start_as_current_span("t", attributes=attributes) as span:
            for number in range(4):
                span.add_event(f"event {number}")
            span.set_status(Status(StatusCode.ERROR, "why"))

    inner = InMemorySpanExporter()
    exporter = wrapping(inner, Kept())
    spans = ended(work, span_limits=SpanLimits(max_span_attributes=3, max_events=2))
    exporter.export(spans)

    ((span,), (copied,)) = spans, inner.get_finished_spans()
    assert span.dropped_attributes == copied.dropped_attributes == 1
    assert span.dropped_events == copied.dropped_events == 2
    for name in (
        "name",
        "context",
        "parent",
        "kind",
        "status",
        "start_time",
        "end_time",
        "events",
        "links",
        "resource",
        "instrumentation_scope",
    ):
        assert getattr(span, name) == getattr(copied, name), name
    exporter.shutdown()


def test_spans_of_others_go_through_as_they_are() -> None:
    inner = InMemorySpanExporter()
    exporter = wrapping(inner, Kept())

    def work(tracer: Tracer) -> None:
        tracer.start_span("SELECT", attributes={"db.system.name": "sqlite"}).end()
        call(tracer)

    spans = ended(work)
    exporter.export(spans)

    first, second = inner.get_finished_spans()
    assert first is spans[0]
    assert second is not spans[1]
    exporter.shutdown()


def test_behind_our_processor_it_changes_nothing_and_finds_nothing_twice() -> None:
    inner, sink = InMemorySpanExporter(), Kept()
    exporter = wrapping(inner, sink)
    provider = make_provider(watching(Kept()), exporting("simple", exporter))

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert (inner.get_finished_spans()[1].attributes or {})["triage.codes"] == ["tool.silent_failure"]
    assert sink.findings == []
    provider.shutdown()


class Inner(SpanExporter):
    """Says what it is told to say."""

    def __init__(self, result: SpanExportResult | Exception) -> None:
        self.result = result
        self.calls: list[str] = []
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls.append("export")
        self.spans += spans
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.calls.append("flush")
        return self.result is SpanExportResult.SUCCESS


@pytest.mark.parametrize("result", [SpanExportResult.SUCCESS, SpanExportResult.FAILURE])
def test_what_the_wrapped_exporter_answers_is_the_answer(result: SpanExportResult) -> None:
    inner = Inner(result)
    exporter = wrapping(inner, Kept())

    assert exporter.export(ended(call)) is result
    assert exporter.force_flush() is (result is SpanExportResult.SUCCESS)
    exporter.shutdown()
    assert inner.calls == ["export", "flush", "shutdown"]


def test_what_the_wrapped_exporter_raises_is_its_own_affair() -> None:
    exporter = wrapping(Inner(KeyError("theirs")), Kept())

    with pytest.raises(KeyError, match="theirs") as caught:
        exporter.export(ended(call))

    assert caught.value.__context__ is None
    exporter.shutdown()


def fail(*_: object, **__: object) -> Any:
    raise RuntimeError("our own mistake")


@pytest.mark.parametrize("place", ["spantriage.exporter.speaks_agent", "spantriage.dialects.read", "spantriage.enrichment.describe"])
def test_a_mistake_of_ours_leaves_every_span_of_the_batch_as_it_was(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = InMemorySpanExporter()
    exporter = wrapping(inner, Kept())
    spans = ended(run)
    with monkeypatch.context() as patch:
        patch.setattr(place, fail)
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        shown = [dict(span.attributes or {}) for span in inner.get_finished_spans()]

    assert shown == [dict(span.attributes or {}) for span in spans]
    exporter.shutdown()


def test_one_span_that_cannot_be_read_does_not_cost_the_others_their_verdicts() -> None:
    inner, sink = InMemorySpanExporter(), Kept()
    exporter = wrapping(inner, sink)
    broken = ReadableSpan("broken", ended(call)[0].context, attributes={"gen_ai.operation.name": "chat"}, events=5)  # type: ignore[arg-type]

    exporter.export([broken, *ended(call)])

    assert len(inner.get_finished_spans()) == 2
    assert (inner.get_finished_spans()[1].attributes or {})["triage.codes"] == ["tool.silent_failure"]
    exporter.shutdown()


@pytest.mark.parametrize("hook", ["flush", "close"])
def test_the_wrapped_exporter_is_flushed_and_shut_down_whatever_becomes_of_us(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Inner(SpanExportResult.SUCCESS)
    exporter = wrapping(inner, FaultySink("raise"))
    with monkeypatch.context() as patch:
        patch.setattr(Worker, hook, fail)
        exporter.force_flush(100)
        exporter.shutdown()

    assert inner.calls == ["flush", "shutdown"]


def test_a_sink_that_hangs_does_not_hold_up_the_export() -> None:
    inner, sink = InMemorySpanExporter(), FaultySink("hang")
    exporter = wrapping(inner, sink)
    exporter.export(ended(call))
    assert sink.entered.wait(10)

    exporter.export(ended(run))

    assert len(inner.get_finished_spans()) == 7
    assert not exporter.force_flush(200)
    sink.mend()
    exporter.shutdown()


def test_events_and_links_of_other_kinds_do_no_harm() -> None:
    inner = InMemorySpanExporter()
    exporter = wrapping(inner, Kept())
    (span,) = ended(call)
    odd = ReadableSpan("odd", span.context, attributes=own(span.attributes), events=[Event("exception", {}), Event("x", None)], links=())

    exporter.export([odd])

    assert len(inner.get_finished_spans()) == 1
    exporter.shutdown()
