"""The agents' rounds, as steps: those that were accounted for, those that were cut off, and what each has used.

An agent's totals are its own; a round's account is missing when the round was cut off by somebody's new answer. What the
rounds do not add up to is told as the use of those, so that the sum is the tool's own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Final

from spantriage import text
from spantriage.files import Skip
from spantriage.model import Step
from spantriage.sources import times
from spantriage.sources.massgen_log import Happening, Log
from spantriage.sources.talk import Failure, fail, listed, mapping

__all__ = ["steps_of_rounds"]

USED: Final = (
    ("input_tokens", "input_tokens"), ("output_tokens", "output_tokens"), ("cached_tokens", "cached_input_tokens"),
    ("reasoning_tokens", "reasoning_tokens"), ("cost_usd", "estimated_cost"),
)  # fmt: skip
SAME_NS: Final = times.NS // 4  # an account and the log of events speak of one round when they begin this close together
BROKEN: Final = {"agent_timeout": "TimeoutError", "agent_cancelled": "CancelledError", "agent_error": "Error"}
OVER: Final = ("new_answer", "vote_cast", "vote_ignored", "restart_completed", "agent_stopped", *BROKEN)
TAKEN: Final = {"new_answer": "answer", "vote_cast": "vote", "vote_ignored": "restarted"}
AGENTS: Final = 256
ROUNDS: Final = 2_000  # of one agent
OURS: Final = ("answer", "vote", "restarted", "presentation", "error", "timeout")


def steps_of_rounds(log: Log, root: Step) -> Iterator[Step]:
    """Every round of every agent, and behind them the events that tell tokens and cost."""
    told = [e.agent for e in (*log.events, *log.told)] or [e.agent for e in log.tabled]
    names = dict.fromkeys([*log.agents, *(name for name in told if name is not None)])
    if len(names) > AGENTS:
        log.folder.skip(Skip(log.path, 0, f"{len(names)} agents; only the first {AGENTS} were looked at"))
    for agent in islice(names, AGENTS):
        rounds = [*_accounted(log, root, agent)]
        rounds += [*_cut_off(log, root, agent, rounds)]
        if not rounds:
            rounds = [log.step("agent", f"agent.{agent}", root.start_ns, root.end_ns, agent, root, "whole")]
        _mark_failure(log, agent, rounds)
        yield from sorted(rounds, key=lambda step: step.order)
        yield from _usage(log, agent, rounds)


def _accounted(log: Log, root: Step, agent: str) -> Iterator[Step]:
    entries = [mapping(each) for each in listed(log.agents.get(agent, {}).get("round_history"))]
    entries += [e for e in map(mapping, listed(log.metrics.get("round_completions"))) if e.get("agent_id") == agent]
    seen: set[tuple[object, ...]] = set()
    for entry in entries:
        start, end = times.read(entry.get("start_time")), times.read(entry.get("end_time"))
        number, kind = entry.get("round_number"), text.string(entry.get("round_type"))
        key = (str(number), kind, start)
        if start is None or key in seen or len(seen) >= ROUNDS:
            continue
        seen.add(key)
        name = f"agent.{agent}.presentation" if kind == "presentation" else f"agent.{agent}.round_{number}"
        step = log.step("agent", text.name(name) or agent, start, end or start, agent, root, *key)
        step.model = text.name(log.models.get(agent))
        outcome = entry.get("outcome") if entry.get("outcome") in OURS else None
        step.note = {"round": number, "round_type": kind, "outcome": outcome, "used": _amounts(entry)}
        yield step


def _cut_off(log: Log, root: Step, agent: str, known: list[Step]) -> Iterator[Step]:
    """Rounds that the coordination saw begin and nobody accounted for."""
    begun = list(islice(log.of(agent, "context_received"), ROUNDS))
    taken = list(log.of(agent, *TAKEN))
    last_ns = max((event.when_ns for event in log.of(agent, "context_received", "new_answer", "vote_cast")), default=0)
    starts, ends = sorted(step.start_ns for step in known), [each.when_ns for each in log.of(agent, *OVER)]
    for event, following in zip(begun, [*begun[1:], None], strict=False):
        at = bisect_left(starts, event.when_ns - SAME_NS)
        if at < len(starts) and starts[at] <= event.when_ns + SAME_NS:
            continue
        until = root.end_ns if following is None else following.when_ns
        after = bisect_right(ends, event.when_ns)
        over = ends[after] if after < len(ends) and ends[after] <= until else until
        number = event.context.get("round")
        step = log.step("agent", f"agent.{agent}.round_{number}", event.when_ns, over, agent, root, number, "cut", event.when_ns)
        step.model = text.name(log.models.get(agent))
        is_first = event.context.get("answer_count") == 0
        step.note = {"round": number, "round_type": "initial_answer" if is_first else "voting", "outcome": _outcome(taken, last_ns, step)}
        yield step


def _outcome(taken: list[Happening], last_ns: int, step: Step) -> str | None:
    """What a round that nobody accounted for came to: what was taken in it, else that the agent began anew."""
    at = bisect_left(taken, step.start_ns, key=lambda event: event.when_ns)
    if at < len(taken) and taken[at].when_ns <= step.end_ns:
        return TAKEN[taken[at].kind]
    return "restarted" if last_ns > step.end_ns else None


def _mark_failure(log: Log, agent: str, rounds: list[Step]) -> None:
    """An agent that broke down fails its last round; one that ran out of attempts is told by the replies instead."""
    error = mapping(log.agents.get(agent, {}).get("error"))
    said = text.string(error.get("message")) or text.plain(log.agents.get(agent, {}).get("error"))
    broken: Happening | None = next(log.of(agent, *BROKEN), None)
    if not rounds or (said is not None and "attempts" in said):
        return
    last = max(rounds, key=lambda step: step.order)
    kind = text.string(error.get("type"))
    if said is not None:
        fail(last, Failure({"timeout": "TimeoutError", "error": None}.get(kind or "", kind), said))
    elif broken is not None:
        fail(last, Failure(BROKEN[broken.kind], broken.said))


def _usage(log: Log, agent: str, rounds: list[Step]) -> Iterator[Step]:
    """Each round's use, and what is left of the agent's total for the rounds that nobody accounted for."""
    total = _amounts(mapping(log.agents.get(agent, {}).get("token_usage")))
    accounts = [(step, mapping((step.note or {}).pop("used", None))) for step in rounds]
    left = dict(total)
    for step, used in accounts:
        if used:
            yield _told(log, agent, step, used, f"usage of round {(step.note or {}).get('round')}")
            left = {name: amount - (text.number(used.get(name)) or 0) for name, amount in left.items()}
    left = {name: amount for name, amount in left.items() if amount > 0}
    if left and rounds:
        at = next((step for step, used in accounts if not used), rounds[-1])
        if [used for _, used in accounts if used]:
            log.restarted_tokens += int(left.get("input_tokens", 0) + left.get("output_tokens", 0))
        yield _told(log, agent, at, left, "usage of rounds that were cut off" if any(used for _, used in accounts) else "usage")


def _told(log: Log, agent: str, of: Step, used: dict[str, object] | dict[str, float], name: str) -> Step:
    step = log.step("event", name, of.end_ns, of.end_ns, agent, of, name, of.span_id)
    for field, amount in used.items():
        setattr(step, field, amount if field == "cost_usd" else int(amount) if isinstance(amount, (int, float)) else None)
    return step


def _amounts(told: dict[str, object]) -> dict[str, float]:
    """Tokens and cost; a cost of 0 stands for a model without a known price."""
    found = {ours: text.number(told.get(theirs)) for ours, theirs in USED}
    return {name: amount for name, amount in found.items() if amount is not None and (amount or name != "cost_usd")}
