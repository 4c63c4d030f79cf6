"""flow.invented_result"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.barren import is_barren
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

READ: Final = 6_000  # characters of a reply that are looked at
AROUND: Final = 240  # characters around the words in which the lack may be told
# Words by which a model says, of itself, that what follows is not from a tool.
_INVENTS: Final = re.compile(
    r"\bI(?:'ll| will| shall|'m going to| am going to)(?: now| just| have to| need to)? (?:simulate|assume|pretend|fabricate|invent"
    r"|make up|recall)\b"
    r"|\bI(?: seem to| do)? recall (?:that|from|the|a)\b|\bfrom (?:my )?memory\b|\b(?:let's|let us) (?:assume|pretend|simulate)\b"
    r"|\b(?:hypothetical|made-up|fictional|mock|dummy|simulated|fabricated|invented) "
    r"(?:\S{1,20} ){0,2}(?:data|values?|results?|answers?|ids?|numbers?|responses?|contents?|outputs?)\b"
    r"|\b(?:an? )?educated guess\b|\bbased on my (?:own |general |prior |background )?knowledge\b"
    r"|\bsimulate (?:its|the|their|a) (?:\S{1,20} )?(?:contents?|results?|output|response|data|search)\b|\b(?:most )?plausible (?:value"
    r"|answer)\b",
    re.IGNORECASE,
)
_HINTS: Final = (
    "simulat", "assum", "pretend", "fabricat", "invent", "make up", "made-up", "recall", "memory", "hypothetical", "fictional", "mock",
    "dummy", "guess", "knowledge", "plausible",
)  # fmt: skip
_LACKS: Final = re.compile(
    r"\b(?:could|can|was|were|is|are|have|has)(?:n'?t| ?not)(?: been| be)?(?: able to)? (?:\S{1,20} ){0,2}(?:find|found|locate|access"
    r"|retrieve|download|perform|available|reach|open|load)"
    r"|\bunable to\b|\bnot available\b|\bunavailable\b|\black of\b|\bno (?:direct )?(?:information|results|data)\b|\bcan't actually\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class InventedResult(Detector):
    """A tool failed or found nothing, and the agent goes on with something that it assumes, simulates or recalls.

    `reason` holds the words by which it says so.

    ## Why it matters
    What follows looks like a result. It is the commonest way in which a small failure of a tool becomes a wrong answer
    that nobody questions.

    ## What to do
    Tell the agent in its prompt that it may say that it could not find out, and make the tool's failure say what to try
    next. Check answers against the tools' results.

    ## When it is wrong
    Only words are looked at. To assume something and say so can be the right thing to do, and to simulate can be the
    task. Hence this is never more than "info": read the reply.
    """

    code = "flow.invented_result"
    category = "model_logic"
    subcategory = "misunderstanding"
    severity = "info"
    score = 0.5
    actionable = "Let the agent say that it could not find out, and make the tool's failure say what to try next."
    tier = "run"

    look_back: int = 3
    """Among how many of the last steps before the reply the failure is looked for."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of the first such reply after each failure; without a failure the reply must itself say what is lacking."""
        recent: dict[tuple[str | None, int | None], deque[Step]] = {}
        spoken: set[int] = set()
        for step in settled.sequence:
            before = recent.setdefault((step.agent, step.agent_span_id), deque(maxlen=self.look_back))
            if step.kind in ("tool", "workflow", "retrieval"):
                before.append(step)
            elif step.kind == "model" and step.content is not None and step.content.text:
                said = step.content.text[:READ]
                if not _may_invent(said):
                    continue
                failure = next((each for each in reversed(before) if is_barren(each)), None)
                found = _invents(said, failure is not None)
                if found is not None and (failure is None or failure.span_id not in spoken):
                    spoken.add(step.span_id if failure is None else failure.span_id)
                    yield self._speak(step, found, failure)

    def _speak(self, step: Step, words: str, failure: Step | None) -> Verdict:
        behind = "nothing was found" if failure is None else f"{failure.tool or failure.name} brought nothing"
        return self.found(
            step,
            f"After {behind}, {step.agent} goes on with something of its own: {text.clip(words, 60)!r}",
            root_cause=None if failure is None else failure.error_message,
            reason=words.lower(),
            evidence=(step,) if failure is None else (failure, step),
            wasted=(step,),
        )

    fires_on = (
        (
            asks("read_file"),
            fails(calls("read_file"), "OSError", "cannot read"),
            answers("I will simulate its contents so that we can go on."),
        ),
        (asks("search"), calls("search", result="No results found."), answers("Let's assume the id is 110872.")),
        (asks("search"), calls("search", result="Error: 503"), answers("I recall that the library opens at nine.")),
        (answers("I have not been able to find the id. With a hypothetical id the checksum is 7."),),
    )
    quiet_on = (
        (asks("search"), calls("search", result="3 results"), answers("I will assume that you mean the first.")),
        (asks("search"), calls("search", result="No results found."), answers("I could not find it.")),
        (answers("I will simulate 100 coin tosses with a fair coin."),),
        (asks("run"), calls("run", result="No such file: a.txt"), answers("The file does not exist; let me list the folder.")),
        (asks("test"), calls("test", result="2 failed"), answers("The test simulates a slow network.")),
    )


def _may_invent(said: str) -> bool:
    low = said.lower()
    return any(hint in low for hint in _HINTS)


def _invents(said: str, failed: bool) -> str | None:
    """The words that say so; where nothing has failed, only beside words that say what is lacking."""
    for match in _INVENTS.finditer(said):
        if failed or _LACKS.search(said[max(0, match.start() - AROUND) : match.end() + AROUND]):
            return match[0]
    return None
