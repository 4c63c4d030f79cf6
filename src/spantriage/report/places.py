"""Where a fact stands in the files of a log folder: the file and the line."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

from spantriage.folder import Folder
from spantriage.report.words import Ref
from spantriage.sources import times

__all__ = ["Places"]

CAP: Final = 32 << 20  # bytes of a file that are searched for lines; of larger ones only the name is told
_TIMES: Final = re.compile(r'"(?:timestamp|start_time|last_activity|unix_timestamp)"\s*:\s*(\d+\.\d+)')
_CALL: Final = re.compile(r'"(?:tool_id|call_id)"\s*:\s*"([^"\\]{1,200})"')
TIMED: Final = ("coordination_events.json", "status.json", "metrics_events.json")
CALLS: Final = ("events.jsonl", "metrics_events.json")


class _File:
    """One file with the offsets of its lines."""

    def __init__(self, folder: Folder | None, name: str) -> None:
        self.text = (folder.text(name, CAP) or "") if folder is not None and folder.has(name) else ""

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self.text)]

    def line(self, offset: int) -> int:
        return bisect_right(self._ends, offset - 1) + 1


class Places:
    """The files of one attempt, each read when it is first asked for. `above` is put before their names."""

    def __init__(self, folder: Folder, above: str = "") -> None:
        self._folder, self._above = folder, above
        self._files: dict[str, _File] = {}

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return self._folder.has(name)

    def ref(self, name: str, *keys: str) -> Ref:
        """The line where these keys stand, each behind the one before; without a line where one is missing."""
        file, at = self._file(name), 0
        for key in keys:
            found = file.text.find(f'"{key}"', at) if name.endswith((".json", ".jsonl")) else file.text.find(key, at)
            if found < 0:
                return Ref(file=self._above + name)
            at = found + len(key) + 2
        return Ref(file=self._above + name, line=file.line(at - 1) if keys else None)

    def saying(self, name: str, words: str) -> Ref | None:
        """The first line of a file that holds these words."""
        at = self._file(name).text.find(words) if words else -1
        return Ref(file=self._above + name, line=self._file(name).line(at)) if at >= 0 else None

    def at(self, when_ns: int) -> Ref | None:
        """The line that tells of something that happened at this time."""
        return self._timed.get(when_ns)

    def call(self, call_id: str | None) -> Ref | None:
        """The line that tells of a tool call."""
        return self._calls.get(call_id or "")

    def _file(self, name: str) -> _File:
        if name not in self._files:
            *above, own = name.split("/")
            folder = self._folder.sub(*above) if above else self._folder
            self._files[name] = _File(folder, own)
        return self._files[name]

    @cached_property
    def _timed(self) -> dict[int, Ref]:
        found: dict[int, Ref] = {}
        for name in TIMED:
            file = self._file(name)
            for match in _TIMES.finditer(file.text):
                when = times.read(float(match[1]))
                if when is not None:
                    found.setdefault(when, Ref(file=self._above + name, line=file.line(match.start())))
        return found

    @cached_property
    def _calls(self) -> dict[str, Ref]:
        found: dict[str, Ref] = {}
        for name in CALLS:
            file = self._file(name)
            for match in _CALL.finditer(file.text):
                found[match[1]] = Ref(file=self._above + name, line=file.line(match.start()))
        return found
