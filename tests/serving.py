"""What the tests of the service share: one that listens, and programs and clients that send to it."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from google.protobuf import json_format
from live import ended, make_provider
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from spantriage.config import Settings
from spantriage.serve.service import Service
from spantriage.serve.web import make_app

FAST = (0.01,)
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
QUICK = Settings(grace_s=0.05, journal="off")


def make_service(tmp_path: Path, **given: Any) -> Service:
    """A service that reads no setting from outside."""
    return Service(**{"settings": QUICK, "sinks": [], "state": tmp_path / "state", "backoff_s": FAST, **given})


@contextmanager
def listening(service: Service, **given: Any) -> Iterator[int]:
    """The port at which the service listens until the end of the block, and then is closed."""
    server = uvicorn.Server(uvicorn.Config(make_app(service, **given), log_level="error", lifespan="on", timeout_graceful_shutdown=1))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def ask(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def post(port: int, body: bytes, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Send a request of spans."""
    return ask(port, "POST", "/v1/traces", body, {**PROTOBUF, **{name.replace("_", "-"): value for name, value in headers.items()}})


def program(port: int, **headers: str) -> TracerProvider:
    """A provider whose spans go to the service by the SDK's own exporter."""
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces", headers=headers or None)
    return make_provider(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))


def request_of(work: Any = None) -> bytes:
    """An export request with the spans of the example agent, or of `work`."""
    found: bytes = encode_spans(ended(work) if work is not None else ended()).SerializeToString()
    return found


def json_of(request: bytes) -> bytes:
    """The same request in OTLP's JSON, where ids are hex."""
    found = json_format.MessageToDict(ExportTraceServiceRequest.FromString(request))

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            ids = {"traceId", "spanId", "parentSpanId"}
            return {key: base64.b64decode(each).hex() if key in ids else hexed(each) for key, each in value.items()}
        return [hexed(each) for each in value] if isinstance(value, list) else value

    return json.dumps(hexed(found)).encode()


def until(condition: Any, timeout_s: float = 10.0) -> None:
    """Wait for something that tells nobody when it comes to hold."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        threading.Event().wait(0.01)
