"""The mapping that stands in for a span's attributes."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from live import Kept, call, ended, exporting, make_provider, own, watching
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from programs.agent import run

from spantriage.detectors import all_detectors
from spantriage.enrichment import Enriched, describe
from spantriage.model import CODES_KEY, Step, Verdict
from spantriage.record import Record
from spantriage.worker import Worker


def made(own: dict[str, Any], **settings: Any) -> tuple[Enriched, Worker]:
    worker = watching(Kept(), **settings).worker
    return Enriched(own, worker), worker


def verdict(code: str, **more: Any) -> Verdict:
    detector = next(detector for detector in all_detectors() if detector.code == code)
    return Verdict(detector(), Step(1, 2, None, 0, 1, "tool", "t", "genai"), "it failed", **more)


def test_it_is_a_mapping_like_the_one_it_stands_in_for() -> None:
    enriched, _ = made({"a": 1, "b": (2, 3)})

    assert dict(enriched) == {"a": 1, "b": (2, 3)}
    assert (len(enriched), list(enriched), "a" in enriched, "c" in enriched) == (2, ["a", "b"], True, False)
    assert (enriched["b"], enriched.get("c", 5), list(enriched.items())) == ((2, 3), 5, [("a", 1), ("b", (2, 3))])
    assert enriched == {"a": 1, "b": (2, 3)}
    assert repr(enriched) == "{'a': 1, 'b': (2, 3)}"
    assert isinstance(enriched, Mapping)
    with pytest.raises(KeyError):
        enriched["c"]


def test_ours_comes_behind_what_was_there() -> None:
    enriched, _ = made({"z": 1})
    enriched.show([verdict("tool.error")], None)

    assert list(enriched) == ["z", CODES_KEY, "triage.category", "triage.severity", "triage.score", "triage.subcategory"]


def test_asking_whether_there_is_anything_is_not_reading() -> None:
    enriched, worker = made({})
    with worker._gate:
        assert bool(enriched)
        span = ReadableSpan("x", attributes=enriched)
        assert span.attributes is not None

    assert "enrich_timeout" not in worker.counters


def test_what_is_found_after_the_first_reading_comes_too_late() -> None:
    enriched, _ = made({"a": 1})
    assert dict(enriched) == {"a": 1}

    enriched.show([verdict("tool.error")], None)

    assert dict(enriched) == {"a": 1}


def test_nobody_can_write_into_it_more_easily_than_before() -> None:
    enriched, _ = made({"a": 1})

    with pytest.raises(TypeError):
        enriched["b"] = 2
    with pytest.raises(TypeError):
        del enriched["a"]


def test_a_processor_that_unfreezes_attributes_to_write_into_them_still_can() -> None:
    class Writes(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            attributes: Any = span._attributes
            attributes._immutable = False
            attributes["theirs"] = "yes"
            attributes._immutable = True

    exporter = InMemorySpanExporter()
    provider = make_provider(watching(Kept()), Writes(), exporting("simple", exporter))

    call(provider.get_tracer("test"))

    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["theirs"] == "yes"
    assert (span.attributes or {})[CODES_KEY] == ["tool.silent_failure"]
    provider.shutdown()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, BoundedAttributes.copy, Enriched.copy, dict])
def test_a_copy_has_what_it_shows_and_holds_on_to_nothing_of_ours(duplicate: Any) -> None:
    enriched, worker = made({"a": [1]})
    enriched.show([verdict("tool.error")], None)
    expected = {"a": [1], **describe([verdict("tool.error")], None)}

    copied = duplicate(enriched) if duplicate is not BoundedAttributes.copy else enriched.copy()

    assert dict(copied) == expected
    assert worker not in [getattr(copied, name, None) for name in ("_worker",)]


def test_it_counts_what_the_program_lost_to_its_own_limit() -> None:
    assert ReadableSpan("x", attributes=Enriched({}, watching(Kept()).worker, 7)).dropped_attributes == 7
    assert ReadableSpan("x", attributes=Enriched({}, watching(Kept()).worker)).dropped_attributes == 0


def test_the_worst_verdict_speaks_for_the_span_and_every_code_is_named() -> None:
    verdicts = [verdict("tool.silent_failure"), verdict("tool.error", severity="critical", score=0.6), verdict("loop.repeated_call")]

    described = describe(verdicts, None)

    assert described[CODES_KEY] == ["loop.repeated_call", "tool.error", "tool.silent_failure"]
    assert (described["triage.severity"], described["triage.score"]) == ("critical", 0.6)


def test_nothing_found_is_nothing_said() -> None:
    assert describe([], None) == {}
    enriched, _ = made({"a": 1})
    enriched.show([], None)
    assert dict(enriched) == {"a": 1}


def full_record() -> Record:
    """A record in which nothing is unknown."""
    record = Record(
        input_tokens=10, output_tokens=5, cached_tokens=2, reasoning_tokens=1, cost_usd=0.5, wasted_tokens=3, wasted_cost_usd=0.1,
        recovery_ns=10, tool_calls=2, unknown_tools=["launch"], findings={detector.code: 1 for detector in all_detectors()},
    )  # fmt: skip
    for kind in ("model", "tool", "agent"):
        record.add(Step(1, 2, None, 0, 5, kind, "x", "genai"))  # type: ignore[arg-type]  # one of the kinds
    return record


def test_every_attribute_of_ours_is_one_that_exporters_can_encode_and_logfire_does_not_scrub() -> None:
    scrubbing = pytest.importorskip("logfire._internal.scrubbing")
    described = describe([verdict(detector.code) for detector in all_detectors()], full_record())
    scrubbed = scrubbing.re.compile("|".join(scrubbing.DEFAULT_PATTERNS), scrubbing.re.IGNORECASE)

    assert [key for key in described if scrubbed.search(key)] == []
    for value in described.values():
        kinds = {type(each) for each in value} if isinstance(value, list) else {type(value)}
        assert kinds <= {str, bool, int, float}
        assert len(kinds) == 1
    (resource,) = encode_spans([ReadableSpan("x", ended(call)[0].context, attributes=described)]).resource_spans
    assert {attribute.key for attribute in resource.scope_spans[0].spans[0].attributes} == described.keys()


def test_a_reader_and_the_worker_may_come_at_the_same_moment() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    enriched: list[Enriched] = []
    wrong: list[object] = []
    watcher = watching(Kept(), queue_size=100_000)
    try:
        for _ in range(20):
            provider = make_provider(watcher)
            enriched.clear()
            tracer = provider.get_tracer("test")
            for _ in range(30):
                span: Any = tracer.start_span("t", attributes={"gen_ai.operation.name": "execute_tool", "n": 1})
                ended_span = span._readable_span()
                watcher.on_end(ended_span)
                enriched.append(ended_span._attributes)

            def read(shown: list[Enriched] = enriched) -> None:
                for each in shown:
                    try:
                        if own(each) != {"gen_ai.operation.name": "execute_tool", "n": 1}:
                            wrong.append(dict(each))
                    except Exception as error:
                        wrong.append(error)

            readers = [threading.Thread(target=read) for _ in range(3)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
    finally:
        sys.setswitchinterval(before)

    assert wrong == []
    watcher.shutdown()


def test_the_record_on_a_span_is_the_one_at_its_end_and_does_not_change_afterwards() -> None:
    exporter = InMemorySpanExporter()
    provider = make_provider(watching(Kept()), exporting("simple", exporter))
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /"):
        run(tracer)
        first = dict(exporter.get_finished_spans()[-1].attributes or {})
        run(tracer)

    spans = [span for span in exporter.get_finished_spans() if span.name == "invoke_agent bot"]
    assert dict(spans[0].attributes or {}) == first
    assert [(span.attributes or {})["triage.agent.tool_calls"] for span in spans] == [4, 8]
    provider.shutdown()


def test_the_record_on_a_span_read_later_is_still_the_one_at_its_end() -> None:
    exporter = InMemorySpanExporter()
    watcher = watching(Kept())
    provider = make_provider(watcher, exporting("batch", exporter))
    tracer = provider.get_tracer("test")

    with tracer.start_as_current_span("GET /"):
        run(tracer)
        run(tracer)
    watcher.force_flush()
    provider.force_flush()

    spans = [span for span in exporter.get_finished_spans() if span.name == "invoke_agent bot"]
    assert [(span.attributes or {})["triage.agent.tool_calls"] for span in spans] == [4, 8]
    provider.shutdown()
