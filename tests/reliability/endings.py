"""Programs whose ending is what matters: `python endings.py CASE [ARGUMENT...]`."""

from __future__ import annotations

import atexit
import json
import sys
import time
from typing import Any

# Exit handlers run last in, first out: this one is the last to run.
atexit.register(lambda: print(json.dumps({"left": time.monotonic()}), flush=True))

from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from programs.agent import run  # noqa: E402


def provider() -> TracerProvider:
    made = TracerProvider()
    trace.set_tracer_provider(made)
    return made


def tell_end() -> None:
    """The program's own end, on the clock that all processes share."""
    print(json.dumps({"end": time.monotonic()}), flush=True)


def own_sink(url: str, path: str) -> None:
    """We send findings to a collector ourselves, and to a file."""
    from spantriage import attach

    made = provider()
    attach(provider=made, sinks=[f"otlp:{url}", f"jsonl:{path}"])
    for _ in range(20):
        run(made.get_tracer("agents"))
    tell_end()


def programs_logs(url: str, kind: str, watched: str, talks: str) -> None:
    """The program has a logger provider, through which findings go by default."""
    from opentelemetry._logs import LogRecord, get_logger, set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor

    made = provider()
    logs = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs", timeout=2)
    logs.add_log_record_processor(BatchLogRecordProcessor(exporter) if kind == "batch" else SimpleLogRecordProcessor(exporter))
    set_logger_provider(logs)
    if watched == "yes":
        import spantriage.auto

        assert spantriage.auto.TRIAGE is not None
    run(made.get_tracer("agents"))
    if talks == "yes":
        get_logger("program").emit(LogRecord(body="the program's own words"))
    tell_end()


def hanging_sink() -> None:
    """A sink of the program's own that never comes back."""
    from faulty_sink import FaultySink

    from spantriage import attach

    made = provider()
    attach(provider=made, sinks=[FaultySink("hang")])
    run(made.get_tracer("agents"))
    tell_end()


def many_runs() -> None:
    """More to judge than there is time for."""
    from spantriage import attach

    made = provider()
    attach(provider=made, sinks=[], queue_size=1_000_000)
    tracer = made.get_tracer("agents")
    for _ in range(1_500):
        run(tracer)
    tell_end()


class Dies:
    """Ends a span when the interpreter clears it away."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self.tracer = tracer

    def __del__(self) -> None:
        self.tracer.start_span("execute_tool late", attributes={"gen_ai.operation.name": "execute_tool"}).end()


KEPT: list[Any] = []


def late(path: str) -> None:
    """Spans end in exit handlers of every age, after the provider's shutdown, and when objects are cleared away."""
    from spantriage import attach

    def fail(name: str) -> None:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.result": "Error: not today"}
        tracer.start_span(f"execute_tool {name}", attributes=attributes).end()

    atexit.register(lambda: fail("after the provider"))
    made = provider()
    tracer = made.get_tracer("agents")
    atexit.register(lambda: fail("before we came"))
    attach(provider=made, sinks=[f"jsonl:{path}"])
    atexit.register(lambda: fail("before the first span"))
    fail("in time")
    atexit.register(lambda: fail("after the first span"))
    KEPT.append(Dies(tracer))


def shut_down(path: str) -> None:
    """Spans end after the provider was shut down in the middle of the program."""
    from spantriage import attach

    made = provider()
    triage = attach(provider=made, sinks=[f"jsonl:{path}"])
    run(made.get_tracer("agents"))
    made.shutdown()
    run(made.get_tracer("agents"))
    assert triage.flush()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
