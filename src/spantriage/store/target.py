"""A store as it is named: `FOLDER` or `FOLDER?content=yes&keep_days=30`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

from spantriage.errors import ConfigError

__all__ = ["StoreTarget", "read_target"]


class StoreTarget(NamedTuple):
    """Where spans are kept, and how."""

    folder: Path
    content: bool = False  # also what people and models said
    keep_days: int | None = None


def read_target(said: str) -> StoreTarget:
    """Read the name of a store. Raises ConfigError for an option that does not exist or has a bad value."""
    path, _, query = said.partition("?")
    if not path:
        raise ConfigError("a store needs a folder")
    content, keep_days = False, None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "content" and value in ("yes", "no"):
            content = value == "yes"
        elif name == "keep_days" and value.isdecimal() and int(value) > 0:
            keep_days = int(value)
        elif name in ("content", "keep_days"):
            raise ConfigError(f"option {name!r} of store {path} cannot be {value!r}")
        else:
            raise ConfigError(f"unknown option {name!r} of store {path}; there are: content, keep_days")
    return StoreTarget(Path(path), content, keep_days)
