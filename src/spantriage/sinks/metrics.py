"""Findings as OpenTelemetry metrics, by the meter provider that the program has; nothing happens while there is none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider, Observation, get_meter_provider

from spantriage import __version__
from spantriage.errors import ConfigError
from spantriage.text import clean

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["MetricsSink", "open"]

AGENTS: Final = 100  # names of agents that become labels; further ones count as "other"
REMEMBERED: Final = 10_000  # findings whose later lines are told from new findings
OTHER: Final = "other"
_SCORES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def open(target: str = "") -> MetricsSink:  # noqa: A001  # what every sink calls it
    """Open the metrics sink; it has no target."""
    if target:
        raise ConfigError(f"sink metrics takes no target, not {target!r}")
    return MetricsSink()


class MetricsSink:
    """Counts findings and what they wasted. A finding that is written again, amended, counts once.

    The meter provider is looked up with the first finding; when the program configures it only later, OpenTelemetry
    connects the instruments then. Pass `provider` to use another than the program's.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        self._provider = provider
        self._instruments: tuple[Counter, Counter, Counter, Counter, Histogram] | None = None
        self._meter: Meter | None = None
        self._seen: OrderedDict[str, tuple[int, float, bool]] = OrderedDict()
        self._agents: set[str] = set()

    def write(self, findings: Sequence[Finding]) -> None:
        """Count a batch."""
        for finding in findings:
            self._count(finding)

    def flush(self, timeout_s: float) -> bool:
        """Nothing is held back here; when metrics are sent is the meter provider's affair."""
        return True

    def close(self, timeout_s: float) -> None:
        """Nothing to let go."""

    def observe(
        self, name: str, read: Callable[[], Mapping[str, float]], *, by: str = "name", unit: str = "1", level: bool = False
    ) -> None:
        """Publish figures that someone else keeps: `observe("triage.dropped", lambda: {"queue_full": 3}, by="reason")`.

        `read` is called when metrics are collected, on any thread. Its figures are totals that only grow, or with
        `level` amounts that go up and down, such as the length of a queue.
        """

        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(figure, {by: label} if label else None) for label, figure in read().items()]

        meter = self._open()
        create = meter.create_observable_gauge if level else meter.create_observable_counter
        create(name, [callback], unit)

    def _count(self, finding: Finding) -> None:
        findings, withdrawn, tokens, cost, score = self._make()
        tokens_before, cost_before, counted = self._seen.get(finding.finding_id, (0, 0.0, False))
        labels = {
            "code": finding.code,
            "category": finding.category,
            "severity": finding.severity,
            "kind": finding.kind,
            "agent": self._label(finding.agent or "unknown"),
        }
        if finding.withdrawn:
            if counted:
                withdrawn.add(1, {"code": finding.code, "agent": labels["agent"]})
        elif not counted:
            findings.add(1, labels)
            score.record(finding.score, {"code": finding.code})
        more_tokens = max(0, (finding.wasted_tokens or 0) - tokens_before)
        more_cost = max(0.0, (finding.wasted_cost_usd or 0.0) - cost_before)
        if more_tokens:
            tokens.add(more_tokens, {"code": finding.code, "agent": labels["agent"]})
        if more_cost:
            cost.add(more_cost, {"code": finding.code, "agent": labels["agent"]})
        self._seen[finding.finding_id] = (tokens_before + more_tokens, cost_before + more_cost, not finding.withdrawn)
        self._seen.move_to_end(finding.finding_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _label(self, agent: str) -> str:
        if agent not in self._agents:
            if len(self._agents) >= AGENTS:
                return OTHER
            self._agents.add(agent)
        return clean(agent)

    def _open(self) -> Meter:
        if self._meter is None:
            self._meter = (self._provider or get_meter_provider()).get_meter("spantriage", __version__)
        return self._meter

    def _make(self) -> tuple[Counter, Counter, Counter, Counter, Histogram]:
        if self._instruments is None:
            meter = self._open()
            self._instruments = (
                meter.create_counter("triage.findings", "{finding}", "Failures found, each once"),
                meter.create_counter("triage.findings.withdrawn", "{finding}", "Findings taken back later"),
                meter.create_counter("triage.wasted_tokens", "{token}", "Tokens that failures cost, where known"),
                meter.create_counter("triage.wasted_cost", "USD", "What failures cost, where known"),
                meter.create_histogram("triage.score", "1", "How likely findings hold", explicit_bucket_boundaries_advisory=_SCORES),
            )
        return self._instruments
