"""What an answer stands on: the work that its agent did for it, or nothing but its own words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from spantriage.settled import Settled
from spantriage.turns import Turn, turns_of

__all__ = ["Groundless", "groundless_in"]

TURNS: Final = 6  # who acts more often than this without tools does its work in code
READ: Final = 6_000  # characters of a reply that are looked at
# What cannot be done without a look at the world outside.
_LOOKS: Final = re.compile(
    r"\b(?:search(?:es|ing)?|look(?:ing)?(?: it| them| this| that)? up|retriev(?:e|ing)|locat(?:e|ing)|consult(?:ing)?|visit(?:ing)?"
    r"|access(?:ing)?|brows(?:e|ing)|fetch(?:ing)?|navigat(?:e|ing)|download(?:ing)?|transcrib(?:e|ing)|inspect(?:ing)?|query(?:ing)?)\b",
    re.IGNORECASE,
)
# Words by which an answer says that it comes from what the model knows, expects or makes up.
_RECALLS: Final = re.compile(
    r"\b(?:simulat\w{1,4}|assum(?:e|ed|es|ing|ption)|recall\w{0,3}|recollect\w{0,4}|typical(?:ly)?|hypothetical(?:ly)?|placeholder"
    r"|well.(?:known|established)|commonly|it(?:'s| is) (?:well )?known|(?:known|common) (?:facts?|documentation|knowledge)"
    r"|based on (?:my|general|common|what|typical|available)|from memory|general knowledge|I know|deduce|educated guess)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Groundless:
    """An answer for which nothing was looked up, though its agent had planned to."""

    turn: Turn  # that gives the answer
    plan: Turn
    planned: str  # the word of the plan that says so
    source: Literal["recalled", "claimed"]  # it says that it knows or assumes; it speaks as if it had looked
    words: str | None  # by which it says that it recalls


def groundless_in(settled: Settled) -> list[Groundless]:
    """Answers of agents that planned to look something up, called no tool and no other agent, and answered all the same."""
    known = settled.memo.get("groundless")
    if not isinstance(known, list):
        found = (_judge(turns) for turns in turns_of(settled))
        known = settled.memo["groundless"] = [each for each in found if each is not None]
    return known


def _judge(turns: list[Turn]) -> Groundless | None:
    acting = [turn for turn in turns if turn.acted]
    if len(turns) < 2 or not 0 < len(acting) <= TURNS or any(turn.helpers or turn.work or turn.bare for turn in turns):
        return None
    first = turns.index(acting[0])
    plan = turns[first - 1] if first else None
    if plan is None or plan.step.failed or any(_asks(turn) for turn in turns[: first + 1]):
        return None
    planned = _LOOKS.search(plan.said[:READ])
    if planned is None:
        return None
    turn = _answer(turns[first:])
    words = _RECALLS.search(turn.said[:READ])
    return Groundless(turn, plan, planned[0], "claimed" if words is None else "recalled", None if words is None else words[0])


def _answer(turns: list[Turn]) -> Turn:
    """The first turn that hands in an answer, by a call or in the code that it writes; else the last."""
    names = {tool.tool for turn in turns for tool in turn.tools if tool.tool}
    return next((turn for turn in turns if turn.tools or any(f"{name}(" in turn.said for name in names)), turns[-1])


def _asks(turn: Turn) -> bool:
    """Whether the turn asks for a call that is not known to have run: what came of it was not recorded."""
    return turn.step.content is not None and bool(turn.step.content.requested) and not turn.tools
