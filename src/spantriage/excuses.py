"""What fails on our side and must not be the program's concern: counted each time, told once."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

__all__ = ["excuse"]

LOG: Final = logging.getLogger("spantriage")


def excuse(counters: Counter[str], name: str, words: str) -> None:
    """Count the exception that is being handled under this name; the first one is logged with these words and its traceback."""
    counters[name] += 1
    if counters[name] == 1:
        LOG.warning(words, exc_info=True)
