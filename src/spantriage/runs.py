"""The runs that are live: what came of each, when it is complete, which findings it has already given.

A run is complete when its root has ended and `grace_s` passed, when nothing came for `idle_s`, when the process ends,
or when there are too many. A span that comes later opens it again; the findings are then amended under the same ids.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import SpanContext, StatusCode

from spantriage import dialects, prices, text
from spantriage.budget import Guard
from spantriage.config import Settings
from spantriage.detectors import Detector
from spantriage.ended import Ended
from spantriage.engine import Engine, Judgement
from spantriage.enrichment import Enriched
from spantriage.excuses import excuse
from spantriage.joining import BARE, LINKS, Joiner
from spantriage.live_run import LiveRun
from spantriage.model import Step, Verdict
from spantriage.open_spans import OpenSpans
from spantriage.record import Record
from spantriage.run import Run, shorten
from spantriage.settled import Settled
from spantriage.state import RunState
from spantriage.subtree import Subtrees
from spantriage.totals import Totals, add

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["Runs"]

SECOND_NS: Final = 1_000_000_000
KEPT_SETTLED: Final = 500  # judged runs that wait for late spans
LINGER_S: Final = 10.0  # how long they wait
ABANDONED_S: Final = 3_600.0  # how long they wait when the root has not ended: a call to a model, or to a person, may take long


class Runs:
    """Live runs by key, least recently touched first. Used by one thread at a time."""

    def __init__(self, settings: Settings, detectors: tuple[Detector, ...], counters: Counter[str], traces: OrderedDict[int, None]) -> None:
        self.open = OpenSpans()
        self.guard = Guard()
        self.live: OrderedDict[int, LiveRun] = OrderedDict()
        self.totals = Totals()
        self._settings = settings
        self.engine = Engine(detectors)
        self._counters = counters
        self._traces = traces
        self._findings: list[Finding] = []
        self._joiner = Joiner(settings.max_runs)
        self.farewell: Callable[[LiveRun], None] | None = None  # told of each run that is let go

    def take(self, context: SpanContext, parent: SpanContext | None, enriched: Enriched | None, span: Ended | None, now_ns: int) -> None:
        """Take in an ended span: read it if it is an agent's, judge it as far as can be now, put the verdict where the span shows it."""
        self.open.end(context.span_id)
        is_root = parent is None or parent.is_remote
        live = self._run_of(context.trace_id, now_ns)
        self.open.stir(live.run.trace_id, now_ns)
        live.run.root_ended, live.last_ns = live.run.root_ended or is_root, now_ns
        step = None
        if span is not None:
            scope, failed = span.instrumentation_scope, span.status.status_code is StatusCode.ERROR
            known = text.bare(span.attributes)
            step = dialects.read(span, known, "" if scope is None else scope.name, failed)
        if span is None or step is None:
            above = None if parent is None else parent.span_id
            live.run.pass_through(context.span_id, above)
            live.early.pass_through(context.span_id, above)
            if enriched is not None and live.run.steps:
                enriched.show([], live.early.total())
            return
        self._traces[context.trace_id] = None  # again, if its run was let go before this
        dialects.read_content(step, span, known, live.run.history)
        live.bare = live.bare and is_root and step.kind in BARE
        if live.bare or span.links:
            live = self._join(live, step, span)
        self._add(live, step, enriched, is_root)

    def _join(self, live: LiveRun, step: Step, span: Ended) -> LiveRun:
        """The run that the step belongs to: an earlier bare call that this one continues, a trace that it links to, or its own."""
        joiner = self._joiner
        linked = [link.context.trace_id for link in span.links] if 0 < len(span.links) <= LINKS else []
        before = {joiner.leader(trace_id) for trace_id in (step.trace_id, *linked)}
        for trace_id in linked:
            joiner.link(step.trace_id, trace_id)
        leader = joiner.key(step, bare=True) if live.bare else joiner.leader(step.trace_id)
        for key in sorted(before - {leader}):
            moved = self.live.pop(key, None)
            target = self.live.get(leader)
            if moved is not None and target is None:
                self.live[leader] = moved
            elif moved is not None and target is not None:
                target.take_over(moved)
        return self.live.get(leader, live)

    def _run_of(self, trace_id: int, now_ns: int) -> LiveRun:
        trace_id = self._joiner.leader(trace_id)
        live = self.live.get(trace_id)
        if live is not None:
            self.live.move_to_end(trace_id)
            return live
        live = self.live[trace_id] = LiveRun(Run(trace_id), Subtrees(RunState(trace_id), self._settings.max_steps), now_ns)
        if len(self.live) > self._settings.max_runs:
            self._let_go(next(iter(self.live)), "evicted")
        return live

    def _add(self, live: LiveRun, step: Step, enriched: Enriched | None, is_root: bool) -> None:
        shorten(step)
        if not live.run.add(step, self._settings.max_steps):
            self._counters["duplicate" if step.span_id in live.run.steps else "dropped.span_limit"] += 1
            return
        live.judgement = None
        live.version += 1
        sign, cost_usd = step.sign, step.cost_usd
        if prices.is_loaded():  # else the import would be waited for by whoever reads the span
            prices.fill_costs((step,))
        if self.guard.budgets and live.early.counts(step):
            self.guard.take(self.leader(step.trace_id), step.agent or self.open.near(step), step)
        verdicts, record = live.early.feed(step, self.engine)
        # What is an echo, and which of two stacked model spans is the call, is found out again when the run is judged.
        step.sign, step.cost_usd = sign, cost_usd
        if enriched is not None:
            shown = record if step.kind == "agent" else live.early.total() if is_root else None
            enriched.show([verdict for verdict in verdicts if verdict.step is step], shown)
        for verdict in verdicts:
            verdict.near = verdict.near or self.open.near(step)
            self._give(live, verdict)

    def leader(self, trace_id: int) -> int:
        """The trace that stands for the run of this one."""
        return self._joiner.leader(trace_id)

    def hand_over(self, findings: list[Finding]) -> None:
        """Let findings that belong to no live run leave with the others."""
        self._findings += findings

    def due(self, now_ns: int) -> list[tuple[LiveRun, int]]:
        """Runs that are complete and not judged yet, with the number of things that each has."""
        grace_ns, idle_ns = self._settings.grace_s * SECOND_NS, self._settings.idle_s * SECOND_NS
        return [
            (live, live.version)
            for live in self.live.values()
            if live.judgement is None and now_ns - live.last_ns >= (grace_ns if live.run.root_ended else idle_ns)
        ]

    def judge(self, live: LiveRun) -> Judgement | None:
        """Judge a run; None when that fails. May run while others add to it."""
        try:
            return self.engine.judge(live.run)
        except Exception:  # what is wrong with one run must not keep the others from being judged
            excuse(self._counters, "judge_errors", "a run could not be judged; what was found in it at once stands")
            return None

    def conclude(self, live: LiveRun, judgement: Judgement | None, version: int) -> None:
        """Give the findings of a judged run, unless something has come to it in the meantime: then it will be due again."""
        if version != live.version:
            return
        if judgement is None:
            trace_id = live.run.trace_id
            live.judgement = Judgement(live.run, Settled(trace_id, [], {}, {}, None), live.early.state, [], None, "unknown", 0.0)
            return
        live.judgement = judgement
        confirmed = {self._give(live, verdict, primary=verdict is judgement.primary) for verdict in judgement.verdicts}
        for verdict in live.take_back(confirmed):
            self._give(live, verdict)

    def forget(self, now_ns: int) -> None:
        """Let go of judged runs that nothing more is expected of, and of the oldest of too many."""
        settled = [(key, live) for key, live in self.live.items() if live.judgement is not None]
        rooted_ns = (self._settings.grace_s + LINGER_S) * SECOND_NS
        rootless_ns = (self._settings.idle_s + ABANDONED_S) * SECOND_NS
        for number, (key, live) in enumerate(settled):
            waited_ns = now_ns - live.last_ns
            if waited_ns >= (rooted_ns if live.run.root_ended else rootless_ns) or number < len(settled) - KEPT_SETTLED:
                self._let_go(key, "idle")

    def settle_rooted(self, until: float) -> bool:
        """Judge runs whose root has ended without waiting for late spans; False when the time is up first (monotonic clock)."""
        for live in self.live.values():
            if live.judgement is None and live.run.root_ended:
                if time.monotonic() > until:
                    return False
                self.conclude(live, self.judge(live), live.version)
        return True

    def settle_all(self, until: float) -> bool:
        """Judge everything there is and let it go; False when the time is up first."""
        for key in list(self.live):
            if time.monotonic() > until:
                return False
            self._let_go(key, "shutdown")
        return True

    def take_findings(self) -> list[Finding]:
        """What is new since the last call."""
        findings, self._findings = self._findings, []
        return findings

    def records(self) -> Iterator[tuple[str, Record]]:
        """Each agent's record over finished and live runs."""
        merged = self.totals.copy()
        for live in self.live.values():
            add(merged, live.records())
        yield from sorted(merged.items())

    def clear(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        self.live.clear()
        self.totals.clear()
        self.open.clear()
        self.guard.clear()
        self.farewell = None
        self._traces.clear()
        self._joiner = Joiner(self._settings.max_runs)
        self._findings.clear()

    def _give(self, live: LiveRun, verdict: Verdict, *, primary: bool = False) -> str:
        try:
            finding_id, finding = live.say(verdict, primary=primary)
        except ValueError:  # a detector's score or severity that is none
            excuse(self._counters, "finding_errors", f"a verdict of {verdict.code} is no finding")
            return ""
        if finding is not None:
            self._findings.append(finding)
        return finding_id

    def _let_go(self, key: int, reason: str) -> None:
        live = self.live[key]
        if live.judgement is None:
            self.conclude(live, self.judge(live), live.version)
        if live.judgement is not None:
            self.engine.past.add(live.judgement.settled)
        self._counters[f"runs_ended.{reason if not live.run.root_ended or reason == 'evicted' else 'root'}"] += 1
        del self.live[key]
        self.guard.forget(key)
        for trace_id in {live.run.trace_id, *(step.trace_id for step in live.run.steps.values())}:
            self._traces.pop(trace_id, None)
        if forgotten := self.totals.take(live.records()):
            self._counters["agents_forgotten"] += forgotten
        if self.farewell is not None:
            self.farewell(live)
