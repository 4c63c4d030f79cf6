"""What prompts ask for, as far as a reply can be held against it. Plain text in, plain facts out."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

__all__ = ["end_mark", "speaks_of_tools"]

NEAR: Final = 80  # characters before a tag in which it is demanded
TAGS: Final = 64  # tags of one message that are looked at
_TAG: Final = re.compile(r"</?end[\w-]{0,30}>")
_WANTS: Final = re.compile(r"\b(?:write|end|finish|close|add|append|output|include|put|terminate|conclude)\w{0,3}\b", re.IGNORECASE)
_SPEAKS_OF_TOOLS: Final = re.compile(
    r"\b(?:tool|function)[ _-]calls?\b|\bcall(?:ing)? (?:a |the |any |one )?(?:tools?|functions?)\b"
    r"|\b(?:available|following|provided|these|your) (?:tools|functions)\b",
    re.IGNORECASE,
)


def end_mark(said: str) -> str | None:
    """The tag for the end that a message demands: named within a few words after "write", "end" or the like."""
    if "<end" not in said and "</end" not in said:
        return None
    for tag in islice(_TAG.finditer(said), TAGS):
        before = said[max(0, tag.start() - NEAR) : tag.start()]
        if _WANTS.search(before[before.rfind(".") + 1 :]):
            return tag[0]
    return None


def speaks_of_tools(said: str) -> bool:
    """Say whether instructions speak of tool calls, so that there are tools though none may be declared."""
    return _SPEAKS_OF_TOOLS.search(said) is not None
