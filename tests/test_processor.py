"""The processor inside a real provider, in front of real exporters."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faulty_sink import FaultySink
from live import FOUND, WEATHER, Kept, call, exporting, make_provider, own, watching
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer, set_span_in_context
from programs.agent import run
from receiver import Receiver

from spantriage import TriageProcessor, processor
from spantriage.detectors import Detector
from spantriage.worker import Worker


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def otlp(receiver: Receiver) -> OTLPSpanExporter:
    return OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces")


class Looking(SpanProcessor):
    """Stands behind us and keeps what it is shown."""

    def __init__(self) -> None:
        self.live: dict[int, Any] = {}
        self.ended: list[tuple[ReadableSpan, Any]] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.live[span.context.span_id] = span

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append((span, span._attributes))


# -- what exporters see ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_the_verdict_is_on_the_span_when_it_is_exported(kind: str, receiver: Receiver) -> None:
    sink = Kept()
    provider = make_provider(watching(sink), exporting(kind, otlp(receiver)))

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert receiver.span(WEATHER)["triage.codes"] == ["tool.silent_failure"]
    assert receiver.span(WEATHER)["triage.category"] == "tool_issue"
    assert receiver.span("execute_tool stock")["triage.codes"] == ["loop.repeated_call"]
    assert own(receiver.span("chat small")) == receiver.span("chat small")
    assert sink.codes >= FOUND
    provider.shutdown()


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_the_agents_span_carries_its_record(kind: str, receiver: Receiver) -> None:
    provider = make_provider(watching(Kept()), exporting(kind, otlp(receiver)))

    run(provider.get_tracer("test"))
    provider.force_flush()

    record = {key.removeprefix("triage.agent."): value for key, value in receiver.span("invoke_agent bot").items()}
    expected = {"steps": 6, "model_calls": 1, "tool_calls": 4, "tool_errors": 1, "silent_failures": 1, "tool_error_rate": 0.25}
    assert record.items() >= {**expected, "input_tokens": 100, "output_tokens": 10, "repeats": 1}.items()
    assert record["codes"] == sorted(FOUND)
    provider.shutdown()


def test_what_the_program_set_arrives_as_it_was_and_in_its_order() -> None:
    without, with_us = InMemorySpanExporter(), InMemorySpanExporter()
    run(make_provider(exporting("simple", without)).get_tracer("test"))
    provider = make_provider(watching(Kept()), exporting("simple", with_us))
    run(provider.get_tracer("test"))

    before, after = without.get_finished_spans(), with_us.get_finished_spans()
    assert [(s.name, list(own(s.attributes).items())) for s in after] == [(s.name, list((s.attributes or {}).items())) for s in before]
    provider.shutdown()


def test_attributes_that_the_sdk_dropped_are_still_counted() -> None:
    exporter = InMemorySpanExporter()
    provider = make_provider(watching(Kept()), exporting("simple", exporter), span_limits=SpanLimits(max_span_attributes=4))

    attributes = {"one": 1, "two": 2, **TOOL, "gen_ai.tool.call.result": "Error: not today"}
    provider.get_tracer("test").start_span("execute_tool", attributes=attributes).end()

    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["triage.codes"] == ["tool.silent_failure"]
    assert len(own(span.attributes)) == 4
    assert span.dropped_attributes == 2
    provider.shutdown()


def test_after_a_simple_exporter_spans_leave_as_they_were_and_findings_still_come(receiver: Receiver) -> None:
    sink = Kept()
    provider = make_provider(exporting("simple", otlp(receiver)), watching(sink))

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert [span["attributes"] for span in receiver.spans] == [own(span["attributes"]) for span in receiver.spans]
    assert len(receiver.spans) == 6
    assert sink.codes >= FOUND
    provider.shutdown()


def test_after_a_batching_exporter_every_span_arrives_whole_and_findings_still_come(receiver: Receiver) -> None:
    sink = Kept()
    provider = make_provider(exporting("batch", otlp(receiver)), watching(sink))

    run(provider.get_tracer("test"))
    provider.force_flush()
    provider.force_flush()

    assert len(receiver.spans) == 6
    assert receiver.span(WEATHER)["gen_ai.tool.call.result"].startswith("Error: weather")
    assert sink.codes >= FOUND
    provider.shutdown()


def test_spans_of_others_keep_their_very_mapping() -> None:
    looking, watcher = Looking(), watching(Kept())
    provider = make_provider(watcher, looking)
    tracer = provider.get_tracer("web")

    with tracer.start_as_current_span("GET /", attributes={"http.request.method": "GET"}):
        tracer.start_span("SELECT", attributes={"db.system.name": "sqlite"}).end()

    assert [attributes is looking.live[span.context.span_id]._attributes for span, attributes in looking.ended] == [True, True]
    assert watcher.worker.accounts()["received"] == 0
    provider.shutdown()


def test_of_others_in_an_agents_trace_only_the_root_is_given_something() -> None:
    looking = Looking()
    provider = make_provider(watching(Kept()), looking)
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /"), tracer.start_as_current_span("middleware"):
        run(tracer)

    same = {span.name: attributes is looking.live[span.context.span_id]._attributes for span, attributes in looking.ended}
    assert same["middleware"]
    assert not same["GET /"]
    shown = {span.name: dict(span.attributes or {}) for span, _ in looking.ended}
    assert shown["GET /"]["triage.agent.tool_calls"] == 4
    provider.shutdown()


def test_a_span_that_was_not_sampled_is_not_looked_at() -> None:
    watcher = watching(Kept())
    provider = make_provider(watcher, sampler=ALWAYS_OFF)

    run(provider.get_tracer("test"))

    assert watcher.worker.accounts()["received"] == 0
    provider.shutdown()


def test_the_processor_added_twice_gives_each_finding_once() -> None:
    sink = Kept()
    watcher = watching(sink)
    provider = make_provider(watcher, watcher)

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert sorted(f.code for f in sink.last.values() if f.severity != "info") == sorted(FOUND)
    assert watcher.worker.counters["duplicate"] == 6
    provider.shutdown()


def test_of_two_processors_the_first_writes_onto_spans_and_both_give_their_findings() -> None:
    exporter, first, second = InMemorySpanExporter(), Kept(), Kept()
    provider = make_provider(watching(first), watching(second, select=("tool.silent_failure",)), exporting("simple", exporter))
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /"):
        run(tracer)
    provider.force_flush()

    assert first.codes >= FOUND
    assert second.codes == {"tool.silent_failure"}
    shown = {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}
    assert shown["execute_tool stock"]["triage.codes"] == ["loop.repeated_call"]
    assert shown["GET /"]["triage.agent.tool_calls"] == 4
    provider.shutdown()


def test_without_enrichment_spans_stay_as_they_are() -> None:
    looking, sink = Looking(), Kept()
    provider = make_provider(watching(sink, enrich=False), looking)

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert all(attributes is looking.live[span.context.span_id]._attributes for span, attributes in looking.ended)
    assert sink.codes >= FOUND
    provider.shutdown()


def test_a_processor_works_again_after_it_was_shut_down() -> None:
    sink = Kept()
    watcher = watching(sink)
    first = make_provider(watcher)
    run(first.get_tracer("test"))
    first.shutdown()
    given = len(sink.last)

    second = make_provider(watcher)
    run(second.get_tracer("test"))
    second.force_flush()

    assert given >= 2
    assert len(sink.last) == 2 * given
    second.shutdown()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_processor_cannot_be_copied_and_says_what_to_do(duplicate: Callable[[object], object]) -> None:
    watcher = watching(Kept())

    with pytest.raises(TypeError, match="make a new one"):
        duplicate(watcher)


# -- hostile spans --------------------------------------------------------------------------------------------------------

DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "x" * 10_000_000
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.agent.name": "bot", "gen_ai.request.model": "small"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "bot", "gen_ai.tool.name": "weather"}
ODD_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "surrogates": {**TOOL, "gen_ai.agent.name": "b\ud800t", "gen_ai.tool.name": "\udfff", "gen_ai.tool.call.result": "Error: \ud83d"},
    "nul": {**TOOL, "gen_ai.agent.name": "b\0t\u2028\u202e", "gen_ai.tool.call.result": "Error:\0"},
    "nan": {**CHAT, "operation.cost": float("nan"), "gen_ai.usage.input_tokens": float("inf")},
    "bytes": {**TOOL, "gen_ai.tool.name": b"weather", "gen_ai.tool.call.result": b"Error: \xff", "gen_ai.tool.call.arguments": b"{"},
    "huge int": {**CHAT, "gen_ai.usage.input_tokens": 2**70, "gen_ai.usage.output_tokens": -(2**70)},
    "wrong types": {**CHAT, "gen_ai.usage.input_tokens": "12", "gen_ai.usage.output_tokens": True, "gen_ai.response.finish_reasons": 7},
    "numbers for names": {**TOOL, "gen_ai.agent.name": 5, "gen_ai.tool.name": 1.5, "gen_ai.operation.name": ["execute_tool"]},
    "10 MB": {**TOOL, "gen_ai.tool.call.result": f"Error: {HUGE}", "gen_ai.tool.call.arguments": HUGE, "gen_ai.agent.name": HUGE},
    "10 MB of messages": {**CHAT, "gen_ai.input.messages": f'[{{"role": "user", "content": "{HUGE}"}}]', "gen_ai.output.messages": HUGE},
    "deep": dict.fromkeys(("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"), DEEP) | CHAT,
    "deep arguments": {**TOOL, "gen_ai.tool.call.arguments": DEEP, "gen_ai.tool.call.result": DEEP},
    "huge numbers": {**CHAT, "gen_ai.output.messages": f'[{{"role": "assistant", "content": {"9" * 5_000}}}]'},
    "objects": {**CHAT, "gen_ai.input.messages": [{"role": "user", "parts": [None, 1, {"type": "text"}]}], "gen_ai.tool.definitions": [[]]},
    "no JSON": {**CHAT, "gen_ai.input.messages": "[{", "gen_ai.output.messages": "null", "gen_ai.tool.definitions": '"x"'},
}  # fmt: skip


class Repeating(IdGenerator):
    """Gives every span of a trace the same id, so that children are their own parents."""

    def generate_span_id(self) -> int:
        return 0xABCDEF

    def generate_trace_id(self) -> int:
        return RandomIdGenerator().generate_trace_id()


def backwards(tracer: Tracer) -> None:
    tracer.start_span("backwards", attributes=TOOL, start_time=2_000_000_000).end(end_time=1_000_000_000)


def far_away(tracer: Tracer) -> None:
    tracer.start_span("far away", attributes=TOOL, start_time=0).end(end_time=2**63)


def beyond(tracer: Tracer) -> None:
    tracer.start_span("beyond", attributes=TOOL, start_time=-5).end(end_time=2**65)


def without_parent(tracer: Tracer) -> None:
    above = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
    tracer.start_span("orphan", set_span_in_context(NonRecordingSpan(above)), attributes=TOOL).end()


def odd_name(tracer: Tracer) -> None:
    tracer.start_span("execute_tool \ud800", attributes=TOOL).end()


def odd_failure(tracer: Tracer) -> None:
    span = tracer.start_span("odd failure", attributes={**TOOL, "error.type": "\udead"})
    span.add_event("exception", {"exception.type": b"\xff", "exception.message": "\ud800" * 9})
    span.set_status(Status(StatusCode.ERROR, HUGE))
    span.end()


ODD_SPANS = {function.__name__: function for function in (backwards, far_away, beyond, without_parent, odd_name, odd_failure)}


def emit(name: str, tracer: Tracer) -> None:
    """One hostile span between the spans of a healthy agent, in one batch."""
    run(tracer, "before")
    if name in ODD_SPANS:
        ODD_SPANS[name](tracer)
    else:
        tracer.start_span("odd", attributes=ODD_ATTRIBUTES[name]).end()
    run(tracer, "after")


def shape(receiver: Receiver) -> list[tuple[str, dict[str, Any]]]:
    """What arrived, without what is ours; NaN made equal to itself."""
    return [(span["name"], {key: repr(value) for key, value in own(span["attributes"]).items()}) for span in receiver.spans]


@pytest.mark.parametrize("name", [*ODD_ATTRIBUTES, *ODD_SPANS])
@pytest.mark.usefixtures("quiet_exporters")
def test_a_hostile_span_costs_nobody_anything(name: str) -> None:
    sink = Kept()
    with Receiver() as alone, Receiver() as watched:
        plain = make_provider(exporting("batch", otlp(alone)))
        emit(name, plain.get_tracer("test"))
        plain.force_flush()
        watcher = watching(sink)
        provider = make_provider(watcher, exporting("batch", otlp(watched)))
        began = time.thread_time()
        emit(name, provider.get_tracer("test"))
        spent = time.thread_time() - began
        provider.force_flush()

        assert shape(watched) == shape(alone)
        if alone.spans:
            assert {"invoke_agent before", "invoke_agent after"} <= {span["name"] for span in watched.spans}
        assert {agent for f in sink.findings if f.code in FOUND for agent in [f.agent]} >= {"before", "after"}
        errors = {key: number for key, number in watcher.worker.accounts().items() if "error" in key or "timeout" in key}
        assert not errors
        assert spent < 0.5
        for each in (plain, provider):
            each.shutdown()


@pytest.fixture
def quiet_exporters(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's exporters complain of what they cannot encode, with us and without."""
    caplog.set_level("CRITICAL", "opentelemetry")


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_spans_that_are_their_own_parents_and_have_one_id_all_arrive(kind: str, receiver: Receiver) -> None:
    watcher = watching(Kept())
    provider = make_provider(watcher, exporting(kind, otlp(receiver)), id_generator=Repeating())

    run(provider.get_tracer("test"))
    provider.force_flush()

    assert len(receiver.spans) == 6
    assert watcher.worker.accounts()["duplicate"] == 5
    provider.shutdown()


def test_no_text_from_outside_makes_our_own_attributes_unfit_for_export(receiver: Receiver) -> None:
    provider = make_provider(watching(Kept()), exporting("batch", otlp(receiver)))
    tracer = provider.get_tracer("test")
    names = ("b\ud800", "c\0\x1b[31m")
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"}):
        calls = ",".join(f'{{"type": "tool_call", "id": "{n}", "name": "{name.encode("unicode-escape").decode()}", "arguments": {{}}}}'
                         for n, name in enumerate(("x", "y")))  # fmt: skip
        tracer.start_span("chat", attributes={
            **CHAT,
            "gen_ai.tool.definitions": '[{"name": "known"}]',
            "gen_ai.output.messages": f'[{{"role": "assistant", "parts": [{calls}]}}]',
        }).end()  # fmt: skip
        for name in names:
            attributes = {**TOOL, "gen_ai.tool.name": name, "gen_ai.tool.call.result": "Error: Unknown tool"}
            tracer.start_span("execute_tool", attributes=attributes).end()
    provider.force_flush()

    ours = {key: value for key, value in receiver.span("invoke_agent").items() if key.startswith("triage.")}
    assert None not in ours.values()
    for value in ours.values():
        for text in value if isinstance(value, list) else [value]:
            assert not isinstance(text, str) or text.isprintable()
    provider.shutdown()


# -- our own mistakes -------------------------------------------------------------------------------------------------------


class Raises(Detector):
    """Fails whenever it is asked."""

    code = "test.raises"
    category = "tool_issue"
    speaks_of = frozenset({"tool", "agent", "model"})
    error: Exception = ValueError("a detector's own mistake")

    def check(self, step: Any, agent: Any) -> Any:
        raise type(self).error

    def conclude(self, run: Any, settled: Any) -> Any:
        raise type(self).error


def fail(*_: object, **__: object) -> Any:
    raise RuntimeError("our own mistake")


def recurse(*given: object, **named: object) -> Any:
    return recurse(*given, **named)


def with_detector(watcher: TriageProcessor, _: pytest.MonkeyPatch) -> None:
    watcher.worker = Worker(watcher.settings, (Raises(),), watcher.worker.delivery.sinks)


def with_dialect(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("spantriage.dialects.read", fail)


def with_deep_dialect(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("spantriage.dialects.read_content", recurse)


def with_judge(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("spantriage.engine.Engine.judge", fail)


def with_gate(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(processor, "speaks_agent", fail)


def with_start(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(processor, "ref", fail)


def with_memory(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> Any:
        raise MemoryError

    patch.setattr(processor, "Enriched", exhausted)


def with_description(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("spantriage.enrichment.describe", fail)


def with_delivery(_: TriageProcessor, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("spantriage.runs.Runs.take_findings", fail)


FAULTS = {
    function.__name__: (function, counter)
    for function, counter in (
        (with_detector, "detector_errors.test.raises"),
        (with_dialect, "step_errors"),
        (with_deep_dialect, "step_errors"),
        (with_judge, "judge_errors"),
        (with_gate, "hook_errors"),
        (with_start, "hook_errors"),
        (with_memory, "hook_errors"),
        (with_description, "step_errors"),
        (with_delivery, "worker_errors"),
    )
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_a_mistake_of_ours_is_counted_and_reaches_neither_the_program_nor_the_exporter(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, watcher = InMemorySpanExporter(), watching(Kept())
    provider = make_provider(watcher, exporting(kind, exporter))
    tracer = provider.get_tracer("test")
    inject, counter = FAULTS[name]
    inject(watcher, monkeypatch)

    with pytest.raises(KeyError, match="theirs") as caught, tracer.start_as_current_span("invoke_agent", attributes=CHAT):
        run(tracer)
        raise KeyError("theirs")
    provider.force_flush()

    assert caught.value.__context__ is None
    assert len(exporter.get_finished_spans()) == 7
    assert all(len(own(span.attributes)) >= 2 for span in exporter.get_finished_spans())
    monkeypatch.undo()
    assert watcher.worker.accounts().get(counter, 0) > 0, watcher.worker.accounts()
    provider.shutdown()


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_a_sink_that_raises_is_counted_and_asked_again(kind: str) -> None:
    exporter, bad, good = InMemorySpanExporter(), FaultySink("raise"), Kept()
    watcher = watching(bad)
    watcher.worker.add_sink(good)
    provider = make_provider(watcher, exporting(kind, exporter))

    with pytest.raises(KeyError, match="theirs"), provider.get_tracer("test").start_as_current_span("chat", attributes=CHAT):
        run(provider.get_tracer("test"))
        raise KeyError("theirs")
    provider.force_flush()
    lost = watcher.worker.accounts()["findings_dropped.faulty_sink"]
    assert lost == len(good.findings) > 0
    bad.mend()
    run(provider.get_tracer("test"))
    provider.force_flush()

    assert len(exporter.get_finished_spans()) == 13
    assert len(bad.taken) == len(good.findings) - lost > 0
    provider.shutdown()


def test_a_sink_that_hangs_leaves_exporters_time_to_flush() -> None:
    exporter, sink = InMemorySpanExporter(), FaultySink("hang")
    provider = make_provider(watching(sink), exporting("batch", exporter))
    call(provider.get_tracer("test"))
    assert sink.entered.wait(10)

    began = time.monotonic()
    provider.force_flush(400)

    assert time.monotonic() - began < 0.4
    assert len(exporter.get_finished_spans()) == 1
    sink.mend()
    provider.shutdown()


@pytest.mark.parametrize("hook", ["flush", "close"])
def test_flush_and_shutdown_never_raise(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watching(Kept())
    with monkeypatch.context() as patch:
        patch.setattr(Worker, hook, fail)
        assert watcher.force_flush(100)
        watcher.shutdown()

    assert watcher.worker.counters["hook_errors"] == 1


def test_a_hook_tells_its_first_mistake_and_counts_the_others(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    watcher = watching(Kept())
    tracer = make_provider(watcher).get_tracer("test")
    with monkeypatch.context() as patch:
        patch.setattr(processor, "speaks_agent", fail)
        run(tracer)

    assert watcher.worker.counters["hook_errors"] == 6
    assert [record.getMessage() for record in caplog.records] == ["on_end failed; the span is left as it is"]


def test_a_span_read_in_two_threads_at_once_shows_both_the_same() -> None:
    looking = Looking()
    provider = make_provider(watching(Kept()), looking)
    run(provider.get_tracer("test"))
    shown: list[list[dict[str, Any]]] = []
    gate = threading.Barrier(4)

    def read() -> None:
        gate.wait()
        shown.append([dict(span.attributes or {}) for span, _ in looking.ended])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shown[0] == shown[1] == shown[2] == shown[3]
    assert shown[0][1]["triage.codes"] == ["tool.silent_failure"]
    provider.shutdown()


def test_a_remote_parent_counts_as_the_top_of_this_program() -> None:
    exporter = InMemorySpanExporter()
    provider = make_provider(watching(Kept()), exporting("simple", exporter))
    above = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))))

    provider.get_tracer("test").start_span("execute_tool x", above, attributes=TOOL).end()

    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["triage.agent.tool_calls"] == 1
    provider.shutdown()
