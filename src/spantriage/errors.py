"""Every exception that spantriage raises on purpose.

SpantriageError
├── ConfigError(ValueError)     a setting is unknown or has a bad value
├── SourceError(ValueError)     a recorded run cannot be read
│   └── NotARun                 it is JSON, but no recorded run in a format that we know
├── SinkError(OSError)          a sink that was asked for by name cannot be opened
├── QueryError(ValueError)      a question in SQL cannot be understood, or cannot be answered
│   └── RateLimited             the back end asks to wait longer than we may
├── StoreError(OSError)         a store cannot be opened, written or read
├── AttachError(RuntimeError)   there is no tracer provider to attach to
└── MissingExtra(ImportError)   an optional library is needed

None of them ever leaves a span hook: on the agent's path errors are counted, not raised.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self

__all__ = [
    "AttachError",
    "ConfigError",
    "MissingExtra",
    "NotARun",
    "QueryError",
    "RateLimited",
    "SinkError",
    "SourceError",
    "SpantriageError",
    "StoreError",
]


class SpantriageError(Exception):
    """The root of the tree; catch this to catch them all."""


class ConfigError(SpantriageError, ValueError):
    """A setting is unknown or has a bad value; the message names the setting and where it was read."""


class SourceError(SpantriageError, ValueError):
    """A recorded run cannot be read; the message names file and line."""


class NotARun(SourceError):
    """A JSON file in no format that we know; in a folder such files are passed over."""


class SinkError(SpantriageError, OSError):
    """A sink that was asked for by name cannot be opened; the message names the sink and the reason."""


class QueryError(SpantriageError, ValueError):
    """A question in SQL cannot be understood or answered; the message says where (line and column, from 1) and what is near."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}, column {column}: {message}")
        self.line, self.column = line, column

    @classmethod
    def at(cls, sql: str, name: str, words: str, known: Iterable[str]) -> Self:
        """About a name in the statement that is not known: where it stands, and the known name that is nearest."""
        near = get_close_matches(name, list(known), n=1, cutoff=0.5)
        place = sql.lower().find(name.lower())
        line, column = (sql.count("\n", 0, place) + 1, place - sql.rfind("\n", 0, place)) if place >= 0 else (None, None)
        return cls(f"{words} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""), line, column)


class RateLimited(QueryError):
    """The back end asks to wait for longer than a question may take."""


class StoreError(SpantriageError, OSError):
    """A store cannot be opened, written or read; the message names the folder or file and the reason."""


class AttachError(SpantriageError, RuntimeError):
    """There is nothing to attach to; the message says how to get a tracer provider."""


class MissingExtra(SpantriageError, ImportError):
    """An optional library is needed; the message is the pip line that installs it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f'{purpose} needs an extra: pip install "spantriage[{extra}]"')
