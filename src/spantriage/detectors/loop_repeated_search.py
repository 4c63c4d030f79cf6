"""loop.repeated_search"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from spantriage.calls import calls_of, in_turn
from spantriage.deeds import words_of
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import answers, calls
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

READ: Final = 1_000  # characters of a query that are compared
_SEARCHES: Final = frozenset({"search", "searcher", "searches", "lookup", "query", "google", "bing", "duckduckgo", "tavily", "serper"})
_PLACES: Final = frozenset({"file", "files", "code", "page", "grep", "symbol", "text", "tool", "tools"})  # to look there again is work
_WORD: Final = re.compile(r"[^\W_]{2,}")
_KEY: Final = re.compile(r'"\w{1,40}"\s*:')
_SMALL: Final = frozenset(re.findall(r"\w+", "an and are at by for from in is it of on or the to was what which who with true false null"))


def _searches(*queries: str) -> Example:
    return tuple(calls("web_search", f'{{"query": "{query}"}}', f"10 results for {query}") for query in queries)


@dataclass(frozen=True, slots=True)
class RepeatedSearch(Detector):
    """An agent searches again, right after a search, in nearly the same words.

    ## Why it matters
    A search engine that has not found it in these words will not find it in the same words in another order. Each round
    costs a turn and fills the history with the same results.

    ## What to do
    Give the agent something to do with results other than searching again: open the first, or search elsewhere. Say in
    the prompt that a second search must ask for something else.

    ## When it is wrong
    To narrow a search by a word or two is how people search as well. It is told as "info", at the last search of the
    row. Searches in code and files are left alone.
    """

    code = "loop.repeated_search"
    category = "model_logic"
    subcategory = "wrong_strategy"
    severity = "info"
    score = 0.6
    actionable = "Have the agent open a result or search elsewhere before it searches again."
    tier = "run"

    overlap: float = 0.6
    """The share of the shorter query's words that both must have."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look for rows of searches with nothing else between them."""
        for made in calls_of(settled):
            for searching, row in groupby(made.tools, key=_is_search):
                found = list(row)
                if searching and len(found) > 1 and in_turn(found) and self._again(found):
                    last = found[-1]
                    summary = f"{last.agent} searched {len(found)} times in a row, at last in words that it had used before"
                    yield self.found(last, summary, evidence=found[-8:], wasted=made.between(found[-2], last))

    def _again(self, row: list[Step]) -> bool:
        last = _words(row[-1])
        return any(
            words and last and row[-1].tool == step.tool and len(words & last) >= self.overlap * min(len(words), len(last))
            for step in row[:-1]
            for words in (_words(step),)
        )

    fires_on = (
        (*_searches("pie menus 2015 authors", "authors of pie menus 2015 paper"), answers("unknown")),
        (*_searches("goose game award winner", "britain weather", "winner of the goose game award 2019"), answers("unknown")),
    )
    quiet_on = (
        (*_searches("capital of France", "population of Lima"), answers("Paris")),
        (*_searches("goose game award"), calls("visit_page", '{"url": "a"}', "text"), *_searches("goose game award 2019"), answers("yes")),
        (*(calls("search_files", f'{{"query": "def read {n}"}}', "a.py") for n in range(4)), answers("done")),
        (calls("bash", '{"command": "ls a"}', "x"), calls("bash", '{"command": "ls a"}', "x"), answers("done")),
    )


def _is_search(step: Step) -> bool:
    words = words_of(step.tool or "")
    return not words.isdisjoint(_SEARCHES) and words.isdisjoint(_PLACES)


def _words(step: Step) -> frozenset[str]:
    said = _KEY.sub(" ", (step.arguments or "")[:READ])
    return frozenset(word.lower() for word in _WORD.findall(said)) - _SMALL
