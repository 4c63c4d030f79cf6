"""Which traces are one run: calls of one conversation that each got a trace of their own, and traces that link to each other.

A program that calls a model without a framework has no span around the calls, so each is its own trace. What ties them
together is what they say: a later call shows the tool call that an earlier one asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

import orjson

from spantriage import text
from spantriage.model import Kind, Step, ToolCall

__all__ = ["BARE", "LINKS", "Joiner"]

BARE: Final[frozenset[Kind]] = frozenset(("model", "event"))  # the kinds of step of a bare call's trace
LINKS: Final = 8  # of one span; a span that links to more is a batch of things that have nothing to do with each other
GROUP: Final = 512  # traces in one run
UNKNOWN_NS: Final = 1 << 64

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Joiner:
    """Groups traces as their steps go by. Bounded: of what was not seen for long, traces stay apart.

    Feed it the steps in the order they happened. A group is led by the trace that was the earliest when it was joined.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._above: OrderedDict[int, int] = OrderedDict()  # trace -> one that leads it
        self._groups: OrderedDict[int, tuple[int, int]] = OrderedDict()  # leader -> its start, traces in the group
        self._asked: OrderedDict[int, int] = OrderedDict()  # a requested tool call -> the trace that asked
        self._talks: OrderedDict[tuple[str, str], int] = OrderedDict()  # conversation -> the first trace of it

    def key(self, step: Step, *, bare: bool, scope: str = "") -> int:
        """The trace that leads the step's run, as far as is known.

        `bare`: its trace holds model calls and nothing else. `scope` keeps apart what must not be joined by content,
        such as files: identical tests ask for identical calls.
        """
        trace_id = step.trace_id
        leader = self.leader(trace_id)
        start, number = self._groups.get(leader, (UNKNOWN_NS, 1))
        if step.start_ns < start:
            self._put(self._above, leader, leader)
            self._put(self._groups, leader, (step.start_ns, number))
        if bare and step.kind in BARE:
            for earlier in self._earlier(step, scope):
                self.link(trace_id, earlier)
            self._remember(step, scope)
        return self.leader(trace_id)

    def link(self, trace_id: int, other: int) -> None:
        """Put two traces into one run, whether their steps are known already or not."""
        one, two = self.leader(trace_id), self.leader(other)
        if one == two:
            return
        (start, number), (start_two, number_two) = (self._groups.get(each, (UNKNOWN_NS, 1)) for each in (one, two))
        if number + number_two > GROUP:
            return
        first, second = (one, two) if (start, one) <= (start_two, two) else (two, one)
        self._put(self._above, first, first)
        self._put(self._above, second, first)
        self._put(self._groups, first, (min(start, start_two), number + number_two))
        self._groups.pop(second, None)

    def leader(self, trace_id: int) -> int:
        """The trace that leads this one's group; itself when it is alone."""
        path = []
        while (above := self._above.get(trace_id, trace_id)) != trace_id:
            path.append(trace_id)
            trace_id = above
        for passed in path:
            self._above[passed] = trace_id
        return trace_id

    def _earlier(self, step: Step, scope: str) -> Iterator[int]:
        """Traces that this step continues: it shows a call that they asked for, or is of the same conversation."""
        content = step.content
        if content is not None:
            for result in content.results:
                call = result.call
                if call is not None and call.call_id is not None:
                    found = self._asked.get(_digest(scope, call, content.task))
                    if found is not None:
                        yield found
        if step.conversation is not None:
            found = self._talks.get((scope, step.conversation))
            if found is not None:
                yield found

    def _remember(self, step: Step, scope: str) -> None:
        content = step.content
        for call in () if content is None else content.requested:
            if content is not None and call.call_id is not None:
                self._put(self._asked, _digest(scope, call, content.task), step.trace_id)
        if step.conversation is not None:
            self._put(self._talks, (scope, step.conversation), step.trace_id)

    def _put(self, table: OrderedDict[K, V], key: K, value: V) -> None:
        table[key] = value
        table.move_to_end(key)
        if len(table) > self._size:
            table.popitem(last=False)


def _digest(scope: str, call: ToolCall, task: str | None) -> int:
    """Of a tool call: the same whichever way its arguments are spelled."""
    said: str | bytes | None = call.arguments
    loaded = text.load(said)
    if loaded is not None:
        with suppress(TypeError):  # nested too deeply
            said = orjson.dumps(loaded, option=orjson.OPT_SORT_KEYS)
    return hash((scope, call.call_id, call.name, said, task))
