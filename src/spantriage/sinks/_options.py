"""Options behind a sink's target: `target?name=value&name=value`. What is no option of the sink's stays in the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final
from urllib.parse import unquote_plus

from spantriage.errors import ConfigError

__all__ = ["Readers", "number", "seconds", "split", "words"]

Readers = Mapping[str, Callable[[str], object]]
MOST: Final = 1e9


def split(sink: str, target: str, readers: Readers) -> tuple[str, dict[str, object]]:
    """The target without its options, and the options. Raises ConfigError for a bad one; the target, which may be secret, is not told."""
    rest, mark, query = target.rpartition("?")
    if not mark:
        return target, {}
    kept: list[str] = []
    options: dict[str, object] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in readers:
            options[name] = _read(sink, name, unquote_plus(value), readers[name], options.get(name))
            continue
        if meant := get_close_matches(name.lower(), readers, 1, 0.8):
            raise ConfigError(f"unknown option in sink {sink}, much like {meant[0]!r}; there are: {', '.join(readers)}")
        kept.append(part)
    return (rest + mark + "&".join(kept) if kept else rest), options


def _read(sink: str, name: str, value: str, reader: Callable[[str], object], before: object) -> object:
    try:
        found = reader(value)
    except (ValueError, KeyError):
        raise ConfigError(f"option {name!r} in sink {sink} cannot be {value!r}") from None
    return before + found if isinstance(found, tuple) and isinstance(before, tuple) else found


def number(value: str) -> int:
    """A whole number above 0."""
    found = int(value) if value.isdecimal() else 0
    if not 0 < found < MOST:
        raise ValueError
    return found


def seconds(value: str) -> float:
    """A time above 0."""
    found = float(value)
    if not 0 < found < MOST:
        raise ValueError
    return found


def words(value: str) -> tuple[str, ...]:
    """Words with commas between them; an option of words may also be given several times."""
    found = tuple(word.strip().lower() for word in value.split(",") if word.strip())
    if not found:
        raise ValueError
    return found
