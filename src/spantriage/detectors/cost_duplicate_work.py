"""cost.duplicate_work"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spantriage.calls import outcome, used
from spantriage.deeds import deed_of
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import EPOCH, SECOND, agent, answers, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


def _both(result_of_second: str = "a report", seconds: int = 30, *, tool: str = "research", inside: int | None = None) -> Example:
    """Two agents, one after the other, that call one tool with the same arguments."""
    steps: list[Step] = [agent("boss")]
    for number, result in enumerate(("a report", result_of_second)):
        start_ns = EPOCH + number * 100 * SECOND
        times: dict[str, Any] = {"start_ns": start_ns, "end_ns": start_ns + seconds * SECOND}
        steps.append(agent(f"a{number}", parent_id=1, span_id=10 + number, **times))
        steps.append(calls(tool, '{"topic": "owls"}', result, parent_id=10 + number, span_id=20 + number, **times))
        if inside is not None:
            steps.append(answers("owls", parent_id=20 + number, span_id=30 + number, input_tokens=inside, output_tokens=0, **times))
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class DuplicateWork(Detector):
    """Several agents of a run, or one that was called several times, had the same costly work done by the same tool.

    ## Why it matters
    The second time brings nothing that was not there. `wasted_tokens` and `wasted_cost_usd` count the model calls that
    the tool made for it; where it made none, it cost time.

    ## What to do
    Keep the tool's results for the length of the run, or let the agent that plans hand out what is already known.

    ## When it is wrong
    Teams that work side by side do the same on purpose, to compare. Work that is quick and cheap is not looked at, nor
    is a tool that changes something, or one that gave another result the second time without asking a model.
    """

    code = "cost.duplicate_work"
    category = "model_logic"
    subcategory = "wrong_strategy"
    severity = "info"
    score = 0.6
    actionable = "Keep the tool's results for the length of the run, so that the second call finds them."
    tier = "run"

    slow_s: float = 5.0
    """From how many seconds on a call is costly."""
    usd: float = 0.1
    """From how many wasted dollars on this is a warning."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look for costly calls that another invocation had made before."""
        groups: dict[tuple[str, int], list[Step]] = {}
        for step in settled.sequence:
            if (
                step.kind == "tool"
                and step.sign == "ok"
                and step.tool is not None
                and step.arguments_digest is not None
                and not step.implied
            ):
                groups.setdefault((step.tool, step.arguments_digest), []).append(step)
        doubles = {key: steps for key, steps in groups.items() if len({(s.agent, s.agent_span_id) for s in steps}) > 1}
        if doubles:
            inside = _models_inside(settled, {step.span_id for steps in doubles.values() for step in steps})
            for steps in doubles.values():
                yield from self._look(steps, inside)

    def _look(self, steps: list[Step], inside: dict[int, list[Step]]) -> Iterator[Verdict]:
        first = steps[0]
        again = [
            step
            for step in steps[1:]
            if (step.agent, step.agent_span_id) != (first.agent, first.agent_span_id)
            and (inside.get(step.span_id) or (step.duration_ns >= self.slow_s * 1e9 and outcome(step) == outcome(first) is not None))
        ]
        if not again or deed_of(first) == "edit":
            return
        models = [model for step in again for model in inside.get(step.span_id, ())]
        _, dollars = used(models)
        seconds = sum(step.duration_ns for step in again) / 1e9
        names = ", ".join(dict.fromkeys(str(step.agent) for step in (first, *again)))
        yield self.found(
            again[0],
            f"Tool {first.tool} was called with the same arguments {len(again) + 1} times by {names}; {seconds:.1f} s were not needed",
            severity="warning" if dollars is not None and dollars >= self.usd else None,
            evidence=(first, *again),
            wasted=models,
        )

    fires_on = (_both(), _both("another report", seconds=1, inside=5_000))
    quiet_on = (
        _both(seconds=1),
        _both("another report"),
        _both(tool="create_ticket"),
        tuple(calls("research", '{"topic": "owls"}', "a report") for _ in range(3)),
        (agent("boss"), calls("research", '{"topic": "owls"}', "a report"), calls("research", '{"topic": "mice"}', "a report")),
    )


def _models_inside(settled: Settled, tools: set[int]) -> dict[int, list[Step]]:
    """The model calls below each of these tool calls."""
    found: dict[int, list[Step]] = {}
    for step in settled.sequence:
        if step.kind == "model":
            for above in settled.above(step):
                if above.span_id in tools:
                    found.setdefault(above.span_id, []).append(step)
                    break
    return found
