"""How likely it is that a run failed: a few things that are seen of each run, weighed by a small table.

The table (`odds.json`) was fitted on labelled runs of several kinds by `benchmarks/accuracy/fit_odds.py`, which also
says what it was fitted on. Each thing has a reason why it should tell on runs never seen:

- `claim`: the strongest claim that the run failed (no answer, no work, gave up); the claims are made to be that.
- `long_run`: the logarithm of the turns beyond thirty. What goes wrong takes more turns; what goes well ends.
- `long_talk`: the same beyond ten turns for conversations with a person, who goes on asking as long as it is not done.
- `brief`: an agent left to itself that stopped after a few calls; what is worth an agent needs more.
- `declined`: a conversation that ends on a refusal or with the person handed over. Nothing was changed, so little can
  be wrong.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import exp, log
from typing import Final

import orjson

from spantriage.settled import Settled
from spantriage.turns import Turn, talk_of

__all__ = ["FEATURES", "chance", "features_of"]

FEATURES: Final = ("claim", "long_run", "long_talk", "brief", "declined")
REPLIES: Final = 2  # of a person to what the agent said; from then on it is a conversation
RUN: Final = 30  # turns that an agent left to itself may take
TALK: Final = 10  # turns that a conversation may take
BRIEF: Final = 5  # calls up to which the work of an agent left to itself is brief
ENDING: Final = 3  # of so many last replies to a person one may be the refusal
READ: Final = 2_000
_REFUSES: Final = re.compile(
    r"\b(?:unfortunately|I(?:'m| am) sorry|apologi[sz]e|(?:I|we) (?:cannot|can'?t|am unable|are unable|am not able|won't be able)"
    r"|not (?:allowed|eligible|possible|permitted|able to)|against (?:our|the) policy|policy (?:does not|doesn't))\b",
    re.IGNORECASE,
)
_HANDS_OVER: Final = re.compile(r"transfer|escalat|hand_?off|human", re.IGNORECASE)


def chance(claim: float, settled: Settled) -> float:
    """How likely the run failed, 0..1, where one run in five fails; `claim` is the strongest claim that it did."""
    table = _table()
    seen = features_of(claim, settled)
    return 1 / (1 + exp(-(table["intercept"] + sum(table[name] * seen[name] for name in FEATURES))))


def features_of(claim: float, settled: Settled) -> dict[str, float]:
    """What the table weighs, by name."""
    talk = [turn for turn in talk_of(settled) if not turn.bare]
    is_talk = sum(not before.acted and _is_spoken_to(turn) for before, turn in pairwise(talk)) >= REPLIES
    calls = sum(len(turn.work) for turn in talk)
    return {
        "claim": claim,
        "long_run": 0.0 if is_talk else log(max(1.0, len(talk) / RUN)),
        "long_talk": log(max(1.0, len(talk) / TALK)) if is_talk else 0.0,
        "brief": float(not is_talk and 0 < calls <= BRIEF),
        "declined": float(is_talk and _declines(talk)),
    }


def _is_spoken_to(turn: Turn) -> bool:
    return turn.step.content is not None and turn.step.content.spoken_to


def _declines(talk: list[Turn]) -> bool:
    last = talk[-1].step.content
    if last is not None and any(call.name is not None and _HANDS_OVER.search(call.name) for call in last.requested):
        return True
    for turn in reversed(talk[-ENDING:]):
        if turn.acted:
            return False
        if turn.step.content is not None and _REFUSES.search((turn.step.content.text or "")[:READ]):
            return True
    return False


@cache
def _table() -> dict[str, float]:
    loaded = orjson.loads(files("spantriage").joinpath("odds.json").read_bytes())
    return {name: float(loaded["weights"][name]) for name in ("intercept", *FEATURES)}
