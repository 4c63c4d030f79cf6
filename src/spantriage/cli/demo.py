"""`spantriage demo`: small agents that fail in front of you, offline."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.table import Table

from spantriage import attach
from spantriage.cli.show import STYLES, console, findings_table, inert, record_table
from spantriage.demo.agents import AGENTS, run_agents
from spantriage.demo.server import ModelServer
from spantriage.finding import Finding
from spantriage.reader import fold, read_findings

__all__ = ["demo"]


def demo() -> None:
    """Run six example agents against a model server on this machine and show what is found while they run.

    Example: spantriage demo
    """
    screen = console()
    with tempfile.TemporaryDirectory(prefix="spantriage-demo-") as folder:
        path = Path(folder) / "findings.jsonl"
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
        triage = attach(provider=provider, sinks=[f"jsonl:{path}"])
        seen: set[str] = set()
        printing = threading.Lock()

        def tell(finding: Finding) -> None:
            with printing:
                if finding.finding_id not in seen and finding.severity != "info":
                    seen.add(finding.finding_id)
                    screen.print(inert(f"{finding.severity:8}", style=STYLES[finding.severity]), end=" ")
                    screen.print(inert(f"{finding.code:24} {finding.agent or '?':14} {finding.summary}"))

        triage.on_finding(tell)
        screen.print(f"{len(AGENTS)} agents are running against a model server on this machine. Findings as they come:\n")
        with ModelServer() as server:
            run_agents(server, provider.get_tracer("spantriage.demo"))
        triage.flush()
        provider.force_flush()
        status = triage.status()
        screen.print("\nEach agent's reliability record, from triage.status():\n")
        screen.print(record_table(sorted(status["agents"].items())))
        screen.print("\nWhat was exported on a failing span:\n")
        screen.print(_attributes_table(exporter))
        findings = fold(read_findings(path))
        screen.print("\nFindings on disk, one JSON object a line:\n")
        screen.print(findings_table([finding for finding in findings if finding.severity != "info"]))
        triage.detach()
        provider.shutdown()


def _attributes_table(exporter: InMemorySpanExporter) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    span = next((s for s in exporter.get_finished_spans() if "triage.codes" in (s.attributes or {})), None)
    if span is not None:
        table.add_row("name", inert(span.name))
        for key, value in (span.attributes or {}).items():
            if key.startswith(("triage.", "gen_ai.tool.name", "gen_ai.operation")):
                table.add_row(key, inert(value))
    return table
