"""Findings read back from a file: every whole one, whatever happened to the file, and an account of the rest.

A writer that is killed leaves half a line; a disk that fills up, a copy, an editor or another tool leave worse. What
cannot be read is skipped and listed with its line and reason, and holes in the numbering of each writer are found.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Final

import orjson
from pydantic import ValidationError

from spantriage.errors import SourceError
from spantriage.finding import Finding

__all__ = ["Gap", "Reading", "Skipped", "files_of", "fold", "read_findings"]

LINE_CAP: Final = 1 << 24  # bytes; a longer line is skipped unread
_CHUNK: Final = 1 << 18
_GZIP: Final = b"\x1f\x8b"
_BLANK: Final = b" \t\r\n"
_JOINTS: Final = " \t\r\n,[]\ufeff"  # what may stand around findings without being a loss
_START: Final = re.compile(r'\{\s*"')  # never inside a JSON string, where the quote is escaped
_NOTHING: Final = "no whole JSON object"
_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None, strict=False)  # NaN and Infinity become null


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the file that is no finding."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines that a writer has numbered and that are not here: lost, or in another file of a rotation."""

    writer_id: str
    first: int
    last: int


def read_findings(path: str | Path, *, strict: bool = False) -> Reading:
    """The findings of a file, plain or gzipped, in the order of its lines; read anew whenever it is iterated.

    With `strict` the first thing that is not one clean JSON finding on a line of its own raises SourceError naming file
    and line. A file that cannot be opened raises SourceError in any case.
    """
    return Reading(Path(path), strict)


def fold(findings: Iterable[Finding]) -> list[Finding]:
    """What holds in the end: the last line of each finding, without those taken back."""
    last: dict[str, Finding] = {}
    for finding in findings:
        last[finding.finding_id] = finding
    return [finding for finding in last.values() if not finding.withdrawn]


def files_of(path: str | Path) -> list[Path]:
    """The files that a sink with this path has written, oldest first: rotated ones and those of single processes."""
    path = Path(path)
    heads = sorted({path, *path.parent.glob(f"{escape(path.stem)}.*-*-*{escape(path.suffix)}")})
    found: list[Path] = []
    for head in heads:
        rotated = [p for p in path.parent.glob(f"{escape(head.name)}.*") if p.suffix[1:].isdecimal()]
        found += sorted(rotated, key=lambda p: -int(p.suffix[1:]))
        if head.is_file():
            found.append(head)
    return found


@dataclass(slots=True)
class Reading:
    """The findings of one file. Once iterated to the end, the other fields say how the reading went."""

    path: Path
    strict: bool = False
    lines: int = 0
    repaired: int = 0  # findings that were glued together, or stood beside something broken, on their line
    skipped: list[Skipped] = field(default_factory=list)
    _ranges: dict[str, list[list[int]]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Finding]:
        self.lines = self.repaired = 0
        self.skipped, self._ranges = [], {}
        for number, line in self._split():
            self.lines = number
            if line is None:
                self._skip(f"longer than {LINE_CAP} bytes")
                continue
            line = line.strip(_BLANK)
            if not line:
                continue
            found = _read_clean(line)
            for finding in [found] if found is not None else self._recover(line):
                self._number(finding)
                yield finding

    @property
    def gaps(self) -> list[Gap]:
        """Holes in the numbering, as far as the file shows them: before the highest number of each writer."""
        found: list[Gap] = []
        for writer_id, ranges in self._ranges.items():
            expected = 1
            for first, last in sorted(ranges):
                if first > expected:
                    found.append(Gap(writer_id, expected, first - 1))
                expected = max(expected, last + 1)
        return found

    def _number(self, finding: Finding) -> None:
        if finding.writer_id is None or finding.seq is None:
            return
        ranges = self._ranges.setdefault(finding.writer_id, [])
        if ranges and ranges[-1][1] + 1 == finding.seq:
            ranges[-1][1] = finding.seq
        else:
            ranges.append([finding.seq, finding.seq])

    def _skip(self, reason: str) -> None:
        if self.strict:
            raise SourceError(f"{self.path}:{self.lines}: {reason}")
        self.skipped.append(Skipped(self.lines, reason))

    def _split(self) -> Iterator[tuple[int, bytes | None]]:
        """Lines and their numbers; None for one that is too long."""
        number, parts, size = 1, [b""], 0
        for chunk in self._bytes():
            *whole, rest = chunk.split(b"\n")
            for piece in whole:
                yield number, None if size + len(piece) > LINE_CAP else b"".join((*parts, piece))
                number, parts, size = number + 1, [], 0
            size += len(rest)
            if size <= LINE_CAP:
                parts.append(rest)
        if size:
            yield number, None if size > LINE_CAP else b"".join(parts)

    def _bytes(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                chunks = iter(lambda: file.read(_CHUNK), b"")
                first = next(chunks, b"")
                if not first.startswith(_GZIP):
                    yield first
                    yield from chunks
                    return
                yield from self._inflate(first, chunks)
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror or error}") from error

    def _inflate(self, chunk: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack gzip members one after the other; of a damaged one, what comes before the damage."""
        member = zlib.decompressobj(wbits=31)
        while chunk:
            try:
                plain = member.decompress(chunk, _CHUNK)
            except zlib.error:
                self._skip("the gzip stream is damaged here")
                return
            yield plain
            if member.eof:
                chunk = member.unused_data.lstrip(b"\0") or next(chunks, b"")
                member = zlib.decompressobj(wbits=31) if chunk else member
            else:
                chunk = member.unconsumed_tail or next(chunks, b"")
        if not member.eof:
            yield member.flush()
            self._skip("the gzip stream ends early")

    def _recover(self, line: bytes) -> Iterator[Finding]:
        """Every whole finding on a line that is not one; each stretch between them that holds something is skipped."""
        text = line.decode("utf-8", "replace")
        told, at, why = 0, 0, _NOTHING
        effort, attempt = (1 << 20) + 4 * len(text), 1_000 + len(text) // 1_000  # characters; bounds what a hostile line can cost
        while effort > 0 and (match := _START.search(text, at)):
            start = match.start()
            try:
                value, at = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError) as error:  # no JSON; a number of thousands of digits; nested beyond reason
                at, effort = start + 1, effort - attempt - (getattr(error, "pos", start) - start)
                continue
            found = _validate(_mend(value))
            if isinstance(found, str):
                why, effort = why if text[told:start].strip(_JOINTS) else found, effort - attempt - (at - start)
                at = start + 1  # a whole one may stand where a torn one waited for a value
                continue
            if text[told:start].strip(_JOINTS):
                self._skip(why)
            if self.strict:
                self._skip("not one clean JSON object on a line of its own")
            told, why = at, _NOTHING
            self.repaired += 1
            yield found
        if text[told:].strip(_JOINTS) or (self.strict and not told):
            self._skip(why)


def _read_clean(line: bytes) -> Finding | None:
    try:
        found = _validate(orjson.loads(line))
    except ValueError:
        return None
    return None if isinstance(found, str) else found


def _validate(value: object) -> Finding | str:
    """The finding, or why it is none, in words that quote nothing of the line."""
    try:
        return Finding.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"not a finding: {where or 'the line'}: {first['type']}"


def _mend(value: object) -> object:
    """The same JSON value without lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_mend(part) for part in value]
    if isinstance(value, dict):
        return {str(_mend(key)): _mend(part) for key, part in value.items()}
    return value
