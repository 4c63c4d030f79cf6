"""Findings as metrics, through a real SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from finding_samples import batch, finding, judged
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from spantriage.errors import ConfigError
from spantriage.sinks import open_sink
from spantriage.sinks.metrics import AGENTS, MetricsSink

Points = dict[tuple[tuple[str, object], ...], float]


class Meters:
    """A meter provider whose figures can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def read(self, name: str) -> Points:
        found = self.reader.get_metrics_data()
        metrics = [m for r in found.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name] if found else []
        return {
            tuple(sorted((p.attributes or {}).items())): getattr(p, "value", getattr(p, "count", 0))
            for m in metrics
            for p in m.data.data_points
        }

    def total(self, name: str) -> float:
        return sum(self.read(name).values())


@pytest.fixture
def meters() -> Iterator[Meters]:
    made = Meters()
    yield made
    made.provider.shutdown()


def test_findings_are_counted_by_what_and_whose_they_are(meters: Meters) -> None:
    MetricsSink(meters.provider).write([*batch(2), finding(finding_id="x", agent="writer", severity="error")])
    points = meters.read("triage.findings")
    assert sum(points.values()) == 3
    labels = {"agent": "writer", "category": "tool_issue", "code": "tool.error", "kind": "incident", "severity": "error"}
    assert points[tuple(sorted(labels.items()))] == 1
    assert meters.total("triage.score") == 3


def test_an_amended_finding_counts_once_and_its_waste_grows(meters: Meters) -> None:
    sink = MetricsSink(meters.provider)
    for tokens, cost in ((100, 0.1), (250, 0.4), (200, 0.2)):
        sink.write([finding(finding_id="x", wasted_tokens=tokens, wasted_cost_usd=cost)])
    assert meters.total("triage.findings") == 1
    assert meters.total("triage.wasted_tokens") == 250
    assert meters.total("triage.wasted_cost") == pytest.approx(0.4)


def test_a_withdrawn_finding_is_counted_as_such(meters: Meters) -> None:
    sink = MetricsSink(meters.provider)
    gone = finding(finding_id="x", severity="info", score=0.0)
    sink.write([finding(finding_id="x"), gone, gone, finding(finding_id="y", severity="info", score=0.0)])
    assert meters.total("triage.findings") == 1
    assert meters.total("triage.findings.withdrawn") == 1


def test_the_number_of_agents_in_labels_is_bounded(meters: Meters) -> None:
    sink = MetricsSink(meters.provider)
    sink.write([finding(finding_id=str(i), agent=f"agent-{i}") for i in range(AGENTS + 50)])
    points = meters.read("triage.findings")
    assert len(points) == AGENTS + 1
    assert next(value for labels, value in points.items() if ("agent", "other") in labels) == 50


def test_without_a_meter_provider_nothing_happens() -> None:
    sink = open_sink("metrics")
    sink.write(judged())
    assert sink.flush(0)
    sink.close(0)


def test_figures_that_others_keep_are_read_when_metrics_are_collected(meters: Meters) -> None:
    dropped = {"queue_full": 0, "late": 2}
    sink = MetricsSink(meters.provider)
    sink.observe("triage.dropped", lambda: dropped, by="reason")
    sink.observe("triage.live_runs", lambda: {"": 7}, level=True)
    dropped["queue_full"] = 3
    assert meters.read("triage.dropped") == {(("reason", "queue_full"),): 3, (("reason", "late"),): 2}
    assert meters.read("triage.live_runs") == {(): 7}


def test_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="no target"):
        open_sink("metrics:somewhere")
