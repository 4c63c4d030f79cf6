"""A loopback OTLP/HTTP receiver: the real exporters talk to it, tests look at what arrived."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(v) for v in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def attributes_of(attributes: Any) -> dict[str, Any]:
    return {a.key: value_of(a.value) for a in attributes}


class Receiver:
    """`with Receiver() as receiver:` then `receiver.url`; `receiver.spans` and `receiver.events` hold what came."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        self.answers = 200  # another status: what comes is not taken
        self.asked = 0  # requests that came
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with outer.arrived:
                    status = outer.answers
                    outer.asked += 1
                    if status == 200:
                        outer.take(self.path, body)
                    outer.arrived.notify_all()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.append({"name": span.name, "span_id": span.span_id.hex(), "attributes": attributes_of(span.attributes)})
        elif path.endswith("/logs"):
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        event = record.event_name or attributes_of(record.attributes).get("event.name")
                        self.events.append(
                            {
                                "event": event,
                                "trace_id": record.trace_id.hex(),
                                "span_id": record.span_id.hex(),
                                "attributes": attributes_of(record.attributes),
                            }
                        )

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something holds of what has come."""
        with self.arrived:
            assert self.arrived.wait_for(condition, timeout_s), (len(self.spans), self.events, self.asked)

    def span(self, name: str) -> dict[str, Any]:
        """The attributes of the last span of this name that is no pending copy."""
        found = [s for s in self.spans if s["name"] == name and s["attributes"].get("logfire.span_type") != "pending_span"]
        assert found, f"no span {name!r} among {sorted({s['name'] for s in self.spans})}"
        attributes: dict[str, Any] = found[-1]["attributes"]
        return attributes

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
