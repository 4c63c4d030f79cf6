"""Programs in which it matters what else happens: `python alone.py CASE [ARGUMENT...]`. Each prints one JSON object."""

from __future__ import annotations

import json
import sys
import time
import urllib.request


def own_requests(url: str) -> None:
    """Libraries that send requests are instrumented; our own requests must leave no spans."""
    import requests
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    from opentelemetry.instrumentation.urllib import URLLibInstrumentor
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from programs.agent import run

    from spantriage import attach

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for instrumentor in (RequestsInstrumentor(), URLLibInstrumentor(), URLLib3Instrumentor()):
        instrumentor.instrument(tracer_provider=provider)
    triage = attach(provider=provider, sinks=[f"otlp:{url}"])
    requests.get(url, timeout=5)
    with urllib.request.urlopen(f"{url}/v1/logs", data=b"", timeout=5):
        pass
    theirs = len(exporter.get_finished_spans())
    for _ in range(5):
        run(provider.get_tracer("agents"))
        assert triage.flush()
    names = [span.name for span in exporter.get_finished_spans()]
    print(json.dumps({"theirs": theirs, "all": len(names), "names": sorted(set(names)), "received": triage.status()["self"]["received"]}))


def cost(watched: str) -> None:
    """How much processor time the import takes over that of the SDK."""
    import opentelemetry.sdk.trace  # noqa: F401

    began = time.process_time()
    if watched == "yes":
        pass
    print(json.dumps({"sdk_ms": began * 1e3, "ours_ms": (time.process_time() - began) * 1e3, "loaded": sorted(sys.modules)}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
