"""flow.gave_up"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.barren import is_barren
from spantriage.calls import Calls, calls_of
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

READ: Final = 600  # characters at either end of the answer that are looked at
SHORT: Final = 160  # an answer that is no longer than this is nothing but its giving up
_DONE: Final = (
    r"(?:find|determine|complete|access|retrieve|download|obtain|locate|solve|finish|answer|fix|resolve|identify|verify|connect|load|get|run|perform"
    r"|proceed|continue|extract|read|open|reach|provide|compute)"
)
_GIVES_UP: Final = re.compile(
    rf"\b(?:I(?: was| am|'m)?|we(?: were| are)?|been) (?:unable|not able) to {_DONE}\b|\bI (?:could|can)(?:n'?t| ?not) {_DONE}\b"
    rf"|\bI (?:have )?failed to {_DONE}\b"
    rf"|\bI(?:'m| am)? giv(?:e|ing) up\b|\b(?:unable|failed|impossible) to {_DONE}\b|\b(?:could|can) ?not be (?:determined|found"
    rf"|completed|resolved|answered)"
    r"|\bpersistent(?:ly)? fail|\bI have (?:run out of|exhausted)\b|\bdespite (?:multiple|several|many|repeated) attempts\b",
    re.IGNORECASE,
)
_NO_ANSWER: Final = re.compile(
    r"^\W*(?:final answer\W*)?(?:unable to determine|can(?:'t|not| not) be determined|unknown|not (?:found|available|determined)|N/A"
    r"|no answer"
    r"|I (?:do not|don't) know|insufficient (?:information|data))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class GaveUp(Detector):
    """After failures on its way an agent ends by saying that it could not do what it was asked to do.

    ## Why it matters
    The run ends without any error, and what was asked for is not there. It is better than an invented answer, and
    still a failure.

    ## What to do
    Look at the failures before it: mostly one tool or one missing permission is behind it. Where other ways were left,
    say in the prompt to try them before giving up.

    ## When it is wrong
    Only words are looked at. To refuse what a policy forbids is no giving up: without a failed or fruitless tool call
    among the last ones nothing is said, unless the answer is nothing but "unable to determine".
    """

    code = "flow.gave_up"
    category = "model_logic"
    subcategory = "gave_up_early"
    kind = "outcome"
    score = 0.5
    actionable = "Look at the failed calls before it, and say in the prompt which other ways to try."
    tier = "run"

    look_back: int = 4
    """How many of the last tool calls one must have failed or found nothing."""
    tries: int = 3
    """From how many failed calls on it was right to stop; then this is told as "info"."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of the last reply of an agent's invocation."""
        if settled.dead is not None:
            return
        for made in calls_of(settled):
            last = made.models[-1] if made.models else None
            if last is None or last.failed or last.content is None or last.content.requested or not last.content.text:
                continue
            said = last.content.text
            short = len(said) <= SHORT and _NO_ANSWER.search(said) is not None
            found = _GIVES_UP.search(f"{said[:READ]}\n{said[-READ:]}")
            if not made.tools or not (short or found):
                continue
            failures = [step for step in made.tools if step.start_ns <= last.start_ns and is_barren(step)]
            recent = any(step in failures for step in made.tools[-self.look_back :])
            if short or recent:
                yield self._speak(last, failures, found[0] if found is not None and recent else said, made)

    def _speak(self, last: Step, failures: list[Step], words: str, made: Calls) -> Verdict:
        tried = f" after {len(failures)} failed tool calls" if failures else ""
        worst = failures[-1] if failures else None
        return self.found(
            last,
            f"{last.agent} gave up{tried}: {text.clip(words.strip(), 80)!r}",
            root_cause=None if worst is None else worst.error_message or worst.result,
            reason=None if worst is None else worst.tool,
            severity="info" if not failures or len(failures) >= self.tries else None,
            evidence=(*failures[-4:], last),
            wasted=made.models,
        )

    fires_on = (
        (
            asks("fetch"),
            fails(calls("fetch"), "HTTPError", "403 Forbidden"),
            answers("I was unable to access the page, so I cannot answer."),
        ),
        (asks("search"), calls("search", result="No results found."), answers("I could not find the opening hours.")),
        (asks("search"), calls("search", result="3 results"), answers("FINAL ANSWER: Unable to determine")),
    )
    quiet_on = (
        (asks("policy"), calls("policy", result="no refunds"), answers("Unfortunately I am unable to offer you a refund.")),
        (asks("fetch"), fails(calls("fetch"), "HTTPError", "503"), asks("fetch"), calls("fetch", result="9 to 5"), answers("Open 9 to 5.")),
        (answers("I cannot find words to thank you."),),
        (asks("search"), calls("search", result="No results found."), answers("There is no such book in the library.")),
        (asks("search"), calls("search", result="3 results"), answers("I could not find a cheaper one than the first.")),
    )
