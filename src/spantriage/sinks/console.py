"""Findings for a person who watches the program run: one line each on stderr, or stdout with `console:stdout`."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from spantriage.errors import ConfigError
from spantriage.model import Severity
from spantriage.text import clean

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["ConsoleSink", "open"]

REMEMBERED: Final = 10_000  # findings whose repeats are recognised
_COLOURS: Final[dict[Severity, str]] = {"info": "36", "warning": "33", "error": "31", "critical": "1;31"}
_DIM: Final = "2"


def open(target: str = "") -> ConsoleSink:  # noqa: A001  # what every sink calls it
    """Open `stderr` (the default) or `stdout`."""
    if target not in ("", "stderr", "stdout"):
        raise ConfigError(f"sink console writes to stderr or stdout, not to {target!r}")
    return ConsoleSink(target or "stderr")


class ConsoleSink:
    """Prints a line for each finding; the same finding again only when something about it has changed."""

    def __init__(self, stream: str = "stderr") -> None:
        self._stream = stream  # looked up when needed: programs exchange their streams
        self._shown: OrderedDict[str, tuple[Severity, str, bool, bool]] = OrderedDict()
        self.repeats = 0

    def write(self, findings: Sequence[Finding]) -> None:
        """Print a batch. Raises OSError when the stream is closed or its reader has gone."""
        stream: TextIO | None = getattr(sys, self._stream)
        if stream is None:  # a program without a console
            return
        colours = _has_colours(stream)
        lines = [line for finding in findings if (line := self._line(finding, colours)) is not None]
        if not lines:
            return
        said = "".join(lines)
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(said.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except ValueError as error:  # what Python raises for a closed file
            raise OSError(f"{self._stream} is closed") from error

    def flush(self, timeout_s: float) -> bool:
        """Nothing is held back."""
        return True

    def close(self, timeout_s: float) -> None:
        """The stream is the program's; it stays open."""

    def _line(self, finding: Finding, colours: bool) -> str | None:
        state = (finding.severity, finding.summary, finding.primary, finding.withdrawn)
        before = self._shown.get(finding.finding_id)
        if before == state or (before is None and finding.withdrawn):
            self.repeats += 1
            return None
        self._shown[finding.finding_id] = state
        self._shown.move_to_end(finding.finding_id)
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        severity = "withdrawn" if finding.withdrawn else finding.severity
        about = f"{_inert(finding.agent or 'unknown')}: {_inert(finding.summary)}"
        if not finding.withdrawn:
            about += " (root cause)" * finding.primary + " (updated)" * (before is not None)
        link = f"trace={_inert(finding.trace_id)} span={_inert(finding.span_id)}"
        head = f"{severity:<9}"
        if colours:
            head, link = f"\x1b[{_COLOURS[finding.severity]}m{head}\x1b[0m", f"\x1b[{_DIM}m{link}\x1b[0m"
        return f"{head} {_inert(finding.code)}  {about}  {link}\n"


def _has_colours(stream: TextIO) -> bool:
    """On a terminal, unless it is dumb or NO_COLOR is set (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:
        return False


def _inert(text: str) -> str:
    """One line of text that no terminal takes for a command."""
    return " ".join(clean(text).split())
