"""The demo's agents: what their spans say, and what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spantriage
from spantriage.demo import agents
from spantriage.demo.agents import AGENTS, DemoAgent, run_agents
from spantriage.demo.server import ModelServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spantriage.finding import Finding

PLANTED = {
    ("tool.silent_failure", "weather"),
    ("loop.repeated_call", "stock-keeper"),
    ("tool.unknown", "archivist"),
    ("model.truncated_output", "writer"),
    ("model.rate_limited", "translator"),
}


@pytest.fixture(scope="module")
def spans() -> Sequence[ReadableSpan]:
    """Every span of one run of all agents."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with ModelServer() as server:
        run_agents(server, provider.get_tracer("demo"), pace_s=0.02)
    return exporter.get_finished_spans()


def said(span: ReadableSpan, key: str) -> object:
    return (span.attributes or {}).get(key)


def root_of(span: ReadableSpan, spans: Sequence[ReadableSpan]) -> ReadableSpan:
    trace_id = span.context.trace_id if span.context else None
    return next(s for s in spans if s.parent is None and s.context is not None and s.context.trace_id == trace_id)


def test_each_agent_has_a_trace_of_its_own_and_every_step_lies_right_below_its_agent(spans: Sequence[ReadableSpan]) -> None:
    roots = [span for span in spans if span.parent is None]

    assert sorted(str(said(root, "gen_ai.agent.name")) for root in roots) == sorted(agent.name for agent in AGENTS)
    for span in spans:
        root = root_of(span, spans)
        if span is not root:
            assert span.parent == root.context
            assert said(span, "gen_ai.operation.name") in ("chat", "execute_tool")


def test_the_agents_are_at_work_at_the_same_time(spans: Sequence[ReadableSpan]) -> None:
    roots = [span for span in spans if span.parent is None]

    assert max(root.start_time or 0 for root in roots) < min(root.end_time or 0 for root in roots)


def test_only_the_agent_whose_provider_fails_has_an_error_status(spans: Sequence[ReadableSpan]) -> None:
    failed = [span for span in spans if not span.status.is_ok and span.status.status_code.name == "ERROR"]

    assert {said(root_of(span, spans), "gen_ai.agent.name") for span in failed} == {"translator"}
    assert all("429 Too Many Requests" in (span.status.description or "") for span in failed)


def test_the_demo_finds_each_failure_at_its_agent_and_nothing_at_the_healthy_one() -> None:
    provider = TracerProvider()
    findings: dict[str, Finding] = {}
    triage = spantriage.attach(provider=provider, sinks=[])
    triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))
    try:
        with ModelServer() as server:
            run_agents(server, provider.get_tracer("demo"), pace_s=0)
        assert triage.flush(timeout_s=5)
        outcomes = {name: record["outcome"] for name, record in triage.status()["agents"].items()}
    finally:
        triage.detach()

    assert sorted((f.code, str(f.agent)) for f in findings.values() if not f.withdrawn) == sorted(PLANTED)
    assert (outcomes["researcher"], outcomes["translator"]) == ("ok", "error")


def test_a_fault_of_an_agent_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(query: str) -> str:
        raise ZeroDivisionError(query)

    monkeypatch.setattr(agents, "AGENTS", (DemoAgent("broken", "ok", "Why?", "divide", "query", broken),))
    with ModelServer() as server, pytest.raises(ZeroDivisionError):
        run_agents(server, TracerProvider().get_tracer("demo"), pace_s=0)
