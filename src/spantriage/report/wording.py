"""The ground-truth rule: what is right nobody knows unless somebody says so.

Our own words are held against the list, not what agents are quoted with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from spantriage.report.words import Check, Document, Heading, Listing, Sentence, Table

__all__ = ["FORBIDDEN", "NEUTRAL", "claims", "violations"]

NEUTRAL: Final = ("claimed", "produced", "submitted", "arrived at")
_RIGHT: Final = r"(?:right|correct|wrong|incorrect|accurate)"
FORBIDDEN: Final = re.compile(
    r"\bcorrectly (?:identif|solv|answer|determin|comput|conclud)\w+|\bsolved (?:it |the \w+ )?correctly"
    rf"|\b(?:got|gave|found|reached) the {_RIGHT} (?:answer|result|solution)|\b{_RIGHT} answers?\b"
    rf"|\banswers? (?:is|was|are|were) {_RIGHT}\b|\banswered (?:correctly|incorrectly|wrongly)\b|\bcorrect (?:solution|result)\b",
    re.IGNORECASE,
)


def claims(text: str) -> list[str]:
    """Phrases in a text that say what only ground truth can."""
    return [found[0] for found in FORBIDDEN.finditer(text)]


def violations(document: Document) -> list[str]:
    """Phrases in our own words that say what only ground truth can."""
    return [phrase for words in _ours(document) for phrase in claims(words)]


def _ours(document: Document) -> Iterator[str]:
    for section in document.sections:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Heading):
                yield block.title
            elif isinstance(block, Check):
                yield block.title
                yield block.because.template
            elif isinstance(block, Sentence):
                yield block.template
            elif isinstance(block, Listing):
                yield from (sentence.template for sentence in block.sentences)
            elif isinstance(block, Table):
                yield from (cell.template for row in block.rows for cell in row if isinstance(cell, Sentence))
