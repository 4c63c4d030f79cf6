"""How much `spantriage serve` takes: spans a second on one core with store and forwarding on, memory, how soon an alert is there.

`python benchmarks/serve.py [SECONDS]`: the service is a process pinned to one core, the sender and the receiver of what it
hands on are others, on the other cores. Everything is on the loopback interface.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SPANS: Final = 512  # in a request, as the SDK's batching exporter sends them
RUNS: Final = 32  # in a request
BAR: Final = 8_000  # spans a second
HEADERS: Final = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
AT_REST: Final = ('spantriage_waiting{place="inbox"}', 'spantriage_waiting{place="outbox"}', "spantriage_live_runs")
WARM_S: Final = 8.0  # until as many runs are live as there will ever be
TEXT: Final = "The report was read and its figures were checked against the table of last year. " * 6


def template() -> ExportTraceServiceRequest:
    """Requests are this one with other ids: 32 runs of 16 spans, agents with models and tools, one tool of which fails."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "benchmark"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("benchmark")
    for number in range(RUNS):
        agent = f"agent {number % 8}"
        with tracer.start_as_current_span(f"invoke_agent {agent}", attributes=_named("invoke_agent", agent)):
            for step in range(SPANS // RUNS // 2):
                chat: dict[str, str | int] = {
                    **_named("chat", agent),
                    "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.provider.name": "openai",
                }
                usage: dict[str, str | int] = {
                    "gen_ai.usage.input_tokens": 900 + step,
                    "gen_ai.usage.output_tokens": 80,
                    "gen_ai.input.messages": _message(step),
                }
                tracer.start_span("chat gpt-4o-mini", attributes=chat | usage | {"gen_ai.output.messages": _message(step)}).end()
                if step == SPANS // RUNS // 2 - 1:
                    break
                failing = number % 8 == 0 and step == 3
                said = "Error: connection refused (503)" if failing else f"{step}: {TEXT[:200]}"
                call = {"gen_ai.tool.name": f"read_{step}", "gen_ai.tool.call.arguments": f'{{"page": {step}}}'}
                call |= {"gen_ai.tool.call.result": said}
                tracer.start_span(f"execute_tool read_{step}", attributes={**_named("execute_tool", agent), **call}).end()
    made: ExportTraceServiceRequest = encode_spans(kept.get_finished_spans())
    return made


def _named(operation: str, agent: str) -> dict[str, str | int]:
    return {"gen_ai.operation.name": operation, "gen_ai.agent.name": agent}


def _message(step: int) -> str:
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"{step} {TEXT}"}]}])


def anew(request: ExportTraceServiceRequest) -> bytes:
    """The same with ids of its own."""
    other = int.from_bytes(os.urandom(6), "big")
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = (int.from_bytes(span.trace_id, "big") ^ other << 64).to_bytes(16, "big")
    return gzip.compress(request.SerializeToString(), 1)


def receive() -> None:
    """A receiver in a process of its own, which takes everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.refused = 0

    def send(self, body: bytes) -> bool:
        """Send a request; False when the service wants us to wait."""
        self._connection.request("POST", "/v1/traces", body, HEADERS)
        answer = self._connection.getresponse()
        answer.read()
        self.refused += answer.status == 429
        return answer.status == 200

    def figures(self) -> dict[str, float]:
        """What `/metrics` says."""
        self._connection.request("GET", "/metrics")
        lines = self._connection.getresponse().read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def throughput(client: Client, pid: int, seconds: float) -> None:
    """Send as fast as is taken, for a time, then wait for the end."""
    source = template()
    bodies = [anew(source) for _ in range(96)]  # made before: the sender is not what is measured
    began, busy, sent, sizes = time.monotonic(), cpu_s(pid), 0, []
    while time.monotonic() - began < seconds:
        if sent and sent % len(bodies) == 0:
            bodies = [anew(source) for _ in range(96)]
        while not client.send(bodies[sent % len(bodies)]):
            time.sleep(0.05)
        sent += 1
        if sent % 16 == 0 and time.monotonic() - began > WARM_S:
            sizes.append(memory_mib(pid))
    while True:
        figures = client.figures()
        if not any(figures[name] for name in AT_REST):
            break
        sizes.append(memory_mib(pid))
        time.sleep(0.1)
    took, busy = time.monotonic() - began, cpu_s(pid) - busy
    spans = sent * SPANS
    third = len(sizes) // 3 or 1
    print(f"{spans:,} spans in {took:.1f} s: {spans / took:,.0f} spans/s taken, judged, stored and handed on (bar: {BAR:,})")
    print(f"of that core {busy / took:.0%} were the service's: {spans / busy:,.0f} spans for each second of it")
    print(
        f"memory: {max(sizes[:third]):,.0f} MiB in the first third, {max(sizes[-third:]):,.0f} MiB in the last; {client.refused} times 429"
    )
    fates = ("accepted", "done", "stored", "lost")
    print("accounts:", {fate: int(figures[f'spantriage_spans_total{{fate="{fate}"}}']) for fate in fates})


def alert(client: Client, findings: Path, tries: int = 20) -> None:
    """How long after a span was sent its finding stands in the file."""
    waits: list[float] = []
    for _ in range(tries):
        body, trace_id = failing_call()
        began = time.monotonic()
        client.send(gzip.compress(body))
        while not any(trace_id.encode() in path.read_bytes() for path in findings.glob("*.jsonl")):
            time.sleep(0.005)
        waits.append(time.monotonic() - began)
    waits.sort()
    print(f"an alert: {waits[len(waits) // 2] * 1e3:.0f} ms after its span was sent, at most {waits[-1] * 1e3:.0f} ms (bar: 1,000)")


def cpu_s(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def failing_call() -> tuple[bytes, str]:
    """A request with one tool call that fails, and its trace id."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    attributes = {**_named("execute_tool", "bot"), "gen_ai.tool.name": "weather", "gen_ai.tool.call.result": "Error: out of order (503)"}
    provider.get_tracer("benchmark").start_span("execute_tool weather", attributes=attributes).end()
    spans = kept.get_finished_spans()
    context = spans[0].context
    assert context is not None
    return encode_spans(spans).SerializeToString(), f"{context.trace_id:032x}"


def main(seconds: float) -> None:
    """Measure, with everything in a folder that is gone afterwards."""
    receiver = subprocess.Popen([sys.executable, __file__, "--receive"], stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    forward = f"http://127.0.0.1:{int(receiver.stdout.readline())}"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        service = subprocess.Popen(
            [sys.executable, "-m", "spantriage", "serve", "--otlp", "127.0.0.1:0", "--store", str(store), "--forward", forward],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        os.sched_setaffinity(service.pid, {0})
        assert service.stderr is not None
        client = Client(int(service.stderr.readline().rpartition(":")[2]))
        try:
            alert(client, store / "findings")
            throughput(client, service.pid, seconds)
        finally:
            service.terminate()
            service.wait()
            receiver.terminate()
            receiver.wait()


if __name__ == "__main__":
    if "--receive" in sys.argv:
        receive()
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
