"""Which turn of a run that is known to have failed most likely went wrong first. An order of evidence, no model.

What is asked is not what broke but who first did what could no longer be put right; so it is the turn that wrote an
action and not the action, and of several the first, because what comes later tends to follow from it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from spantriage.barren import is_barren
from spantriage.grounds import groundless_in
from spantriage.settled import Settled
from spantriage.turns import Turn, is_answering, talk_of

__all__ = ["REASONS", "Culprit", "Reason", "culprit_of"]

Reason = Literal["unfounded_answer", "claimed_look", "first_deed", "failed_action", "quick_answer", "repeated_call", "first_turn"]
# In the order in which they are tried: how likely people name such a turn or one right beside it, and why they should.
REASONS: Final[dict[Reason, tuple[float, str]]] = {
    "unfounded_answer": (0.6, "answered what it had planned to look up, and looked nothing up"),
    "claimed_look": (0.6, "told what it had found, and nothing had been looked at since it last spoke"),
    "first_deed": (0.5, "was the first to do more than hand the task on"),
    "failed_action": (0.5, "wrote the first action that failed"),
    "quick_answer": (0.6, "answered after a few calls, when more could still have been done"),
    "repeated_call": (0.5, "was the first to do again what had been done"),
    "first_turn": (0.5, "spoke first"),
}
READ: Final = 6_000  # characters of a reply that are looked at
COMPARED: Final = 1_000  # characters of a call's arguments that are
QUICK: Final = 4  # turns, the answer among them, up to which an answer is a quick one
OVERLAP: Final = 0.6  # the share of the shorter call's words that make two calls alike
KEPT: Final = 64  # earlier calls that one is compared with
_LOOKED: Final = re.compile(
    r"\bI(?:'ve| have)(?: now| just| successfully| already| manually| carefully)? (?:located|retrieved|found|accessed|gathered|obtained"
    r"|reviewed|verified|checked|confirmed|collected|identified|examined|analy[sz]ed|visited|compiled|extracted|looked up|searched)\b"
    r"|\bupon (?:manually |further |careful )?(?:check|verif|review|inspect|examin|search|visit|analy)\w{1,8}"
    r"|\b(?:here|below) (?:is|are) the (?:\S{1,20} ){0,4}(?:information|data|details|results|findings|prices|pricing|reviews|figures"
    r"|excerpt)\b"
    r"|\bthe (?:article|page|website|site|source|report|database) (?:states|says|lists|shows|indicates|mentions|reads)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W_]{2,}")


@dataclass(frozen=True, slots=True)
class Culprit:
    """A turn, and what speaks against it."""

    turn: Turn
    reason: Reason


def culprit_of(settled: Settled) -> Culprit | None:
    """The first of `REASONS` that a turn of the run gives; None where nobody spoke."""
    talk = talk_of(settled)
    if not talk:
        return None
    groundless = groundless_in(settled)
    if groundless:
        return Culprit(groundless[0].turn, "unfounded_answer")
    if any(turn.bare for turn in talk):
        return _of_team(talk)
    return _of_agent(talk)


def _of_team(talk: list[Turn]) -> Culprit:
    """Agents that take turns, and whose model calls left no spans."""
    leader = _leader(talk)
    claim = next(_claims(talk), None) if leader is None else None
    if claim is not None:
        return Culprit(claim, "claimed_look")
    led = [turn for turn in talk if turn.step.agent != leader]
    if leader is not None:
        return Culprit(led[0], "first_deed")
    handed_on = len(talk) > 1 and not talk[0].acted  # the first to speak says what was asked
    return Culprit(talk[1] if handed_on else talk[0], "first_deed")


def _of_agent(talk: list[Turn]) -> Culprit:
    failed = next((turn for turn in talk if turn.broken is not None), None)
    if failed is not None:
        return Culprit(failed, "failed_action")
    answer = talk[-1]
    if len(talk) <= QUICK and not answer.work and all(turn.step.agent == answer.step.agent for turn in talk):
        return Culprit(answer, "quick_answer")
    repeated = next(_repeats(talk), None)
    if repeated is not None:
        return Culprit(repeated, "repeated_call")
    return Culprit(next((turn for turn in talk if turn.acted), talk[0]), "first_turn")


def _leader(talk: list[Turn]) -> str | None:
    """Who speaks most, calls no tool, and has the word back after nearly each turn of the others."""
    (name, number), *others = Counter(turn.step.agent for turn in talk).most_common()
    replies = [index for index, turn in enumerate(talk[:-1]) if turn.step.agent != name]
    back = sum(talk[index + 1].step.agent == name for index in replies)
    leads = others and 2 * number > len(talk) and len(replies) > 1 and back >= 0.8 * len(replies)
    return name if leads and not any(turn.work for turn in talk if turn.step.agent == name) else None


def _claims(talk: list[Turn]) -> Iterator[Turn]:
    """Turns that tell of a look at the world, with no tool's result between them and their agent's last turn."""
    since: dict[str | None, int] = {}
    for index, turn in enumerate(talk):
        before = talk[max(0, since.get(turn.step.agent, 0)) : index]
        worked = any(not is_barren(tool) for earlier in before for tool in earlier.work)
        if index and not worked and not turn.work and _LOOKED.search(turn.said[:READ]):
            yield turn
        since[turn.step.agent] = index


def _repeats(talk: list[Turn]) -> Iterator[Turn]:
    """Turns that call a tool in nearly the words of an earlier call."""
    made: list[tuple[str | None, frozenset[str]]] = []
    for turn in talk:
        fresh = [(tool.tool, _words(tool.arguments)) for tool in turn.tools if not is_answering(tool.tool)]
        if any(one[0] == other[0] and _alike(one[1], other[1]) for one in fresh for other in made[-KEPT:]):
            yield turn
        made += fresh


def _words(arguments: str | None) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall((arguments or "")[:COMPARED]))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one) and bool(other) and len(one & other) >= OVERLAP * min(len(one), len(other))
