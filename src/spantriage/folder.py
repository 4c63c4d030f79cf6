"""A recorded run that lies in a folder: its files by name, each read within limits, nothing outside it touched.

Names come from whoever wrote the run. Links are never followed, a name that leads out of the folder is no name, and
what is no plain file is not opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from spantriage import values
from spantriage.errors import SourceError
from spantriage.files import LIMITS, Limits, Skip, TraceFile, open_file

__all__ = ["Folder"]

NAMES: Final = 100_000  # entries of one folder that are looked at
TEXT_CAP: Final = 16 << 20  # bytes of a text that is read whole
JSON_CAP: Final = 64 << 20  # the same for a document
PACKED: Final = ("", ".gz", ".xz", ".zst")
MISSING: Final = frozenset({"", ".", ".."})


class Folder:
    """One folder. What cannot be read is told to `skip`; without one it is as if it were not there."""

    def __init__(self, path: str | Path, limits: Limits = LIMITS, skip: Callable[[Skip], None] | None = None) -> None:
        self.path = str(path)
        self.name = os.path.basename(os.path.abspath(self.path))
        self.limits = limits
        self._skip = skip

    def skip(self, skip: Skip) -> None:
        """Tell that something could not be read."""
        if self._skip is not None:
            self._skip(skip)

    @cached_property
    def _entries(self) -> tuple[frozenset[str], frozenset[str]]:
        files, folders = set[str](), set[str]()
        try:
            with os.scandir(self.path) as found:
                for number, entry in enumerate(found):
                    if number >= NAMES:
                        self.skip(Skip(self.path, 0, f"more than {NAMES} entries; the others were not looked at"))
                        break
                    if entry.is_symlink():
                        continue
                    (folders if entry.is_dir(follow_symlinks=False) else files).add(entry.name)
        except OSError as error:
            self.skip(Skip(self.path, 0, error.strerror or str(error)))
        return frozenset(files), frozenset(folders)

    @property
    def files(self) -> frozenset[str]:
        """Names of what is no folder and no link."""
        return self._entries[0]

    @property
    def folders(self) -> frozenset[str]:
        """Names of the folders in it, links left out."""
        return self._entries[1]

    @property
    def parent(self) -> Folder:
        """The folder that it lies in."""
        return Folder(os.path.dirname(os.path.abspath(self.path)), self.limits, self._skip)

    def sub(self, *names: str) -> Folder | None:
        """A folder below, if it is there and every part of the way is a plain folder."""
        found: Folder = self
        for name in names:
            if name in MISSING or name not in found.folders:
                return None
            found = Folder(os.path.join(found.path, name), self.limits, self._skip)
        return found

    def subs(self) -> Iterator[Folder]:
        """The folders in it, by name; hidden ones left out."""
        for name in sorted(self.folders):
            if not name.startswith("."):
                yield Folder(os.path.join(self.path, name), self.limits, self._skip)

    def has(self, name: str) -> bool:
        """Say whether a file of this name is there, packed or not."""
        return any(name + suffix in self.files for suffix in PACKED)

    def file(self, name: str) -> str:
        """The path of a file as it is shown in findings and messages."""
        return os.path.join(self.path, name)

    def open(self, name: str) -> TraceFile | None:
        """Open a plain file of this name, packed or not; None when there is none, which is no fault."""
        found = next((name + suffix for suffix in PACKED if name + suffix in self.files), None)
        if found is None:
            return None
        path = self.file(found)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                self.skip(Skip(path, 0, "not a plain file"))
                return None
            return open_file(path, self.limits)
        except (OSError, SourceError) as error:
            self.skip(Skip(path, 0, str(error).removeprefix(f"{path}: ")))
            return None

    def head(self, name: str) -> bytes:
        """How a file begins: its first 64 KiB; nothing when it is missing."""
        file = self.open(name)
        if file is None:
            return b""
        with file:
            return file.head

    def text(self, name: str, cap: int = TEXT_CAP) -> str | None:
        """A small file as text, what is no UTF-8 replaced; None when it is missing or larger than `cap` bytes."""
        file = self.open(name)
        if file is None:
            return None
        with file:
            raw = file.read(cap + 1)
            if file.fault is not None:
                self.skip(Skip(file.path, 0, file.fault))
            if len(raw) > cap:
                self.skip(Skip(file.path, 0, f"larger than {cap} bytes"))
                return None
        return raw.decode("utf-8", "replace")

    def json(self, name: str) -> dict[str, object]:
        """A file's JSON object; {} when it is missing, damaged or something else, which is told to `skip`."""
        raw = self.text(name, min(JSON_CAP, self.limits.line_bytes))
        if raw is None:
            return {}
        try:
            found = values.load(raw.encode("utf-8", "replace"))
        except ValueError as error:
            self.skip(Skip(self.file(name), 0, f"not JSON: {error}"))
            return {}
        if not isinstance(found, dict):
            self.skip(Skip(self.file(name), 0, "not a JSON object"))
            return {}
        return found

    def lines(self, name: str) -> Iterator[tuple[int, dict[str, object]]]:
        """The JSON objects of a file that has one a line, with their line numbers; others are told to `skip`."""
        file = self.open(name)
        if file is None:
            return
        with file:
            for value in values.read(file):
                if isinstance(value, Skip):
                    self.skip(value)
                elif isinstance(value.value, dict):
                    yield value.line, value.value
                else:
                    self.skip(Skip(file.path, value.line, "not a JSON object"))
            if file.fault is not None:
                self.skip(Skip(file.path, file.line, file.fault))

    def objects(self, name: str) -> Iterator[tuple[int, dict[str, object]]]:
        """The JSON objects among the lines of a log, with their line numbers; everything else in it is no fault."""
        file = self.open(name)
        if file is None:
            return
        with file:
            for line in file.lines():
                if not isinstance(line, Skip) and line[1].lstrip()[:1] == b"{":
                    try:
                        found = values.load(line[1])
                    except ValueError:
                        continue
                    if isinstance(found, dict):
                        yield line[0], found
