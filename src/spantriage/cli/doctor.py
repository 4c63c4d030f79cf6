"""`spantriage doctor`: does it work here?"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

import orjson
import typer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.table import Table

from spantriage import __version__
from spantriage.attachment import Triage
from spantriage.cli.scan import Format
from spantriage.cli.show import console, inert
from spantriage.config import Settings, load_settings
from spantriage.placing import probe
from spantriage.processor import TriageProcessor
from spantriage.sinks import open_sink, shown

__all__ = ["doctor"]

NEEDED: Final = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "pydantic", "orjson")
WELCOME: Final = ("logfire", "logfire-sdk", "typer", "rich", "zstandard")
Check = tuple[str, bool, str]


def doctor(form: Annotated[Format, typer.Option("--format", help="table or json")] = Format.table) -> None:
    """Check this installation: versions, settings, sinks, and one span of our own sent through and looked at as it is exported.

    Exits 2 when something does not work. Example: spantriage doctor
    """
    checks = [*_versions(), *_settings(), *_pipeline()]
    if form is Format.json:
        sys.stdout.write(orjson.dumps([{"check": n, "ok": ok, "detail": d} for n, ok, d in checks]).decode() + "\n")
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, ok, detail in checks:
            table.add_row(inert("ok" if ok else "FAILED", style="green" if ok else "red"), name, inert(detail, 400))
        console().print(table)
    if not all(ok for _, ok, _ in checks):
        raise typer.Exit(2)


def _versions() -> Iterator[Check]:
    yield "spantriage", True, __version__
    yield "python", sys.version_info >= (3, 11), platform.python_version()
    for package in (*NEEDED, *WELCOME):
        try:
            yield package, True, version(package)
        except PackageNotFoundError:
            yield package, package not in NEEDED, "not installed"


def _settings() -> Iterator[Check]:
    try:
        settings = load_settings()
    except ValueError as error:
        yield "settings", False, str(error)
        return
    yield "settings", True, ", ".join(f"{name}={getattr(settings, name)!r}" for name in ("enrich", "grace_s", "idle_s", "queue_size"))
    for spec in settings.sinks:
        try:
            open_sink(spec).close(1.0)
        except Exception as error:
            yield f"sink {shown(spec)}", False, str(error)
        else:
            yield f"sink {shown(spec)}", True, "opens"


def _pipeline() -> Iterator[Check]:
    """Send a tool call that fails silently through a real provider and exporter."""
    yield "enrichment strategy", probe(), "replaced attributes reach exporters" if probe() else "observe only: this SDK does not show them"
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    triage = Triage(TriageProcessor(sinks=[], settings=Settings()))
    triage.settle_in(provider)
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "probe", "gen_ai.tool.call.result": "Error: probe"}
    provider.get_tracer("spantriage.doctor").start_span("execute_tool probe", attributes=attributes).end()
    provider.force_flush()
    shown = str([(span.attributes or {}).get("triage.codes") for span in exporter.get_finished_spans()])
    accounts = triage.status()["self"]
    triage.detach()
    provider.shutdown()
    yield "a span sent through", shown == "[['tool.silent_failure']]", f"exported with triage.codes={shown}"
    yield "accounts", accounts["received"] == 1, ", ".join(f"{name}={number}" for name, number in accounts.items())
