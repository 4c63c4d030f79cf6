"""loop.near_duplicate"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from spantriage.arguments import read_arguments
from spantriage.calls import in_turn, outcome, same_call
from spantriage.detectors import Detector, Example
from spantriage.detectors.example import answers, asks, calls
from spantriage.model import Step, Verdict
from spantriage.state import AgentState

READ_CAP: Final = 1_000  # longer arguments are not compared
SHORT: Final = 100  # a longer result is more than "nothing found" or "ok"
_WORD: Final = re.compile(r"[^\W_]+")
_PATH: Final = re.compile(r"[/\\]|\w\.\w{1,5}\b|@|^\w+[-_]\w+$|[{}<>=;$]")
_SMALL: Final = frozenset(re.findall(r"\w+", "a an and are at by for from in is it me my of on or please the to what which with"))
_EMPTY: Final = re.compile(
    r"^\W*(null|none|undefined|nothing( found)?|not found|(no|0|zero) (\w+ )?"
    r"(results?|match(es)?|hits?|items?|documents?|records?|rows?|entries|data)( (were |was )?found)?)?\W*$",
    re.IGNORECASE,
)
_ACK: Final = re.compile(
    r"^[\W_]*(ok(ay)?|done|true|yes|success(ful(ly)?)?|succeeded|sent|saved|stored|written|created|updated|deleted|added|accepted|queued|ack(nowledged)?"
    r"|\"?(status|success|result|ok)\"?\W+(ok|true|success|done))\b.{0,20}$",
    re.IGNORECASE | re.DOTALL,
)


def _searches(*queries: str, result: str = "[]") -> Example:
    return tuple(step for query in queries for step in (asks("search"), calls("search", f'{{"q": "{query}"}}', result)))


@dataclass(frozen=True, slots=True)
class NearDuplicate(Detector):
    """An agent words the same tool call a little differently each time, and gets the same result or nothing.

    ## Why it matters
    Case, punctuation and word order do not change what a search finds. Guards against repeated calls compare the exact
    arguments and do not see it.

    ## What to do
    Normalise arguments before caching; tell the agent that rewording has not helped and that it should ask for something
    else, or go elsewhere.

    ## When it is wrong
    Numbers, ids, paths, names and page marks that differ mean different work, and a bare "ok" says nothing about whether
    two writes were the same; all these are left alone. A search engine may treat word order as meaning. Exact repeats
    are loop.repeated_call.
    """

    code = "loop.near_duplicate"
    category = "model_logic"
    subcategory = "wrong_strategy"
    score = 0.75
    actionable = "Tell the agent that rewording has not helped; normalise arguments before caching."
    tier = "worker"
    speaks_of = frozenset({"tool"})

    at: int = 4
    """How many wordings of one call in a row are too many."""
    overlap: float = 0.75
    """The share of words that two free texts must have in common."""

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak when one wording too many has come, once for each row."""
        wordings: list[Step] = []
        row: list[Step] = []
        for call in reversed(agent.calls):
            if wordings and not self._alike(call, wordings[-1]):
                break
            row.append(call)
            if not wordings or not same_call(call, wordings[-1]):
                wordings.append(call)
            if len(wordings) > self.at:
                return
        if len(wordings) == self.at and (len(row) < 2 or not same_call(row[0], row[1])) and in_turn(row[::-1]):
            yield self.found(
                step,
                f"Tool {step.tool} was called with {len(wordings)} wordings of the same arguments and gave the same result",
                evidence=wordings[::-1],
            )

    def _alike(self, one: Step, other: Step) -> bool:
        if one.tool is None or one.tool != other.tool or one.sign != other.sign or not _same_result(one, other):
            return False
        if same_call(one, other):
            return True
        said = (one.arguments, other.arguments)
        if said[0] is None or said[1] is None or max(len(said[0]), len(said[1])) > READ_CAP:
            return False
        ours, theirs = _fields(said[0]), _fields(said[1])
        least = 1.0 if _is_short(one) and _ACK.match(one.result or "") else self.overlap
        return ours.keys() == theirs.keys() and all(_alike_values(ours[key], theirs[key], least) for key in ours)

    fires_on = (
        (*_searches("weather Paris", "Weather Paris", "paris weather", "weather, Paris!"), answers("unknown")),
        (
            *_searches(
                "best practice for retry logic in queues",
                "best practice for queue retry logic in queues",
                "retry logic in queues best practice",
                "the best practice for retry logic in queues",
                result="No results found",
            ),
            answers("unknown"),
        ),
    )
    quiet_on = (
        tuple(calls("list", f'{{"cursor": "c{page}"}}', "[]") for page in range(5)),
        tuple(calls("read", f'{{"path": "src/{name}.py"}}', "") for name in ("a", "b", "c", "d", "e")),
        tuple(calls("write", f'{{"note": "{text}"}}', "ok") for text in ("buy milk now", "now buy milk", "buy bread now", "now buy bread")),
        _searches("capital of France", "capital of Spain", "capital of Italy", "capital of Malta"),
        _searches("find the email of the customer John Smith", "find the email of the customer Jane Smith",
                  "find the email of the customer Jack Smith", "find the email of the customer Joan Smith"),
        (*_searches("weather Paris", result="sunny"), *_searches("Weather Paris", result="rain"),
         *_searches("paris weather", result="fog"), *_searches("paris, weather", result="snow")),
        _searches("weather Paris", "weather Paris", "weather Paris", "weather Paris"),
    )  # fmt: skip


def _same_result(one: Step, other: Step) -> bool:
    if outcome(one) is not None and outcome(one) == outcome(other):
        return True
    return not one.failed and all(_is_short(step) and _EMPTY.match(step.result or "") for step in (one, other))


def _is_short(step: Step) -> bool:
    return step.result is not None and len(step.result) <= SHORT


def _fields(arguments: str) -> dict[str, object]:
    given = read_arguments(arguments)
    return {"": arguments} if given is None else _flat(given)


def _flat(given: Mapping[str, object]) -> dict[str, object]:
    """Arguments with those that mean nothing left out; positional and named ones that were recorded apart put together."""
    inner = given.get("kwargs")
    flat = {**given, **inner} if isinstance(inner, Mapping) else given
    return {str(key): value for key, value in islice(flat.items(), 64) if value is not None and key != "kwargs"}


def _alike_values(one: object, other: object, least: float) -> bool:
    if one == other and type(one) is type(other):
        return True
    if not isinstance(one, str) or not isinstance(other, str) or _PATH.search(one) or _PATH.search(other):
        return False
    ours, theirs = _words(one), _words(other)
    differ = ours ^ theirs
    if not differ:
        return bool(ours)
    if any(_tells_apart(word, one) or _tells_apart(word, other) for word in differ):
        return False
    return len(ours | theirs) >= 4 and len(ours & theirs) / len(ours | theirs) >= least


def _words(said: str) -> frozenset[str]:
    return frozenset(word for word in _WORD.findall(said.lower()) if word not in _SMALL)


def _tells_apart(word: str, said: str) -> bool:
    """Numbers and ids always do; so does a name, which is written with a capital within the text."""
    return any(c.isdigit() for c in word) or f" {word.capitalize()}" in said
