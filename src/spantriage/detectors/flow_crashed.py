"""flow.crashed"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, calls, fails, span
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class Crashed(Detector):
    """An agent was at work when its process died.

    Told by the next process that starts with the same journal (setting `journal`, else beside the findings of a `jsonl`
    sink).

    ## Why it matters
    Spans leave when they end. What a killed process was doing ends nowhere, and its run is missing from every account.

    ## What to do
    See why the process died: a kill for want of memory, a deployment, a signal. `reason` is what was going on in the
    run at that moment. Give agents time to finish before a process is stopped.

    ## When it is wrong
    A span that the program never ends looks like this when the process ends in good order. What began in the last
    half second may be missing. On systems without file locks there is no journal.
    """

    code = "flow.crashed"
    category = "infrastructure"
    kind = "outcome"
    severity = "error"
    score = 0.8
    actionable = "See why the process died, and give agents time to finish before it is stopped."
    speaks_of = frozenset({"agent", "model", "tool", "workflow"})
    signs = frozenset({"crashed"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak of a span that a dead process has left in its journal."""
        doing = (step.note or {}).get("doing")
        who = step.agent or step.name
        what = f", in {doing}" if type(doing) is str and doing != step.name else ""
        yield self.found(step, f"{who} was at work{what} when its process died", reason=doing if type(doing) is str else None)

    fires_on = (
        (agent("boss", sign="crashed", note={"doing": "chat big"}),),
        (agent("boss"), span("model", "chat big", sign="crashed")),
    )
    quiet_on = (
        (agent("boss"), answers("done")),
        (fails(agent("boss"), "KeyboardInterrupt", ""), answers("so far")),
        (agent("boss"), fails(calls("run"), "RuntimeError", "the program crashed"), answers("sorry")),
    )
