"""Findings through a real Logfire, which sends nothing anywhere. Prints what its log processors were handed, as JSON."""

from __future__ import annotations

import json
import sys
import threading

import logfire
from finding_samples import finding, judged
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spantriage.detectors import all_detectors
from spantriage.sinks import open_sink


def write(sinks, findings) -> None:
    """As the worker does: on a thread of its own; and under suppression, which Logfire obeys."""

    def work() -> None:
        with logfire.suppress_instrumentation():
            for sink in sinks:
                sink.write(findings)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def main(order: str) -> None:
    exporter, reader = InMemoryLogRecordExporter(), InMemoryMetricReader()
    sinks = [open_sink("otlp"), open_sink("metrics")]
    codes = [
        finding(finding_id=f"{number:016x}", code=detector.code, category=detector.category, subcategory=detector.subcategory)
        for number, detector in enumerate(all_detectors())
    ]
    full = finding(
        trial_name="t",
        task_name="u",
        outcome="failed",
        wasted_tokens=5,
        wasted_cost_usd=0.5,
        reason="ReadTimeout",
        subcategory="wrong_tool",
    )

    def configure() -> None:
        logfire.configure(
            send_to_logfire=False,
            console=False,
            inspect_arguments=False,
            metrics=logfire.MetricsOptions(additional_readers=[reader]),
            advanced=logfire.AdvancedOptions(log_record_processors=[SimpleLogRecordProcessor(exporter)]),
        )

    if order == "late":
        write(sinks, judged())
        configure()
    else:
        configure()
    with logfire.span("the agent"):
        write(sinks, [*judged(), full, *codes])
    flushed = [sink.flush(2) for sink in sinks]
    records = [
        {
            "trace_id": f"{log.log_record.trace_id:032x}",
            "span_id": f"{log.log_record.span_id:016x}",
            "event_name": log.log_record.event_name,
            "body": log.log_record.body,
            "attributes": dict(log.log_record.attributes or {}),
        }
        for log in exporter.get_finished_logs()
    ]
    found = reader.get_metrics_data()
    names = [m.name for r in found.resource_metrics for s in r.scope_metrics for m in s.metrics] if found else []
    json.dump({"version": logfire.VERSION, "records": records, "metrics": names, "flushed": flushed, "full": full.model_dump()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
