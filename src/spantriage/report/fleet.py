"""Many runs in a few figures: how often they fail, of what, in whose hands, at what cost. A run is added and let go."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.parallel import Result
from spantriage.sources.talk import mapping

__all__ = ["Cluster", "Fleet", "Part", "analysis_summary", "most"]

NAMES: Final = 5_000  # agents, tools, tasks, days; later ones are counted together
OTHER: Final = "(others)"
CLUSTERS: Final = 10_000
ACTIONS: Final = 50_000
AMOUNTS: Final = 1_000_000  # runs whose cost and time are kept one by one
EXAMPLES: Final = 3
FIRST: Final = 20
GOOD: Final = frozenset({"ok", "passed"})


@dataclass(slots=True)
class Cluster:
    """Runs that failed of the same: code, reason and agent."""

    code: str
    reason: str | None
    agent: str | None
    runs: int = 0
    example: Finding | None = None
    seen: list[str] = field(default_factory=list)  # trace ids of the first of them


@dataclass(slots=True)
class Part:
    """An agent, a tool, a task or a day: how often it was there and how often it failed."""

    number: int = 0  # runs; of a tool, calls
    failed: int = 0
    cost_usd: float = 0.0
    findings: int = 0
    seen: list[str] = field(default_factory=list)  # trace ids of runs in which it failed


@dataclass(slots=True)
class Fleet:
    """The figures of all runs added so far; memory does not grow with their number beyond the caps above."""

    runs: int = 0
    failed: int = 0
    spans: int = 0
    findings: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    by_code: Counter[tuple[str, str]] = field(default_factory=Counter)  # (code, severity) -> findings
    by_category: Counter[str] = field(default_factory=Counter)
    by_subcategory: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    clusters: dict[tuple[str, str | None, str | None], Cluster] = field(default_factory=dict)
    agents: dict[str, Part] = field(default_factory=dict)
    tools: dict[str, Part] = field(default_factory=dict)
    tasks: dict[str, Part] = field(default_factory=dict)
    days: dict[str, Part] = field(default_factory=dict)
    costs: array[float] = field(default_factory=lambda: array("d"))
    durations: array[float] = field(default_factory=lambda: array("d"))
    worst: list[tuple[float, str, str, str]] = field(default_factory=list)  # (score, trace id, source, cause)

    def add(self, result: Result) -> None:
        """Count one run."""
        summary = result.summary
        trace_id, outcome, cost = str(summary["trace_id"]), str(summary["outcome"]), summary["cost_usd"]
        score = summary["failure_score"]
        failed = outcome not in GOOD
        self.runs += 1
        self.failed += failed
        self.outcomes[outcome] += 1
        self.spans += summary["spans"] if isinstance(summary["spans"], int) else 0
        spent = cost if isinstance(cost, float) else None
        if len(self.durations) < AMOUNTS and isinstance(summary["duration_s"], float):
            self.durations.append(summary["duration_s"])
        if len(self.costs) < AMOUNTS and spent is not None:
            self.costs.append(spent)
        _count(self.days, (result.began or "unknown")[:10], failed, trace_id, spent)
        task = mapping(summary["labels"]).get("task_name")
        if isinstance(task, str):
            _count(self.tasks, task, failed, trace_id, spent)
        self._add_agents(mapping(summary["agents"]), trace_id)
        for tool, used in result.tools.items():
            _count(self.tools, tool, used["errors"], trace_id, None, number=used["calls"])
        for finding in result.findings:
            self._add_finding(finding)
        cause = result.primary or max(result.findings, key=_weight, default=None)
        if cause is not None and (failed or result.primary is not None):
            self._add_cluster(cause, trace_id)
        told = f"{cause.code} in {cause.agent}: {cause.summary}" if cause is not None else "nothing was found"
        entry = (score if isinstance(score, float) else 0.0, trace_id, str(summary["source"] or ""), told)
        heapq.heappushpop(self.worst, entry) if len(self.worst) >= FIRST else heapq.heappush(self.worst, entry)

    def _add_agents(self, agents: dict[str, object], trace_id: str) -> None:
        for name, told in agents.items():
            record = mapping(told)
            if not any(record.get(key) for key in ("model_calls", "tool_calls", "input_tokens")):
                continue
            cost = record.get("cost_usd")
            part = _count(self.agents, name, record.get("outcome") not in GOOD, trace_id, cost if isinstance(cost, float) else None)
            part.findings += sum(number for number in mapping(record.get("findings")).values() if isinstance(number, int))

    def _add_finding(self, finding: Finding) -> None:
        if finding.withdrawn:
            return
        self.findings += 1
        self.by_code[finding.code, finding.severity] += 1
        self.by_category[finding.category or "unknown"] += 1
        self.by_subcategory[f"{finding.category or '?'}/{finding.subcategory or '?'}"] += 1
        if finding.actionable.lower() != "none" and (finding.actionable in self.actions or len(self.actions) < ACTIONS):
            self.actions[finding.actionable] += 1

    def _add_cluster(self, cause: Finding, trace_id: str) -> None:
        key = (cause.code, cause.reason, cause.agent)
        if key not in self.clusters and len(self.clusters) >= CLUSTERS:
            key = (cause.code, None, None)
        cluster = self.clusters.setdefault(key, Cluster(*key))
        cluster.runs += 1
        if cluster.example is None or cause.finding_id < cluster.example.finding_id:
            cluster.example = cause
        _keep(cluster.seen, trace_id)


def _weight(finding: Finding) -> tuple[int, float]:
    return RANK[finding.severity], finding.score


def _count(parts: dict[str, Part], name: str, failed: int, trace_id: str, cost: float | None, *, number: int = 1) -> Part:
    part = parts.setdefault(name if name in parts or len(parts) < NAMES else OTHER, Part())
    part.number += number
    part.failed += failed
    part.cost_usd += cost or 0.0
    if failed:
        _keep(part.seen, trace_id)
    return part


def _keep(seen: list[str], trace_id: str) -> None:
    """Remember the first few by id, so that it does not matter in which order runs come."""
    if trace_id not in seen and (len(seen) < EXAMPLES or trace_id < seen[-1]):
        seen.append(trace_id)
        seen.sort()
        del seen[EXAMPLES:]


def most(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts, the largest first; of equals by name."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def analysis_summary(fleet: Fleet) -> dict[str, object]:
    """What `analysis_summary.json` holds: all findings by category and subcategory, and the twenty actions named most often."""
    return {
        "total_findings": fleet.findings,
        "by_category": most(fleet.by_category),
        "by_subcategory": most(fleet.by_subcategory),
        "top_actions": dict(list(most(fleet.actions).items())[:20]),
    }
