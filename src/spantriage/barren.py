"""Tool results that bring nothing: a failure, or the word that nothing was found."""

from __future__ import annotations

import re
from typing import Final

from spantriage.model import Step

__all__ = ["is_barren", "says_nothing_found"]

READ: Final = 300
_NOT_FOUND: Final = re.compile(
    r"^\W{0,8}(?:no (?:results?|match(?:es)?|data|hits?|items?|records?|documents?|files?|such|information)\b|nothing (?:was )?found"
    r"|0 (?:results?|hits|matches)"
    r"|none\b|null\b)|\bnot found\b|\b(?:could|can)(?:n'?t| ?not) (?:be )?(?:found|find|locate|access|retrieve|open|download|convert)"
    r"|\bunable to (?:find|locate|access|retrieve|download)|\bno (?:results|matches|such file)\b|\bdoes not exist\b|\b(?:404"
    r"|403)\b.{0,30}(?:not found|forbidden|error)"
    r"|\b(?:access|permission) denied\b|\bservice unavailable\b",
    re.IGNORECASE,
)


def says_nothing_found(result: str | None) -> bool:
    """Say whether a result that is well-formed says, in its first words, that there is nothing."""
    return result is not None and _NOT_FOUND.search(result[:READ]) is not None


def is_barren(step: Step) -> bool:
    """Say whether a tool call, or a step of a workflow that ran code, gave its agent nothing to go on."""
    if step.kind == "tool":
        return step.sign not in ("ok", "cancelled") or says_nothing_found(step.result)
    return step.failed and step.kind in ("workflow", "retrieval") and step.sign != "cancelled"
