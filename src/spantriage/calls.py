"""An agent's tool calls in a row: which are the same call, which follow one another, what their repeats cost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spantriage import text
from spantriage.model import Step
from spantriage.settled import Settled

__all__ = ["Calls", "calls_of", "in_turn", "outcome", "same_call", "streaks", "used"]


@dataclass(slots=True)
class Calls:
    """The tool calls and model calls of one invocation of one agent, in canonical order."""

    tools: list[Step] = field(default_factory=list)
    models: list[Step] = field(default_factory=list)

    def between(self, first: Step, last: Step) -> list[Step]:
        """The model calls after `first` up to the one that asked for `last`."""
        low = bisect_left(self.models, first.end_ns, key=_start)
        high = bisect_right(self.models, last.start_ns, key=_start)
        return self.models[low:high]


def calls_of(settled: Settled) -> Iterator[Calls]:
    """The calls of every invocation of every agent of a run; worked out once, so nobody may change them."""
    known = settled.memo.get("calls")
    if not isinstance(known, list):
        known = settled.memo["calls"] = list(_calls_of(settled))
    yield from known


def _calls_of(settled: Settled) -> Iterator[Calls]:
    found: dict[tuple[str | None, int | None], Calls] = {}
    for step in settled.sequence:
        if step.kind == "tool" and step.sign != "echo":
            found.setdefault((step.agent, step.agent_span_id), Calls()).tools.append(step)
        elif step.kind == "model":
            found.setdefault((step.agent, step.agent_span_id), Calls()).models.append(step)
    yield from found.values()


def same_call(one: Step, other: Step) -> bool:
    """Say whether two steps call one tool with the same arguments; arguments that were not captured are not the same."""
    if one.tool is None or one.arguments_digest is None:
        return False
    return one.tool == other.tool and one.arguments_digest == other.arguments_digest


def outcome(step: Step) -> int | None:
    """A fingerprint of how a call turned out; None when that was not captured."""
    return step.result_digest if step.result_digest is not None else text.digest(step.error_message)


def in_turn(calls: Sequence[Step]) -> bool:
    """Say whether each call began after the one before had ended; calls made at the same time are no repeats."""
    return all(one.end_ns <= other.start_ns for one, other in pairwise(calls))


def streaks(calls: Sequence[Step], alike: Callable[[Step, Step], bool]) -> Iterator[tuple[int, int]]:
    """Where neighbours are alike: maximal stretches as (first, behind the last), those of one call left out."""
    first = 0
    for index in range(1, len(calls) + 1):
        if index < len(calls) and alike(calls[index - 1], calls[index]):
            continue
        if index - first > 1:
            yield first, index
        first = index


def used(models: Iterable[Step]) -> tuple[int | None, float | None]:
    """Tokens and dollars of model calls; each None unless it is known of all of them."""
    tokens: int | None = 0
    cost_usd: float | None = 0.0
    for step in models:
        known = not step.cumulative and (step.input_tokens is not None or step.output_tokens is not None)
        tokens = tokens + (step.input_tokens or 0) + (step.output_tokens or 0) if known and tokens is not None else None
        cost_usd = cost_usd + step.cost_usd if step.cost_usd is not None and cost_usd is not None else None
    return tokens or None, cost_usd or None


def _start(step: Step) -> int:
    return step.start_ns
