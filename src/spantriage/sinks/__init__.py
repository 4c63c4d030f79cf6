"""Where findings go. One file each; the scheme of a sink is its file's name: `jsonl:findings.jsonl`.

Sinks run on the worker, never on the agent's thread. A sink that raises is counted, and asked again with the next
finding; what it could not write is counted as dropped.

A sink may also have `watch(survey)`, for what findings do not tell: agents at work, records, phases. It is called when
the worker begins, and again in a forked child, before any finding; the sink keeps the survey and asks it when it likes, on
a thread of its own, for a look at a long run takes a while.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from spantriage.errors import ConfigError
from spantriage.redact import redact

if TYPE_CHECKING:
    from spantriage.finding import Finding
    from spantriage.progress import Progress

__all__ = ["Sink", "Survey", "open_sink", "schemes", "shown"]

SECRET: Final = frozenset({"webhook", "command"})  # sinks whose targets are never told: who has the URL can use it


class Sink(Protocol):
    """A place that takes findings."""

    def write(self, findings: Sequence[Finding]) -> None:
        """Take a batch. May raise OSError; may be called again with later findings after that."""

    def flush(self, timeout_s: float) -> bool:
        """Hand on what is held back; False when that took too long."""

    def close(self, timeout_s: float) -> None:
        """Flush and let go, within the time given. May be called twice."""


class Survey(Protocol):
    """What a sink with `watch` is given."""

    def mark(self) -> object:
        """Something that is equal to what it was while nothing has changed. Cheap."""

    def take(self) -> Progress | None:
        """How far all runs have come; None when that cannot be had just now. For one thread at a time."""


def schemes() -> tuple[str, ...]:
    """The names that may stand before the colon."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def shown(spec: str) -> str:
    """A sink's name as messages and commands may tell it."""
    scheme, colon, target = spec.partition(":")
    return redact(spec) if scheme in schemes() and scheme not in SECRET else scheme + f"{colon}..." * bool(target)


def open_sink(spec: str) -> Sink:
    """Open `scheme` or `scheme:target`. Raises ConfigError for an unknown scheme, SinkError when it cannot be opened."""
    scheme, _, target = spec.partition(":")
    if scheme not in schemes():
        raise ConfigError(f"unknown sink {scheme!r}; there are: {', '.join(schemes())}")
    sink: Sink = importlib.import_module(f"{__name__}.{scheme}").open(target)
    return sink
