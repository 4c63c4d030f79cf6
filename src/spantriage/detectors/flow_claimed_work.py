"""flow.claimed_work"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, span
from spantriage.grounds import groundless_in
from spantriage.model import Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class ClaimedWork(Detector):
    """An answer speaks as if something had been looked up, and nothing was.

    ## Why it matters
    It is the hardest kind of invention to see: no "I assume" and no "from memory", but "the article states" and "I have
    verified", over a run in which no tool was called. Whoever reads only the answer takes it for a finding.

    ## What to do
    Ask for the source of each fact in the answer's form, and check that a tool's result holds it.

    ## When it is wrong
    Where tools leave neither spans nor messages, the work cannot be seen. The agent may have said what its input told
    it. Where it says that it recalls or assumes, `flow.invented_result` speaks instead.
    """

    code = "flow.claimed_work"
    category = "model_logic"
    subcategory = "misunderstanding"
    score = 0.6
    actionable = "Ask for the source of each fact, and check that a tool's result holds it."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of answers without grounds that do not say that they are recalled."""
        for found in groundless_in(settled):
            step = found.turn.step
            if found.source == "claimed":
                summary = f"{step.agent} answers as if it had done what it planned, and no tool or agent was called"
                yield self.found(step, summary, evidence=(found.plan.step, step))

    fires_on = (
        (
            answers("1. Search the web for the opening hours.\n2. Answer."),
            asks("final_answer"),
            calls("final_answer", '{"answer": "9 to 5"}', "9 to 5"),
        ),
        (
            answers("Retrieve the report and read its second table."),
            span("workflow", "Step 1", span_id=50),
            answers("The report states 56,081.\n```py\nfinal_answer(56081)\n```", parent_id=50),
            calls("final_answer", "{}", "56081", parent_id=50),
        ),
    )
    quiet_on = (
        (answers("Search for it."), answers("I recall that it is nine."), asks("final_answer"), calls("final_answer", "{}", "9")),
        (
            answers("Search for it."),
            asks("search"),
            calls("search", "{}", "9 to 5"),
            asks("submit"),
            calls("submit", "{}", "9"),
        ),
        (answers("Count the letters."), asks("final_answer"), calls("final_answer", "{}", "3")),
        (answers("It is open from 9 to 5."),),
    )
