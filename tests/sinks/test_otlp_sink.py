"""Findings as log events: through a real SDK, over a real socket, under a real Logfire."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from finding_samples import batch, finding, judged
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter, SimpleLogRecordProcessor

from spantriage.errors import SinkError
from spantriage.sinks import open_sink, otlp
from spantriage.sinks.otlp import FOR_LOGFIRE, OtlpSink, attributes_of

FULL = finding(
    agent="writer",
    trial_name="trial-1",
    task_name="task-1",
    outcome="failed",
    wasted_tokens=120,
    wasted_cost_usd=0.25,
    reason="ReadTimeout",
    subcategory="wrong_tool",
    primary=True,
    source="run.jsonl",
)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoggerProvider]:
    """The program's logger provider; the global may be set only once in a process, so the look-up is turned here."""
    made = LoggerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(otlp, "get_logger_provider", lambda: made)
    yield made
    made.shutdown()


@pytest.fixture
def exporter(provider: LoggerProvider) -> InMemoryLogRecordExporter:
    made = InMemoryLogRecordExporter()
    provider.add_log_record_processor(SimpleLogRecordProcessor(made))
    return made


def test_a_finding_is_an_evaluation_event_in_the_context_of_its_span(exporter: InMemoryLogRecordExporter) -> None:
    open_sink("otlp").write([FULL])
    (log,) = exporter.get_finished_logs()
    record = log.log_record
    assert record.event_name == "gen_ai.evaluation.result"
    assert f"{record.trace_id:032x}" == FULL.trace_id
    assert f"{record.span_id:016x}" == FULL.span_id
    assert record.trace_flags.sampled
    assert record.body == "evaluation: tool.error='tool_issue'"
    assert record.timestamp == int(datetime.fromisoformat(FULL.time).timestamp() * 1_000_000) * 1_000
    assert dict(record.attributes or {}) == {
        "gen_ai.evaluation.name": "tool.error",
        "gen_ai.evaluation.score.value": FULL.score,
        "gen_ai.evaluation.score.label": "tool_issue",
        "gen_ai.evaluation.explanation": FULL.summary,
        "gen_ai.evaluation.target": "writer",
        "gen_ai.evaluation.evaluator.version": FULL.detector_version,
        "gen_ai.evaluation.evaluator.source": '{"name":"tool.error","arguments":null}',
        "triage.finding.id": FULL.finding_id,
        "triage.severity": FULL.severity,
        "triage.kind": "incident",
        "triage.subcategory": "wrong_tool",
        "triage.primary": True,
        "triage.root_cause": FULL.root_cause,
        "triage.actionable": FULL.actionable,
        "triage.reason": "ReadTimeout",
        "triage.outcome": "failed",
        "triage.trial": "trial-1",
        "triage.task": "task-1",
        "triage.source": "run.jsonl",
        "triage.wasted.usage": 120,
        "triage.wasted.cost_usd": 0.25,
        "triage.evidence.spans": tuple(e.span_id for e in FULL.evidence),
    }
    assert log.instrumentation_scope is not None
    assert log.instrumentation_scope.name == "spantriage"


def test_what_is_unknown_is_left_out_except_the_agent() -> None:
    found = attributes_of(finding(agent=None, reason=None, wasted_tokens=None))
    assert found["gen_ai.evaluation.target"] == "unknown"
    assert not {"triage.reason", "triage.wasted.usage"} & found.keys()
    assert None not in found.values()


@pytest.mark.parametrize(("severity", "number"), [("info", 9), ("warning", 13), ("error", 17), ("critical", 21)])
def test_the_severity_of_a_finding_is_that_of_its_event(exporter: InMemoryLogRecordExporter, severity: str, number: int) -> None:
    open_sink("otlp").write([finding(severity=severity)])
    (log,) = exporter.get_finished_logs()
    assert log.log_record.severity_number == SeverityNumber(number)


def test_the_span_that_happens_to_be_current_has_no_say(exporter: InMemoryLogRecordExporter) -> None:
    other = trace.NonRecordingSpan(trace.SpanContext(5, 6, is_remote=False, trace_flags=trace.TraceFlags(0)))
    token = otel_context.attach(trace.set_span_in_context(other, Context({"suppress_instrumentation": True})))
    try:
        open_sink("otlp").write([FULL])
    finally:
        otel_context.detach(token)
    (log,) = exporter.get_finished_logs()
    assert f"{log.log_record.span_id:016x}" == FULL.span_id


def test_without_a_logger_provider_nothing_happens() -> None:
    sink = open_sink("otlp")
    sink.write(judged())
    assert sink.flush(0.1)
    sink.close(0.1)


def test_a_provider_that_is_configured_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = [LoggerProvider(shutdown_on_exit=False) for _ in range(2)]
    exporters = [InMemoryLogRecordExporter() for _ in providers]
    sink = open_sink("otlp")
    sink.write([FULL])
    for made, exporter in zip(providers, exporters, strict=True):
        made.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        monkeypatch.setattr(otlp, "get_logger_provider", lambda made=made: made)
        sink.write([FULL])
    assert [len(exporter.get_finished_logs()) for exporter in exporters] == [1, 1]
    for made in providers:
        made.shutdown()


def test_a_finding_that_is_no_event_does_not_take_the_others_with_it(exporter: InMemoryLogRecordExporter) -> None:
    sink = OtlpSink()
    broken = [finding(trace_id="zz"), finding(span_id="0" * 17 + "f" * 17), finding(severity="odd"), finding(time="yesterday")]
    sink.write([FULL, *broken, FULL])
    assert len(exporter.get_finished_logs()) >= 2
    assert 3 <= sink.dropped <= 4


def test_flushing_sends_what_the_providers_processors_hold(provider: LoggerProvider) -> None:
    exporter = InMemoryLogRecordExporter()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=60_000))
    sink = open_sink("otlp")
    sink.write(judged())
    assert not exporter.get_finished_logs()
    assert sink.flush(2)
    assert len(exporter.get_finished_logs()) == len(judged())


def test_a_provider_that_hangs_does_not_hold_the_flush(provider: LoggerProvider) -> None:
    class Hanging(InMemoryLogRecordExporter):
        def export(self, batch):
            release.wait()
            return super().export(batch)

    release = threading.Event()
    provider.add_log_record_processor(BatchLogRecordProcessor(Hanging(), schedule_delay_millis=60_000))
    sink = open_sink("otlp")
    sink.write(judged())
    started = time.monotonic()
    assert not sink.flush(0.1)
    assert not sink.flush(0.1)
    assert time.monotonic() - started < 2
    release.set()
    assert sink.flush(5)


class Collector(ThreadingHTTPServer):
    """A collector on loopback: keeps the requests, answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status = 200
        self.paths: list[str] = []
        self.records: list[object] = []
        self.resources: list[dict[str, str]] = []
        self.arrived = threading.Condition()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def wait_for(self, requests: int) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.paths) >= requests, 10)


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        collector = self.server
        with collector.arrived:
            collector.paths.append(self.path)
            if collector.status == 200:
                for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                    collector.resources.append({a.key: a.value.string_value for a in logs.resource.attributes})
                    collector.records += [record for scope in logs.scope_logs for record in scope.log_records]
            collector.arrived.notify_all()
        self.send_response(collector.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_collector_receives_real_otlp(collector: Collector) -> None:
    sink = open_sink(f"otlp:{collector.url}")
    sink.write([FULL, finding(summary="half a \ud800 pair")])
    assert sink.flush(5)
    assert collector.paths == ["/v1/logs"]
    record, mended = collector.records
    assert record.event_name == "gen_ai.evaluation.result"
    assert record.trace_id.hex() == FULL.trace_id
    assert record.span_id.hex() == FULL.span_id
    assert record.severity_number == 13
    values = {a.key: a.value for a in record.attributes}
    assert values["gen_ai.evaluation.name"].string_value == "tool.error"
    assert values["triage.wasted.usage"].int_value == 120
    assert [v.string_value for v in values["triage.evidence.spans"].array_value.values] == [e.span_id for e in FULL.evidence]
    assert "half a ? pair" in {a.value.string_value for a in mended.attributes}
    assert collector.resources[0]["telemetry.sdk.language"] == "python"
    sink.close(1)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://h:4318", "http://h:4318/v1/logs"),
        ("https://h/", "https://h/v1/logs"),
        ("https://h/otlp/", "https://h/otlp/v1/logs"),
        ("http://h/v1/logs", "http://h/v1/logs"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/logs"),
    ],
)
def test_the_logs_signal_is_found_below_the_collectors_address(url: str, endpoint: str) -> None:
    assert otlp._endpoint(url) == endpoint


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://h:4317", "http://", "http://h:notaport", "http://[::1", "nonsense"])
def test_a_target_that_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(SinkError, match="URL"):
        open_sink(f"otlp:{url}")


def test_a_refused_target_does_not_give_its_password_away() -> None:
    with pytest.raises(SinkError) as raised:
        open_sink("otlp:ftp://someone:hunter2@host/")
    assert "hunter2" not in str(raised.value)


def test_a_collector_that_comes_back_gets_everything_once(collector: Collector) -> None:
    sink = OtlpSink(collector.url, timeout_s=0.5)
    collector.status = 500
    sink.write(batch(3))
    assert collector.wait_for(1)
    assert not sink.flush(0.05)
    collector.status = 200
    sink.write(batch(2, 3))
    assert sink.flush(10)
    ids = [a.value.string_value for record in collector.records for a in record.attributes if a.key == "triage.finding.id"]
    assert ids == [f"{i:016x}" for i in range(5)]
    assert sink.dropped == 0
    sink.close(1)


def refused_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_a_dead_collector_holds_up_neither_writing_nor_closing(kind: str) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        sink = OtlpSink(refused_url() if kind == "refused" else f"http://127.0.0.1:{hole.getsockname()[1]}", timeout_s=3)
        sink.write(batch(1))  # makes the provider
        started = time.monotonic()
        for number in range(50):
            sink.write(batch(100, number))
        wrote = time.monotonic()
        assert not sink.flush(0.3)
        sink.close(0.2)
        closed = time.monotonic()
    assert wrote - started < 3
    assert closed - wrote < 2
    assert sink.dropped >= 2_500


def test_the_request_to_the_collector_is_not_traced(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    sink = open_sink(f"otlp:{collector.url}")
    sink.write([FULL])
    assert sink.flush(5)
    from opentelemetry.exporter.http.transport._requests import RequestsHTTPTransport

    request = RequestsHTTPTransport.request

    def spy(self, *arguments, **named):
        keys = [key for key, value in otel_context.get_current().items() if "suppress_instrumentation" in key and value]
        seen.append(len(keys) == 2)
        return request(self, *arguments, **named)

    monkeypatch.setattr(RequestsHTTPTransport, "request", spy)
    sink.write([FULL])
    assert sink.flush(5)
    assert seen == [True]
    sink.close(1)


def test_a_closed_sink_works_again_with_the_next_finding(collector: Collector) -> None:
    sink = open_sink(f"otlp:{collector.url}")
    for _ in range(2):
        sink.write([FULL])
        sink.close(5)
    assert len(collector.records) == 2


def test_a_first_finding_at_the_end_of_the_process_still_arrives(collector: Collector, run: Callable[..., str]) -> None:
    assert run("at_exit.py", collector.url).strip() == "True"
    assert len(collector.records) == len(judged())


@pytest.mark.parametrize("order", ["early", "late"])
def test_under_logfire_events_arrive_whole_in_their_trace(order: str, run: Callable[..., str]) -> None:
    pytest.importorskip("logfire")
    told = json.loads(run("under_logfire.py", order, environment={"LOGFIRE_IGNORE_NO_CONFIG": "1"}))
    records = told["records"]
    first, full = records[: len(judged())], records[len(judged())]
    for record, found in zip(first, judged(), strict=True):
        expected = json.loads(json.dumps(attributes_of(found)))
        assert (record["trace_id"], record["span_id"]) == (found.trace_id, found.span_id)
        assert record["event_name"] == "gen_ai.evaluation.result"
        assert record["attributes"] == expected
    assert {*full["attributes"]} == {*attributes_of(FULL)} - {"triage.primary", "triage.source"}
    assert not [record for record in records if "Scrubbed" in json.dumps(record)]
    assert not {*FOR_LOGFIRE} & {record["attributes"]["gen_ai.evaluation.name"] for record in records}
    assert told["flushed"] == [True, True]
    assert "triage.findings" in told["metrics"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the collector's thread; what it holds does not matter to the child
def test_a_forked_child_sends_its_own_and_only_its_own(collector: Collector) -> None:
    read, write = os.pipe()
    sink = open_sink(f"otlp:{collector.url}")
    sink.write(batch(1))
    assert sink.flush(5)
    pid = os.fork()
    if not pid:
        try:
            sink.write(batch(1, 7))
            os.write(write, b"y" if sink.flush(5) else b"n")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 1) == b"y"
    os.close(read)
    os.close(write)
    sink.write(batch(1, 1))
    assert sink.flush(5)
    ids = [a.value.string_value for record in collector.records for a in record.attributes if a.key == "triage.finding.id"]
    assert ids == [f"{i:016x}" for i in (0, 7, 1)]
    sink.close(1)
