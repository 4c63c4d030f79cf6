"""Traces made fit to be shared: what names people, machines and places is taken out, and on demand all that was said.

Credentials are redacted already when a trace is made. What stays is what the numbers and findings need.
"""

from __future__ import annotations

import re
from typing import Final

from spantriage.redact import redact

__all__ = ["sanitise"]

DEPTH: Final = 100
SAID: Final = frozenset({"task_instruction", "result", "code_changes", "test_output", "tool_input", "details"})
LEFT_OUT: Final = "[left out]"
_PLACES: Final = (
    (re.compile(r"(?:/home|/Users|/var/home)/[^/\s\"':,;)\]}]{1,64}"), "~"),
    (re.compile(r"[A-Za-z]:\\{1,2}Users\\{1,2}[^\\\s\"':,;)\]}]{1,64}"), "~"),
    (re.compile(r"/root(?=[/\s\"':,;)\]}]|$)"), "~"),
    (re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"), "[email]"),
    (re.compile(r"\b(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}\b"), "[address]"),
    (re.compile(r"\b(?:[A-Fa-f0-9]{1,4}:){4,7}[A-Fa-f0-9]{1,4}\b"), "[address]"),
    (re.compile(r"\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.(?:internal|local|lan|corp|intranet)\b"), "[host]"),
)


def sanitise(value: object, *, drop_content: bool = False, depth: int = 0) -> object:
    """The same JSON value without homes, addresses and machines; with `drop_content` also without instructions, replies and code."""
    if type(value) is str:
        value = redact(value)
        for pattern, word in _PLACES:
            value = pattern.sub(word, value)
        return value
    if depth > DEPTH:
        return LEFT_OUT
    if isinstance(value, dict):
        return {
            sanitise(key): LEFT_OUT
            if drop_content and key in SAID and inner
            else sanitise(inner, drop_content=drop_content, depth=depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [sanitise(inner, drop_content=drop_content, depth=depth + 1) for inner in value]
    return value
