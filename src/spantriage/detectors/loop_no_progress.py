"""loop.no_progress"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.calls import Calls, calls_of, outcome
from spantriage.deeds import deed_of
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

# Results that hold nothing: what recurs in them is that nothing was found.
_BARREN: Final = re.compile(
    r"^\W{0,8}(no (results?|match(es)?|data|hits?|items?|records?|documents?|files?|such)\b|nothing (was )?found|not found|0 (results?"
    r"|hits|matches)"
    r"|none\b|null\b|could(n't| not) (be )?(find|found)|unable to (find|locate)|(no|zero) .{0,40}(were |was )?found)|^\W*$",
    re.IGNORECASE,
)


def _finds(query: int, result: str = "No results found.") -> Step:
    return calls("search", f'{{"q": "try {query}"}}', result)


@dataclass(frozen=True, slots=True)
class NoProgress(Detector):
    """An agent goes on calling tools for many turns, and nothing comes back that it had not seen before.

    ## Why it matters
    Each turn is paid for, with a history that grows. No two calls in a row need be the same: it asks in other words and
    gets the same nothing, or looks again at what it has already seen.

    ## What to do
    Let the agent say what it still lacks when several turns brought nothing new, or end it. When all searches come back
    empty, look at the tool first: a broken index finds nothing either.

    ## When it is wrong
    Waiting for something looks the same until it comes. Calls that change something are left out: their results are
    alike because all went well. A result that says nothing was found may itself be what was asked for.
    """

    code = "loop.no_progress"
    category = "model_logic"
    subcategory = "wrong_strategy"
    score = 0.6
    actionable = "End the agent, or make it change its approach, when several turns have brought nothing new."
    tier = "run"

    at: int = 8
    """How many results in a row, none of them new, are too many."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look for rows of results that each had been there before."""
        for made in calls_of(settled):
            for row in _rows(made):
                if len(row) >= self.at and len({step.arguments_digest for step in row}) > 1:
                    yield self._speak(row, made)

    def _speak(self, row: list[Step], made: Calls) -> Verdict:
        return self.found(
            row[self.at - 1],
            f"{len(row)} tool calls of {row[0].agent} in a row brought nothing that it had not seen before",
            evidence=row[:8],
            wasted=made.between(row[0], row[-1]),
        )

    fires_on = (
        (*(_finds(n) for n in range(9)), answers("I could not find it")),
        (*(_finds(n % 3, f"page {n % 3}") for n in range(12)), answers("done")),
        (_finds(0, "[]"), *(_finds(n, "[]") for n in range(1, 10)), answers("nothing")),
    )
    quiet_on = (
        (*(_finds(n) for n in range(5)), answers("I could not find it")),
        tuple(_finds(n, f"page {n}") for n in range(20)),
        tuple(calls("send_mail", f'{{"to": "{n}"}}', "sent") for n in range(20)),
        tuple(calls("write_file", f'{{"path": "{n}"}}', "ok") for n in range(20)),
        tuple(calls("bash", f'{{"command": "mkdir {n}"}}', "") for n in range(20)),
        tuple(step for n in range(8) for step in (_finds(n), calls("read", f'{{"page": {n}}}', f"text {n}"))),
        tuple(calls("status", "{}", "pending") for _ in range(12)),
        (*(fails(calls("search", f'{{"q": "{n}"}}'), "ValueError", f"bad query {n}") for n in range(9)), answers("sorry")),
    )


def _rows(made: Calls) -> Iterator[list[Step]]:
    """Stretches in which each result came before: from the very same call, or as the same words for nothing."""
    seen: set[tuple[object, ...]] = set()
    row: list[Step] = []
    for step in made.tools:
        result = outcome(step)
        deed = deed_of(step)
        if result is None or deed == "edit" or step.sign == "cancelled":
            if deed == "edit":
                seen.clear()  # what it looks at may have changed
            yield row
            row = []
            continue
        # A command that prints nothing has done its work; a search that finds nothing has not.
        barren = step.sign != "ok" or (deed != "shell" and _BARREN.search((step.result or "")[:200]) is not None)
        keys = {(step.tool, step.arguments_digest, result)} | ({(step.tool, result)} if barren else set())
        if seen.isdisjoint(keys):
            yield row
            row = []
        else:
            row.append(step)
        seen |= keys
    yield row
