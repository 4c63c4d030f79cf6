"""Attaching to the tracer provider that exists, before the processors that export; never making or replacing one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

from opentelemetry import trace

from spantriage import __version__
from spantriage.budget import Budget, OnExceeded
from spantriage.config import load_settings
from spantriage.errors import AttachError
from spantriage.placing import has_another, place, probe
from spantriage.processor import TriageProcessor

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.sinks import Sink
    from spantriage.store.live import StoreProcessor

__all__ = ["Triage", "attach", "enter", "watch_provider"]

LOG: Final = logging.getLogger("spantriage")
FINDINGS_BYTES: Final = 1 << 40  # a store's files of findings are not rotated: their time comes with their day's


class Triage:
    """The handle of an attached processor."""

    def __init__(self, processor: TriageProcessor, *, yields: bool = False, store: str = "") -> None:
        self.processor = processor
        self.store = open_store(store, processor) if store else None
        self.strategy = "waiting"  # then "replace" (verdicts on spans), "observe" (findings only), "yielded" or "detached"
        processor.yields = yields  # to one of ours that was asked for with settings of its own
        self._homes: list[Any] = []  # groups of processors that we are in

    def on_finding(self, callback: Callable[[Finding], object]) -> None:
        """Call `callback` with each finding, on the worker's thread; what it raises is counted and goes no further."""
        from spantriage.sinks.callback import CallbackSink

        self.processor.worker.add_sink(CallbackSink(callback))

    def budget(
        self,
        *,
        usd: float = 0.0,
        tokens: int = 0,
        steps: int = 0,
        repeats: int = 0,
        wall_s: float = 0.0,
        per: Literal["agent", "run"] = "agent",
        agent: str | None = None,
        on_exceeded: OnExceeded | None = None,
    ) -> None:
        """Watch what an agent, or with `per="run"` all agents of a run together, may use in one run; 0 is any amount.

        `repeats` are calls of one tool in a row with the same arguments and result. `on_exceeded(agent, what, used, limit)`
        is called once for each limit and run, on a thread of ours; nothing is raised into the agent, which asks `should_stop`.
        """
        self.processor.worker.add_budget(Budget(usd, tokens, steps, repeats, wall_s, per, agent, on_exceeded))

    def should_stop(self, agent: str) -> bool:
        """Say whether a budget of this agent is used up: for its own loop, before each turn. Never raises.

        Asked inside a span it answers for the run that the span belongs to, else for all live runs of the agent.
        """
        return self.processor.worker.should_stop(agent)

    def status(self) -> dict[str, Any]:
        """Each agent's reliability record so far, the live runs, and what spantriage says of itself."""
        kept = {} if self.store is None else {"store": self.store.status()}
        return {"version": __version__, "strategy": self.strategy, **self.processor.worker.status(), **kept}

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Judge the runs whose root has ended, deliver every finding, write spans to the store; False when that took too long."""
        flushed = self.processor.worker.flush(timeout_s)
        return (self.store is None or self.store.force_flush(int(timeout_s * 1_000))) and flushed

    def detach(self) -> None:
        """Take the processor out again, after a last flush."""
        for home in self._homes:
            with home._lock:
                home._span_processors = tuple(p for p in home._span_processors if p not in (self.processor, self.store))
        self._homes.clear()
        self.strategy = "detached"
        self.processor.shutdown()
        self.processor.worker.close_sinks(self.processor.settings.exit_s)
        if self.store is not None:
            self.store.shutdown()

    def settle_in(self, provider: object) -> bool:
        """Put the processor first in `provider`; False when that is none that we know how to enter."""
        if self.processor.yields and has_another(provider, self.processor):
            self.strategy = "yielded"
            return True
        if self.store is not None:
            place(provider, self.store)  # first, and then behind the one that judges
        home, first = place(provider, self.processor)
        if home is None:
            return False
        self._homes.append(home)
        self.strategy = "replace" if first and probe() else "observe"
        if self.strategy == "observe":
            self.processor.enriches = False
            LOG.warning("spans cannot be enriched with this OpenTelemetry SDK; findings are given all the same")
        return True


def attach(
    *,
    provider: object | None = None,
    sinks: Iterable[str | Sink] | None = None,
    store: str | os.PathLike[str] | None = None,
    **settings: object,
) -> Triage:
    """Watch the agents of this program. Without `provider` the global one, or the next that is set.

    `store` is a folder in which every span and finding is kept for questions: `FOLDER` or `FOLDER?content=yes&keep_days=30`.
    Raises ConfigError for a setting, SinkError and StoreError for a sink or store that was asked for and cannot be had,
    AttachError for a `provider` that has no span processors.
    """
    loaded = load_settings({**settings, "store": store})
    triage = Triage(TriageProcessor(sinks=sinks, settings=loaded), store=loaded.store)
    if provider is not None:
        if not triage.settle_in(provider):
            raise AttachError(f"{type(provider).__name__} has no span processors; give a TracerProvider of the OpenTelemetry SDK")
        return triage
    watch_provider(triage)
    return triage


def open_store(said: str, processor: TriageProcessor) -> StoreProcessor:
    """A store for spans, and for the findings of `processor`. Raises StoreError or ConfigError."""
    from spantriage.sinks.jsonl import JsonlSink
    from spantriage.store.live import StoreProcessor
    from spantriage.store.packing import keep_days
    from spantriage.store.target import read_target

    target = read_target(said)
    store = StoreProcessor(target.folder, content=target.content)
    if target.keep_days is not None:
        keep_days(store.folder, target.keep_days)
    processor.worker.add_sink(JsonlSink(store.folder / "findings" / "findings.jsonl", shared=False, max_bytes=FINDINGS_BYTES))
    return store


def watch_provider(triage: Triage) -> None:
    """Settle in the global provider, now or when it is set, and again when Logfire is configured anew."""
    current = trace.get_tracer_provider()
    if not isinstance(current, trace.ProxyTracerProvider):
        enter(triage, current)
        return
    original = trace._set_tracer_provider

    def set_and_enter(tracer_provider: trace.TracerProvider, log: bool) -> None:
        original(tracer_provider, log)
        try:
            if triage.strategy == "waiting":
                enter(triage, trace.get_tracer_provider())
        except Exception:
            LOG.warning("could not attach to the tracer provider", exc_info=True)

    trace._set_tracer_provider = set_and_enter


def enter(triage: Triage, provider: object) -> None:
    """Settle in, and follow a provider that can be configured anew."""
    if not triage.settle_in(provider):
        LOG.debug("%s has no span processors to join", type(provider).__name__)
        return
    config = getattr(provider, "config", None)
    initialize = getattr(config, "initialize", None)
    if config is None or initialize is None or not hasattr(provider, "set_provider"):
        return

    def initialize_and_enter() -> None:
        initialize()
        try:
            if triage.strategy != "detached":
                triage.settle_in(provider)
        except Exception:
            LOG.warning("could not attach after Logfire was configured again", exc_info=True)

    config.initialize = initialize_and_enter
