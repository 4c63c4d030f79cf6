"""What the page shows: the latest runs with their steps, every agent's record, the findings as they come. Bounded, and all of it text."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from spantriage.text import clean, clip

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.live_run import LiveRun
    from spantriage.model import Step
    from spantriage.worker import Worker

__all__ = ["Board"]

FINDINGS: Final = 500
RUNS: Final = 50
STEPS: Final = 300  # of one run's timeline
AGENTS: Final = 200
NAME_CAP: Final = 120
LOOK_S: Final = 1.0  # how often it looks, however many watch
SHOWN: Final = ("outcome", "steps", "model_calls", "tool_calls", "tool_errors", "input_tokens", "output_tokens", "cost_usd", "red_flags")


class Board:
    """A sink that remembers the latest findings, and a look at the worker that all who watch share."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._mutex = threading.Lock()
        self._findings: OrderedDict[str, tuple[int, Finding]] = OrderedDict()
        self._number = 0
        self._runs: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._state: dict[str, Any] = {}
        self._looked = 0.0

    def write(self, findings: Sequence[Finding]) -> None:
        """Remember findings; a later version takes the place of the earlier."""
        with self._mutex:
            for finding in findings:
                self._number += 1
                self._findings[finding.finding_id] = self._number, finding
                self._findings.move_to_end(finding.finding_id)
                if len(self._findings) > FINDINGS:
                    self._findings.popitem(last=False)

    def flush(self, timeout_s: float) -> bool:
        """Nothing is held back."""
        return True

    def close(self, timeout_s: float) -> None:
        """Nothing to let go."""

    def since(self, number: int) -> tuple[int, list[Finding]]:
        """The findings that came after this number, and the number of the last."""
        with self._mutex:
            return self._number, [finding for at, finding in self._findings.values() if at > number]

    def state(self) -> dict[str, Any]:
        """Agents and runs, at most so old as LOOK_S; the same object until it is looked at again."""
        with self._mutex:
            if time.monotonic() - self._looked >= LOOK_S:
                agents = self._worker.status()["agents"]
                for live in self._worker.latest_runs(RUNS):
                    told = _run(live)
                    self._runs[told["trace_id"]] = told
                    self._runs.move_to_end(told["trace_id"])
                while len(self._runs) > RUNS:
                    self._runs.popitem(last=False)
                shown = [
                    {"agent": _text(name), **{key: record.get(key) for key in SHOWN}} for name, record in islice(agents.items(), AGENTS)
                ]
                self._state = {"agents": shown, "runs": list(reversed(self._runs.values()))}
                self._looked = time.monotonic()
            return self._state


def _run(live: LiveRun) -> dict[str, Any]:
    steps = sorted(live.run.steps.copy().values(), key=lambda step: step.order)
    begin = min((step.start_ns for step in steps), default=0)
    end = max((step.end_ns for step in steps), default=0)
    return {
        "trace_id": f"{live.run.trace_id:032x}",
        "ended": live.run.root_ended,
        "outcome": None if live.judgement is None else live.judgement.outcome,
        "start_ms": begin // 1_000_000,
        "duration_s": round((end - begin) / 1e9, 3),
        "agents": sorted({_text(step.agent) for step in steps if step.agent})[:10],
        "number": len(steps),
        "steps": [_step(step, begin) for step in steps[:STEPS]],
    }


def _step(step: Step, begin: int) -> dict[str, Any]:
    """A step of a timeline: times in seconds from the run's beginning."""
    return {
        "name": _text(step.name),
        "kind": step.kind,
        "agent": _text(step.agent),
        "at_s": round((step.start_ns - begin) / 1e9, 4),
        "for_s": round(step.duration_ns / 1e9, 4),
        "failed": step.failed or step.sign not in ("ok", "echo", "stop", "tool_calls"),
        "span_id": f"{step.span_id & (1 << 64) - 1:016x}",
    }


def _text(said: str | None) -> str:
    return clip(clean(said or ""), NAME_CAP)
