"""The service's figures as Prometheus reads them, and each agent's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spantriage.serve.service import Service
from spantriage.text import clean, clip

__all__ = ["exposition"]

AGENTS: Final = 100  # that become labels, those with most steps; the others count as "other"
LABEL_CAP: Final = 100  # characters
FATES: Final = ("accepted", "done", "lost", "rejected", "recalled", "stored", "enriched")
# Metric -> figure of `Service.accounts` by label. Those named "waiting" go up and down, the others only grow.
SPANS: Final = (
    (
        "spantriage_spans",
        "Spans by what became of them",
        "fate",
        ("accepted", "done", "lost", "rejected", "recalled", "stored", "enriched"),
    ),
    ("spantriage_forwarded_spans", "Spans handed on", "fate", ("forward.sent.spans", "forward.refused.spans", "forward.rejected.spans")),
    ("spantriage_forwarded_findings", "Findings handed on", "fate", ("forward.sent.findings", "forward.refused.findings")),
    ("spantriage_forward_requests", "Requests sent, and those that failed", "fate", ("forward.requests", "forward.attempts_failed")),
)
WAITING: Final = (("inbox", "waiting"), ("outbox", "forward.waiting"))
AGENT: Final = (
    ("steps", "Steps"),
    ("model_calls", "Model calls"),
    ("tool_calls", "Tool calls"),
    ("tool_errors", "Tool calls that failed"),
    ("input_tokens", "Tokens read by models"),
    ("output_tokens", "Tokens written by models"),
    ("cost_usd", "Cost in US dollars"),
)


def exposition(service: Service) -> bytes:
    """The text of `/metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(service))
    text: bytes = generate_latest(registry)
    return text


class _Figures(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        service, accounts = self._service, self._service.accounts()
        for name, words, label, figures in SPANS:
            yield _counter(name, words, label, ((key.split(".")[-2 if "." in key else 0], accounts.get(key, 0)) for key in figures))
        waiting = GaugeMetricFamily("spantriage_waiting", "Spans on disk that wait", labels=["place"])
        for place, key in WAITING:
            waiting.add_metric([place], accounts.get(key, 0))
        yield waiting
        answers = ((status, number) for status, number in sorted(service.counters.items()) if status.isdecimal())
        yield _counter("spantriage_requests", "Requests by HTTP status", "status", answers)
        yield GaugeMetricFamily("spantriage_held", "1 while nothing can be written", value=float(bool(service.road.held)))
        told = service.worker.status()
        yield GaugeMetricFamily("spantriage_live_runs", "Runs that go on", value=told["runs"]["live"])
        yield _counter("spantriage_self", "What the worker counts of itself", "name", told["self"].items())
        yield from _agents(told["agents"])


def _counter(name: str, words: str, label: str, figures: Iterable[tuple[str, float]]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, figure in figures:
        family.add_metric([key], figure)
    return family


def _agents(agents: dict[str, dict[str, object]]) -> Iterator[Metric]:
    most = sorted(agents.items(), key=lambda agent: -_figure(agent[1], "steps"))
    for field, words in AGENT:
        family = CounterMetricFamily(f"spantriage_agent_{field}", words, labels=["agent"])
        for name, record in most[:AGENTS]:
            family.add_metric([clip(clean(name), LABEL_CAP)], _figure(record, field))
        if rest := most[AGENTS:]:
            family.add_metric(["other"], sum(_figure(record, field) for _, record in rest))
        yield family
    family = CounterMetricFamily("spantriage_findings", "Findings by code", labels=["agent", "code"])
    for name, record in most[:AGENTS]:
        found = record.get("findings")
        for code, number in found.items() if isinstance(found, dict) else ():
            family.add_metric([clip(clean(name), LABEL_CAP), code], number)
    yield family


def _figure(record: dict[str, object], field: str) -> float:
    value = record.get(field)
    return float(value) if isinstance(value, (int, float)) else 0.0
