"""Agent text made safe: capped, free of surrogates and control characters, parsed only within limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

__all__ = ["bare", "clean", "clip", "count", "digest", "ends", "load", "name", "number", "plain", "string"]

LOAD_CAP: Final = 1 << 20  # bytes of JSON that are parsed; a larger text is opaque
DIGEST_CAP: Final = 1 << 16
NAME_CAP: Final = 200
_BUILT_IN: Final = frozenset({str, int, float, bool, tuple, list, bytes, type(None)})
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def bare(attributes: Mapping[str, object]) -> Mapping[str, object]:
    """A live span's attributes as they would be recorded: a member of a string Enum is its string, a NumPy number a number."""
    values = attributes.values()
    if _BUILT_IN.issuperset(map(type, values)) and not any(
        type(value) is tuple and not _BUILT_IN.issuperset(map(type, value)) for value in values
    ):
        return attributes
    return {str.__str__(key): _bare(value) for key, value in attributes.items()}


def _bare(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_bare(each) for each in value)
    if isinstance(value, str):
        return str.__str__(value)
    if type(value) is not bool and isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value


def clip(text: str, size: int) -> str:
    """Cut to `size` characters, saying how many are missing."""
    return text if len(text) <= size else f"{text[:size]}… ({len(text) - size} more)"


def ends(text: str, size: int) -> str:
    """Cut to some `size` characters from both ends, three quarters of them from the first: verdicts tend to come last."""
    if len(text) <= size:
        return text
    head, tail = size - size // 4, size // 4
    return f"{text[:head]}… ({len(text) - size} more) …{text[-tail:]}"


def clean(text: str) -> str:
    """Make text fit for every output: no lone surrogate, no control, bidi or line-separator character."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return _UNSAFE.sub(" ", text)


def string(value: object) -> str | None:
    """A non-empty string, or None."""
    return value if type(value) is str and value else None


def plain(value: object) -> str | None:
    """A result or argument value as text: strings as they are, other JSON values as JSON, None stays None."""
    if value is None or type(value) is str:
        return value
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return None


def name(value: object) -> str | None:
    """An agent, tool or model name: a string of sane length, or None."""
    if type(value) is not str or not value:
        return None
    return value if len(value) <= NAME_CAP else clip(value, NAME_CAP)


def count(value: object) -> int | None:
    """A token count: a non-negative integer that fits 63 bits, or None. A bool, a float or "12" is no count."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def number(value: object) -> float | None:
    """A finite, non-negative amount, or None."""
    if type(value) is int or type(value) is float:
        return float(value) if 0 <= value < 1e15 else None
    return None


def digest(text: str | None) -> int | None:
    """A fingerprint for equality inside this process; of a huge text only head and length count."""
    if text is None:
        return None
    return hash(text) if len(text) <= DIGEST_CAP else hash((text[:DIGEST_CAP], len(text)))


def load(text: object) -> object:
    """Parse JSON within limits; None when it is not JSON, too large or too deep. Mappings and lists pass through."""
    if isinstance(text, (Mapping, list, tuple)):
        return text
    if type(text) is not str or len(text) > LOAD_CAP:
        return None
    try:
        return orjson.loads(text)
    except (ValueError, RecursionError):  # orjson's JSONDecodeError is a ValueError; surrogates too
        return None
