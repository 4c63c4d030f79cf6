"""flow.unfounded_answer"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, span
from spantriage.grounds import groundless_in
from spantriage.model import Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class UnfoundedAnswer(Detector):
    """An agent planned to look something up, looked nothing up, and answered all the same.

    `reason` is "recalled" (the answer says that it comes from memory or an assumption) or "claimed" (it speaks as if
    the work had been done).

    ## Why it matters
    The answer stands on nothing: no tool ran and no other agent was asked between the plan and the answer. It departs
    from the agent's own plan, and nothing in the run can show whether it is right.

    ## What to do
    Do not accept an answer before a tool has run when the plan names one. See whether the tools were offered in that
    turn at all.

    ## When it is wrong
    Where tools leave neither spans nor messages, the work cannot be seen. A plan that turned out to be needless may be
    dropped rightly. What needs no look at the world (sums, puzzles) is left alone, as its plan names no search.
    """

    code = "flow.unfounded_answer"
    category = "model_logic"
    subcategory = "wrong_strategy"
    score = 0.7
    actionable = "Do not accept an answer before the tools that the plan names have run."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for each invocation of an agent."""
        for found in groundless_in(settled):
            step = found.turn.step
            yield self.found(
                step,
                f"{step.agent} planned to {found.planned.lower()} something and answered without having called a tool or an agent",
                reason=found.source,
                evidence=(found.plan.step, step),
            )

    fires_on = (
        (
            answers("1. Search the web for the opening hours.\n2. Answer."),
            asks("final_answer"),
            calls("final_answer", '{"answer": "9 to 5"}', "9 to 5"),
        ),
        (
            answers("Plan: ask the archive and retrieve the record."),
            span("workflow", "Step 1", span_id=50),
            answers("It is well known that it was 1984.\n```py\nfinal_answer(1984)\n```", parent_id=50),
            calls("final_answer", "{}", "1984", parent_id=50),
        ),
    )
    quiet_on = (
        (answers("1. Add the numbers.\n2. Answer."), asks("final_answer"), calls("final_answer", "{}", "4")),
        (
            answers("Search for it."),
            asks("search"),
            calls("search", "{}", "9 to 5"),
            asks("submit"),
            calls("submit", "{}", "9"),
        ),
        (answers("I can look up your booking. What is its number?"), answers("Thank you, and goodbye.")),
        (
            answers("Let me search the archive."),
            asks("helper"),
            agent("helper", parent_id=1, span_id=60),
            asks("final_answer"),
            calls("final_answer", "{}", "1984"),
        ),
        (answers("I'll search for it."), asks("search")),
    )
