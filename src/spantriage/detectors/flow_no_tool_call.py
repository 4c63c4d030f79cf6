"""flow.no_tool_call"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.calls import Calls, calls_of
from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

_TOOLS = {"search": None, "fetch": None}


@dataclass(frozen=True, slots=True)
class NoToolCall(Detector):
    """An agent that was given tools answered without having called any of them.

    `reason` is "demanded" where the request said that a tool must be called, else "offered".

    ## Why it matters
    An answer out of the model's head looks like one that was looked up. Where the framework had demanded a call, the
    provider or the model has ignored it, and what comes next depends on a call that was never made.

    ## What to do
    Where the task needs a tool, say so in the prompt, or ask for a call (`tool_choice`) in the first turn.

    ## When it is wrong
    Most questions that need no tool are answered like this, and rightly: unless a call was demanded this is "info", and
    says no more than that nothing was looked up. Calls that a provider makes by itself leave no trace.
    """

    code = "flow.no_tool_call"
    category = "model_logic"
    subcategory = "misunderstanding"
    severity = "info"
    score = 0.3
    actionable = "Where the task needs a tool, say so in the prompt or demand a call in the first turn."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each invocation of an agent whose last reply, and every one before it, is words alone."""
        for made in calls_of(settled):
            last = made.models[-1] if made.models else None
            if last is not None and self._is_bare(last, made, settled):
                content = last.content
                demanded = content is not None and content.must_call
                yield self.found(
                    last,
                    f"{last.agent} answered without calling any of its tools" + (", though a call was demanded" if demanded else ""),
                    reason="demanded" if demanded else "offered",
                    severity="warning" if demanded else None,
                    score=0.8 if demanded else None,
                )

    def _is_bare(self, last: Step, made: Calls, settled: Settled) -> bool:
        content = last.content
        if content is None or not content.replied or not (content.text or "").strip() or last.finish not in ("stop", None) or last.failed:
            return False
        contents = [step.content for step in made.models if step.content is not None]
        if made.tools or any(each.requested or each.results for each in contents) or not any(each.declared for each in contents):
            return False
        top = settled.steps.get(last.agent_span_id or 0)
        return top is None or "round" not in (top.note or {})  # rounds have rules of their own

    fires_on = (
        (agent("boss"), answers("It opens at nine.", declared=_TOOLS)),
        (agent("boss"), answers("It opens at nine.", declared=_TOOLS, must_call=True)),
    )
    quiet_on = (
        (agent("boss"), asks("search", declared=_TOOLS), calls("search", result="9 to 5"), answers("At nine.", declared=_TOOLS)),
        (agent("boss"), answers("It opens at nine.")),
        (agent("boss"), answers("", declared=_TOOLS)),
        (agent("boss"), answers("It opens at", declared=_TOOLS, finish="length")),
        (agent("boss"), answers("It opens at nine.", declared=_TOOLS, captured=False)),
    )
