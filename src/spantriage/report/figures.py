"""How figures are written: seconds, money, shares, tokens. What is not known is a word, never a zero."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["UNKNOWN", "length", "money", "number", "seconds", "share", "tokens"]

UNKNOWN: Final = "unknown"
_MORE: Final = re.compile(r"… \((\d{1,12}) (?:more|characters)\)")


def seconds(amount: float | None) -> str:
    """`0.467 s`, `3.24 s`, `3.4 min`."""
    if amount is None:
        return UNKNOWN
    if amount < 1:
        return f"{amount:.3f} s"
    return f"{amount:.2f} s" if amount < 120 else f"{amount / 60:.1f} min"


def money(amount: float | None) -> str:
    """`$0.0780`."""
    return UNKNOWN if amount is None else f"${amount:,.4f}" if amount < 10 else f"${amount:,.2f}"


def share(part: float, whole: float) -> str:
    """`50.4 %`; of nothing, nothing can be told."""
    return f"{100 * part / whole:.1f} %" if whole else UNKNOWN


def tokens(amount: float | None) -> str:
    """`27,955`."""
    return UNKNOWN if amount is None else f"{int(amount):,}"


def number(amount: int, noun: str) -> str:
    """`1 finding`, `3 findings`, `no finding`."""
    return f"{amount or 'no'} {noun}{'s' if amount > 1 else ''}"


def length(text: str | None) -> int | None:
    """How long a text was before it was cut, in characters."""
    if text is None:
        return None
    found = _MORE.search(text)
    return len(text) if found is None else max(len(text) - len(found[0]), 0) + int(found[1])
