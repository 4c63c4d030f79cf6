"""Agents' and model calls' spans that have started and not ended: who is at work, and what seems to hang."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from spantriage import text
from spantriage.model import Kind, Step
from spantriage.semconv import OPERATIONS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import SpanContext

__all__ = ["CAP", "OpenSpan", "OpenSpans"]

CAP: Final = 50_000  # spans remembered
TRIES: Final = 3  # to look at all while others start
RUNS: Final = 50_000  # runs of which we remember when something last ended
SECOND_NS: Final = 1_000_000_000

# What the start says: the span's context, its agent if that is a name, the span itself as long as somebody could still end it.
# As it comes, in a plain tuple, since one is made for each span on the thread where it starts.
Started = tuple["SpanContext", object, "ref[SdkSpan]"]


class OpenSpan(NamedTuple):
    """A span that is open, as its start tells it."""

    trace_id: int
    agent: str | None
    span: SdkSpan

    @property
    def span_id(self) -> int:
        """The span's own."""
        context: Any = self.span._context
        span_id: int = context.span_id
        return span_id

    def step(self, sign: str, end_ns: int) -> Step:
        """The span as a step that failed with this sign, as long as it has lasted."""
        span: Any = self.span
        own = getattr(span._attributes, "_dict", {})
        operation = own.get("gen_ai.operation.name")
        kind: Kind = OPERATIONS.get(operation, "agent") if type(operation) is str else "agent"
        parent = span._parent
        return Step(
            self.trace_id,
            self.span_id,
            None if parent is None else parent.span_id,
            span._start_time or end_ns,
            end_ns,
            kind,
            span._name,
            "live",
            sign=sign,
            agent=self.agent,
            tool=text.name(own.get("gen_ai.tool.name")),
            model=text.name(own.get("gen_ai.request.model")),
        )


class OpenSpans:
    """By span id, oldest first. Written where spans start, without a lock; read and emptied by the worker."""

    def __init__(self) -> None:
        self.spans: dict[int, Started] = {}
        self._active: OrderedDict[int, int] = OrderedDict()  # run -> monotonic ns

    def forget_oldest(self) -> None:
        """There are too many. Never raises."""
        with suppress(StopIteration, RuntimeError):  # others are starting and ending at this moment
            self.spans.pop(next(iter(self.spans)), None)

    @property
    def latest(self) -> int | None:
        """The span that started last, if that can be told."""
        with suppress(RuntimeError):
            return next(reversed(self.spans), None)
        return None

    def agent_of(self, span_id: int) -> str | None:
        """The agent's name that an open span has told at its start."""
        started = self.spans.get(span_id)
        return started[1] if started is not None and type(started[1]) is str else None

    def end(self, span_id: int) -> None:
        """A span has ended."""
        self.spans.pop(span_id, None)

    def stir(self, run: int, now_ns: int) -> None:
        """Something of this run has ended now."""
        active = self._active
        active[run] = now_ns
        if len(active) > RUNS:
            active.popitem(last=False)

    def near(self, step: Step) -> str | None:
        """The open agent above a step: its parent, or the only one at work in its trace."""
        above = self.agent_of(step.parent_id or 0)
        if above is not None:
            return above
        names = self.at_work(step.trace_id)
        return names.pop() if len(names) == 1 else None

    def at_work(self, trace_id: int) -> set[str]:
        """The agents with open spans in a trace."""
        return {agent for _, (context, agent, _) in self._known() if type(agent) is str and context.trace_id == trace_id}

    def agents(self) -> dict[str, int]:
        """All agents with open spans, and the trace of the one that started last."""
        return {agent: context.trace_id for _, (context, agent, _) in self._known() if type(agent) is str}

    def all(self) -> list[OpenSpan]:
        """Those that are really open; one that nobody can end any more, or whose end was lost in a full queue, is let go."""
        found = []
        for span_id, (context, agent, held) in self._known():
            span = held()
            if span is not None and span._end_time is None:
                found.append(OpenSpan(context.trace_id, agent if type(agent) is str else None, span))
            else:
                self.spans.pop(span_id, None)
        return found

    def _known(self) -> list[tuple[int, Started]]:
        for _ in range(TRIES):
            try:
                return list(self.spans.items())
            except RuntimeError:  # changed by a starting span meanwhile
                continue
        return []

    def overdue(self, after_s: float, now_ns: int, time_ns: int, leader: Callable[[int], int]) -> Iterator[OpenSpan]:
        """Of each run in which nothing has ended for so long, the span that started last: the others wait for it."""
        after_ns = after_s * SECOND_NS
        latest: dict[int, OpenSpan] = {}
        for each in self.all():
            run = leader(each.trace_id)
            ended_ns = self._active.get(run)
            if time_ns - (each.span._start_time or time_ns) >= after_ns and (ended_ns is None or now_ns - ended_ns >= after_ns):
                latest[run] = each  # in order of their starts
        yield from latest.values()

    def clear(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        self.spans.clear()
        self._active.clear()
