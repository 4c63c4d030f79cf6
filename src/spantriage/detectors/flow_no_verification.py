"""flow.no_verification"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spantriage.calls import Calls, calls_of
from spantriage.deeds import deed_of, target_of
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

_TOOLS = {"edit_file": None, "run_tests": None}


def _edits(path: str = "a.py") -> Step:
    return calls("edit_file", f'{{"path": "{path}"}}', "edited")


@dataclass(frozen=True, slots=True)
class NoVerification(Detector):
    """An agent changed something and finished without a check, though it had a tool to check with.

    ## Why it matters
    That an edit went through says nothing about whether it is right. Agents that run the tests after their last change
    find most of their own mistakes.

    ## What to do
    Say in the prompt that work is done when the check after the last change has passed, and name the check.

    ## When it is wrong
    What edits and what checks is read from tools' names and from commands, and a check may happen outside of the run.
    Small changes are rightly left unchecked. This is a hint, never more than "info".
    """

    code = "flow.no_verification"
    category = "model_logic"
    subcategory = "no_verification"
    severity = "info"
    score = 0.3
    actionable = "Say in the prompt that work is done when the check after the last change has passed."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look, in each invocation of each agent, for what came after its last change."""
        if settled.truncated or settled.dead is not None:
            return
        for made in calls_of(settled):
            deeds = [deed_of(step) for step in made.tools]
            edits = [n for n, step in enumerate(made.tools) if deeds[n] == "edit" and step.sign == "ok"]
            if not edits or not _finished(made) or not _can_check(made, deeds):
                continue
            last = made.tools[edits[-1]]
            target = target_of(last)
            after = range(edits[-1] + 1, len(deeds))
            if any(deeds[n] in ("check", "shell") or (deeds[n] == "read" and target_of(made.tools[n]) == target) for n in after):
                continue
            what = "something" if target is None else target
            yield self.found(
                last, f"{last.agent} changed {what} and finished without a check", evidence=[made.tools[n] for n in edits[-8:]]
            )

    fires_on = (
        (asks("edit_file", declared=_TOOLS), _edits(), answers("done")),
        (calls("run_tests", "{}", "1 failed"), _edits(), answers("fixed")),
        (calls("bash", '{"command": "ls"}', "a.py"), calls("bash", '{"command": "sed -i s/a/b/ a.py"}', ""), answers("fixed")),
    )
    quiet_on = (
        (asks("edit_file", declared=_TOOLS), _edits(), calls("run_tests", "{}", "5 passed"), answers("done")),
        (asks("edit_file", declared={"edit_file": None}), _edits(), answers("done")),
        (asks("edit_file", declared=_TOOLS), fails(_edits(), "OSError", "read-only"), answers("could not")),
        (calls("run_tests", "{}", "1 failed"), _edits(), calls("read_file", '{"path": "a.py"}', "fixed"), answers("done")),
        (asks("edit_file", declared=_TOOLS), _edits(), asks("run_tests")),
        (asks("todo_write", declared=_TOOLS), calls("todo_write", "{}", "ok"), answers("done")),
    )


def _finished(made: Calls) -> bool:
    """Whether the agent had the last word, so that it could have gone on to check."""
    last = made.models[-1] if made.models else None
    return last is not None and not last.failed and last.content is not None and last.content.replied and not last.content.requested


def _can_check(made: Calls, deeds: Sequence[str]) -> bool:
    declared = {name for model in made.models if model.content is not None for name in model.content.declared or ()}
    offered = {deed_of(_call(name)) for name in declared}
    return not offered.isdisjoint(("check", "shell")) or "check" in deeds or "shell" in deeds


def _call(name: str) -> Step:
    return Step(0, 0, None, 0, 0, "tool", name, "", tool=name)
