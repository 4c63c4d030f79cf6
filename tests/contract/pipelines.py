"""Programs that export their spans in every usual way: `python pipelines.py PIPELINE ORDER URL FOLDER`.

Each is a program as its author would write it, plus one line, `import spantriage.auto`: the first or the last of it, or
none where the pipeline names us itself. What arrives at URL is what the tests look at.
"""

from __future__ import annotations

import json
import sys
from typing import Any

TOKEN = "pylf_v1_us_" + "x" * 40


def plain(url: str, kind: str) -> Any:
    from opentelemetry import trace
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter) if kind == "simple" else BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/v1/logs")))
    set_logger_provider(logs)
    return provider


def plain_batch(url: str) -> None:
    plain(url, "batch")


def plain_simple(url: str) -> None:
    plain(url, "simple")


def given_to_provider(url: str) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from spantriage import TriageProcessor

    provider = TracerProvider()
    provider.add_span_processor(TriageProcessor(sinks=[f"otlp:{url}"]))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    trace.set_tracer_provider(provider)


def wrapped_exporter(url: str) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from spantriage import TriageExporter

    provider = TracerProvider()
    inner = OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(TriageExporter(inner, sinks=[f"otlp:{url}"])))
    trace.set_tracer_provider(provider)


def configure(url: str, **more: Any) -> None:
    import logfire

    options = {"token": TOKEN, "send_to_logfire": True, "advanced": logfire.AdvancedOptions(base_url=url), **more}
    logfire.configure(console=False, metrics=False, inspect_arguments=False, **options)


def logfire_sent(url: str) -> None:
    configure(url)


def logfire_tail_sampled(url: str) -> None:
    import logfire

    configure(url, sampling=logfire.SamplingOptions.level_or_duration(level_threshold="info", duration_threshold=0.0))


def logfire_twice(url: str) -> None:
    configure(url)
    run()
    configure(url)


def logfire_given(url: str) -> None:
    from spantriage import TriageProcessor

    configure(url, additional_span_processors=[TriageProcessor(sinks=[f"otlp:{url}"])])


def logfire_unsent(url: str) -> None:
    """Logfire keeps everything at home; a processor of the program's own exports."""
    import logfire
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    configure(
        url,
        token=None,
        send_to_logfire=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"))],
        advanced=logfire.AdvancedOptions(log_record_processors=[BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/v1/logs"))]),
    )


def instrumented(url: str) -> None:
    """Nothing: `opentelemetry-instrument` has set everything up."""


def run() -> None:
    from opentelemetry import trace
    from programs.agent import run as run_agent

    run_agent(trace.get_tracer("agents"))


def main(pipeline: str, order: str, url: str) -> None:
    if order == "first":
        import spantriage.auto
    globals()[pipeline](url)
    if order == "last":
        import spantriage.auto
    run()
    found = None if order == "none" else spantriage.auto.TRIAGE
    if found is not None:
        print(json.dumps({"strategy": found.strategy, **found.status()["self"]}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
