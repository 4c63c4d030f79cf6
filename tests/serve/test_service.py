"""Spans of a real SDK, through the service, to the store, the sinks and the next receiver."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from live import FOUND, WEATHER, Kept, ended, watching
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from programs.agent import run
from receiver import Receiver
from serving import JSON, ask, json_of, listening, make_service, post, program, request_of, until

from spantriage.errors import ConfigError, StoreError
from spantriage.queries.asking import query
from spantriage.serve.service import Limits, need_key
from spantriage.store.layout import create


def test_spans_of_an_sdk_are_judged_enriched_and_handed_on_with_their_findings(tmp_path: Path) -> None:
    kept = Kept()
    with Receiver() as upstream:
        service = make_service(tmp_path, sinks=[kept], forward=upstream.url)
        with listening(service) as port:
            provider = program(port)
            run(provider.get_tracer("test"))
            provider.shutdown()
            kept.wait_for(lambda found: {f.code for f in found} >= FOUND)
            upstream.wait_for(lambda: len(upstream.spans) == 6 and len(upstream.events) >= 2)
    assert upstream.span(WEATHER)["triage.codes"] == ["tool.silent_failure"]
    assert upstream.span(WEATHER)["gen_ai.tool.call.result"].startswith("Error")
    assert upstream.span("invoke_agent bot")["triage.agent.tool_calls"] == 4
    assert {event["attributes"]["gen_ai.evaluation.name"] for event in upstream.events} >= FOUND
    assert {event["trace_id"] for event in upstream.events} == {kept.findings[0].trace_id}
    told = service.accounts()
    assert told["accepted"] == told["done"] == told["forward.sent.spans"] == 6
    assert told["forward.waiting"] == told["waiting"] == 0


def test_the_findings_are_those_of_a_live_program(tmp_path: Path) -> None:
    spans = ended()
    here = Kept()
    processor = watching(here, journal="off")
    for span in spans:
        processor.on_end(span)
    processor.shutdown()
    there = Kept()
    service = make_service(tmp_path, sinks=[there])
    with listening(service) as port:
        for span in reversed(spans):  # each in a request of its own, in the wrong order
            assert post(port, encode_spans([span]).SerializeToString())[0] == 200
    left_out = {"time"}
    live = {key: finding.model_dump(exclude=left_out) for key, finding in here.last.items() if finding.severity != "info"}
    assert {key: finding.model_dump(exclude=left_out) for key, finding in there.last.items() if finding.severity != "info"} == live


def test_what_is_stored_can_be_asked_with_its_verdicts(tmp_path: Path) -> None:
    store = tmp_path / "store"
    service = make_service(tmp_path, store=str(store), state="")
    with listening(service) as port:
        assert post(port, request_of())[0] == 200
    found = query("select span_name, attributes->>'triage.severity' as said from records where span_name = 'execute_tool weather'", store)
    assert found.to_pylist() == [{"span_name": WEATHER, "said": "warning"}]
    assert {row["code"] for row in query("select code from findings", store).to_pylist()} >= FOUND
    assert service.accounts()["stored"] == 6


def test_json_is_taken_as_protobuf_is(tmp_path: Path) -> None:
    kept = Kept()
    service = make_service(tmp_path, sinks=[kept])
    body = json_of(request_of())
    with listening(service) as port:
        status, answer, headers = ask(port, "POST", "/v1/traces", gzip.compress(body), {**JSON, "Content-Encoding": "gzip"})
        assert (status, json.loads(answer), headers["content-type"]) == (200, {}, "application/json")
        kept.wait_for(lambda found: {f.code for f in found} >= FOUND)


def test_a_span_without_ids_is_rejected_and_the_others_are_taken(tmp_path: Path) -> None:
    request = ExportTraceServiceRequest.FromString(request_of())
    request.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = bytes(16)
    service = make_service(tmp_path)
    with listening(service) as port:
        status, answer, _ = post(port, request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (status, partial.rejected_spans, "span id" in partial.error_message) == (200, 2, True)
    assert (service.accounts()["accepted"], service.accounts()["rejected"]) == (4, 2)


def test_a_key_is_asked_for_where_there_is_one(tmp_path: Path) -> None:
    service = make_service(tmp_path, key="open sesame")
    with listening(service, local=False) as port:
        status, _, headers = post(port, request_of())
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert post(port, request_of(), Authorization="Bearer open sesam")[0] == 401
        assert ask(port, "GET", "/metrics")[0] == 401
        assert post(port, request_of(), Authorization="Bearer open sesame")[0] == 200
        assert ask(port, "GET", "/healthz")[0] == 200
    assert service.accounts()["accepted"] == 6


def test_a_place_that_others_can_reach_needs_a_key() -> None:
    need_key("127.0.0.1", "")
    with pytest.raises(ConfigError, match="SPANTRIAGE_SERVE_KEY"):
        need_key("0.0.0.0", "")


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with pytest.raises(StoreError, match="another process"):
        make_service(tmp_path)
    service.close(1.0)


def test_figures_are_told_to_prometheus(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        post(port, request_of())
        until(lambda: service.accounts()["done"] == 6)
        status, text, headers = ask(port, "GET", "/metrics")
    lines = text.decode().splitlines()
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'spantriage_spans_total{fate="accepted"} 6.0' in lines
    assert 'spantriage_agent_tool_calls_total{agent="bot"} 4.0' in lines
    assert 'spantriage_findings_total{agent="bot",code="tool.silent_failure"} 1.0' in lines


def test_an_agents_name_cannot_break_the_figures(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        post(port, request_of(lambda tracer: run(tracer, 'a"} 7\nevil_total 1\x1b[2J')))
        until(lambda: service.accounts()["done"] == 6)
        _, text, _ = ask(port, "GET", "/metrics")
    assert not [line for line in text.decode().splitlines() if line.startswith("evil_total")]
    assert b"\x1b" not in text


def test_the_service_is_healthy_until_nothing_can_be_written(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        assert ask(port, "GET", "/healthz")[0] == 200
        service.road.held = "store: full"
        status, said, _ = ask(port, "GET", "/healthz")
        assert (status, json.loads(said)["held"]) == (503, "store: full")
        service.road.held = ""


def test_too_much_that_waits_is_refused_until_there_is_room(tmp_path: Path) -> None:
    body = request_of()
    service = make_service(tmp_path, limits=Limits(inbox_bytes=len(body) * 3))
    with listening(service) as port:
        service.worker._gate._lock.acquire()  # the worker is busy for long: nothing is processed
        try:
            answers = [post(port, body) for _ in range(5)]
        finally:
            service.worker._gate._lock.release()
        statuses = [status for status, _, _ in answers]
        assert statuses.count(429) >= 2
        assert answers[-1][2]["retry-after"] == "2"
        until(lambda: service.accounts()["waiting"] == 0)
        assert post(port, body)[0] == 200
        accepted = [*statuses, 200].count(200) * 6
    assert service.accounts()["accepted"] == service.accounts()["done"] == accepted


def test_the_store_is_made_where_there_is_none(tmp_path: Path) -> None:
    service = make_service(tmp_path, store=str(tmp_path / "new"), state="")
    service.close(1.0)
    assert create(tmp_path / "new").is_dir()
    assert (tmp_path / "new" / "serve" / "inbox").is_dir()
