"""Getting into a provider, and out again."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from faulty_sink import FaultySink
from live import FOUND, WEATHER, Kept, call, exporting, make_provider, watching
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider
from programs.agent import run

from spantriage import attach
from spantriage.attachment import Triage
from spantriage.errors import AttachError, ConfigError, SinkError
from spantriage.finding import Finding
from spantriage.placing import probe


def shown(exporter: InMemorySpanExporter, name: str = WEATHER) -> dict[str, Any]:
    return next(dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name == name)


def test_attached_after_the_exporter_it_still_comes_before_it() -> None:
    exporter = InMemorySpanExporter()
    provider = make_provider(exporting("simple", exporter))
    triage = attach(provider=provider, sinks=[])

    run(provider.get_tracer("test"))

    assert triage.strategy == "replace"
    assert shown(exporter)["triage.codes"] == ["tool.silent_failure"]
    triage.detach()


def test_exporters_that_come_later_get_the_verdicts_too() -> None:
    exporter = InMemorySpanExporter()
    provider = make_provider()
    triage = attach(provider=provider, sinks=[])
    provider.add_span_processor(exporting("simple", exporter))

    run(provider.get_tracer("test"))

    assert shown(exporter)["triage.codes"] == ["tool.silent_failure"]
    triage.detach()


def test_the_group_below_wrappers_is_found() -> None:
    class Wrapper(SpanProcessor):
        def __init__(self, processor: SpanProcessor) -> None:
            self.processor = processor

        def on_end(self, span: Any) -> None:
            self.processor.on_end(span)

    exporter, group = InMemorySpanExporter(), SynchronousMultiSpanProcessor()
    group.add_span_processor(exporting("simple", exporter))
    provider = make_provider(Wrapper(Wrapper(group)))
    triage = attach(provider=provider, sinks=[])

    run(provider.get_tracer("test"))

    assert [type(p).__name__ for p in group._span_processors] == ["TriageProcessor", "SimpleSpanProcessor"]
    assert shown(exporter)["triage.codes"] == ["tool.silent_failure"]
    triage.detach()


def test_where_processors_work_side_by_side_there_are_findings_only(caplog: pytest.LogCaptureFixture) -> None:
    exporter, sink = InMemorySpanExporter(), Kept()
    group = ConcurrentMultiSpanProcessor()
    provider = TracerProvider(active_span_processor=group, shutdown_on_exit=False)
    provider.add_span_processor(exporting("simple", exporter))
    triage = attach(provider=provider, sinks=[sink])

    run(provider.get_tracer("test"))
    triage.flush()

    assert triage.strategy == "observe"
    assert "triage.codes" not in shown(exporter)
    assert sink.codes >= FOUND
    assert len(caplog.records) == 1
    triage.detach()
    provider.shutdown()


@pytest.mark.parametrize(("sampler", "argument"), [("traceidratio", "0.0"), ("always_off", "")])
def test_the_probe_does_not_depend_on_the_programs_sampling(sampler: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)

    assert probe()


def test_a_provider_without_processors_is_an_error_that_says_what_to_give() -> None:
    with pytest.raises(AttachError, match="NoOpTracerProvider has no span processors; give a TracerProvider"):
        attach(provider=NoOpTracerProvider(), sinks=[])


def test_what_is_asked_for_and_cannot_be_had_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'gracious'"):
        attach(provider=make_provider(), gracious=1)
    with pytest.raises(SinkError):
        attach(provider=make_provider(), sinks=["otlp:not a url"])


def test_detached_it_sees_nothing_more_and_what_was_there_is_as_before() -> None:
    exporter, sink = InMemorySpanExporter(), Kept()
    provider = make_provider(exporting("simple", exporter))
    before = provider._active_span_processor._span_processors
    triage = attach(provider=provider, sinks=[sink])
    call(provider.get_tracer("test"))
    triage.detach()
    given = len(sink.findings)

    run(provider.get_tracer("test"))

    assert given
    assert len(sink.findings) == given
    assert "triage.codes" not in shown(exporter, "execute_tool stock")
    assert provider._active_span_processor._span_processors == before
    assert triage.strategy == "detached"
    triage.detach()


def test_callbacks_get_findings_and_what_they_raise_goes_no_further() -> None:
    provider = make_provider()
    triage = attach(provider=provider, sinks=[])
    told: list[Finding] = []
    threads: set[str] = set()

    def tell(finding: Finding) -> None:
        told.append(finding)
        threads.add(threading.current_thread().name)
        raise KeyError("theirs")

    triage.on_finding(tell)
    run(provider.get_tracer("test"))

    assert triage.flush()
    assert {finding.code for finding in told} >= FOUND
    assert threads == {"spantriage"}
    triage.detach()


def test_a_callback_can_be_added_and_everything_taken_out_while_a_sink_hangs() -> None:
    sink = FaultySink("hang")
    provider = make_provider()
    triage = attach(provider=provider, sinks=[sink], exit_s=0.2)
    call(provider.get_tracer("test"))
    assert sink.entered.wait(10)
    told: list[Finding] = []

    triage.on_finding(told.append)
    assert not triage.flush(0.1)
    triage.detach()

    assert triage.status()["self"]["shutdown_timeout"] == 1
    sink.mend()


def test_the_status_tells_of_agents_runs_and_ourselves() -> None:
    provider = make_provider()
    triage = attach(provider=provider, sinks=[])
    run(provider.get_tracer("test"))

    status = triage.status()

    assert status["strategy"] == "replace"
    assert status["agents"]["bot"]["tool_calls"] == 4
    assert status["self"]["received"] == status["self"]["processed"] == 6
    triage.detach()


def test_one_that_yields_stands_back_where_another_is_at_work() -> None:
    sink = Kept()
    provider = make_provider(watching(sink))
    quiet = Triage(watching(Kept()), yields=True)

    assert quiet.settle_in(provider)
    run(provider.get_tracer("test"))
    provider.force_flush()

    assert quiet.strategy == "yielded"
    assert quiet.status()["self"]["received"] == 0
    assert sink.codes >= FOUND
    provider.shutdown()


def test_one_that_was_asked_for_comes_before_one_that_was_not() -> None:
    asked, unasked, exporter = Kept(), Kept(), InMemorySpanExporter()
    provider = make_provider(exporting("simple", exporter))
    quiet = Triage(watching(unasked, enrich=True), yields=True)
    quiet.settle_in(provider)
    triage = attach(provider=provider, sinks=[asked], select=["tool"])

    run(provider.get_tracer("test"))
    triage.flush()

    assert asked.codes == {"tool.silent_failure"}
    assert unasked.codes == set()
    assert "triage.codes" not in shown(exporter, "execute_tool stock")
    triage.detach()
    quiet.detach()
