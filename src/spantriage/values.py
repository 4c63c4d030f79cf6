"""JSON values out of a file, one after the other: JSON lines, documents over many lines, or the elements of a list.

Never more than one value is in memory, however large the file: a list of a million runs is read element by element.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from spantriage.files import Skip, TraceFile

__all__ = ["Value", "is_document", "load", "mend", "read"]

PIECE: Final = 1 << 20
TRIES: Final = 100  # damaged elements of one document after which it is given up
_GAP: Final = re.compile(rb"[\s,]*")


class Value(NamedTuple):
    """A value and where it begins: the line in a file of lines, else the number of the element."""

    line: int
    value: object


def load(text: bytes) -> object:
    """Parse JSON; also JSON with NaN, lone surrogates or broken UTF-8, which are replaced. Raises ValueError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return mend(json.loads(text.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            raise error from None


def mend(value: object) -> object:
    """A parsed value as it can be written again: lone surrogates replaced, integers beyond 64 bits as floats."""
    if type(value) is int:
        return value if -(1 << 63) <= value < 1 << 64 else float(value) if value.bit_length() < 1_000 else None
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if type(value) is dict:
        return {mend(key): mend(inner) for key, inner in value.items()}
    return [mend(inner) for inner in value] if type(value) is list else value


def is_document(head: bytes) -> bool:
    """Say whether a file that begins so is one JSON document over many lines rather than one value a line."""
    first, newline, _ = head.lstrip().partition(b"\n")
    return bool(newline) and first.rstrip()[-1:] in (b"{", b"[", b",", b":")


def read(file: TraceFile) -> Iterator[Value | Skip]:
    """The values of a file in their order. A list is taken apart; what is no JSON comes as a Skip."""
    head = file.head.lstrip()
    if head[:1] == b"[" and not _is_list_per_line(head):
        yield from _documents(file, listed=True)
    elif is_document(head):
        yield from _documents(file, listed=False)
    else:
        for line in file.lines():
            yield line if isinstance(line, Skip) else _value(file.path, *line)


def _is_list_per_line(head: bytes) -> bool:
    first, newline, _ = head.partition(b"\n")
    return bool(newline) and first.rstrip().endswith(b"]") and len(first) > 2


def _value(path: str, line: int, raw: bytes) -> Value | Skip:
    try:
        return Value(line, load(raw))
    except ValueError as error:
        return Skip(path, line, f"not JSON: {error}")


def _documents(file: TraceFile, *, listed: bool) -> Iterator[Value | Skip]:
    """The elements of a list, or documents one after the other; each cut out at its closing bracket, and alone in memory."""
    scan = _Scanner(file, listed)
    number = faults = 0
    while faults < TRIES:
        raw = scan.element()
        if raw is None:
            break
        number += 1
        found: Value | Skip = raw if isinstance(raw, Skip) else _value(file.path, number, raw)
        faults += isinstance(found, Skip)
        yield found
    if scan.cut and faults < TRIES:
        yield Skip(file.path, number + 1, "cut short: brackets are open at its end")


_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)  # a lone quote begins a string that has no end yet
_STRING_END: Final = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)


class _Scanner:
    """Finds where values end, by their brackets and strings alone."""

    def __init__(self, file: TraceFile, listed: bool) -> None:
        self._file = file
        self._listed = listed
        self._text = file.read(PIECE)
        self._at = self._text.find(b"[") + 1 if listed else 0
        self.cut = False

    def element(self) -> bytes | Skip | None:
        """The text of the next element; None at the end of the list, or of the file."""
        if not self._skip_gap():
            self.cut = self._listed
            return None
        cap, depth, at = self._file.limits.line_bytes, 0, self._at
        while at - self._at <= cap:
            found = _TOKEN.search(self._text, at)
            if found is None:
                at = len(self._text)
                moved = self._more()
                if moved is None:
                    break
                at -= moved
                continue
            token, at = found.group()[:2], found.end()
            if token == b'"':
                after = self._string_end(at, cap)
                if after is None:
                    break
                at = after
            elif token in b"[{":
                depth += 1
            elif depth:
                depth -= token in b"]}"
                if depth == 0 and not self._listed and token in b"]}":
                    raw, self._at = self._text[self._at : at], at
                    return raw
            elif token[:1] != b'"':
                raw = self._text[self._at : found.start()]
                self._at = at if token == b"," else found.start()  # the list's own end, or a bracket too many
                return raw if raw.strip() else None
        return self._give_up(cap)

    def _skip_gap(self) -> bool:
        while True:
            gap = _GAP.match(self._text, self._at)
            self._at = gap.end() if gap is not None else self._at
            if self._at < len(self._text):
                return True
            if self._more() is None:
                return False

    def _string_end(self, at: int, cap: int) -> int | None:
        at -= self._at
        while (end := _STRING_END.match(self._text, self._at + at)) is None:
            if len(self._text) - self._at > cap or self._more() is None:
                return None
        return end.end()

    def _give_up(self, cap: int) -> Skip | None:
        too_long = len(self._text) - self._at > cap
        self.cut, self._at = not too_long, len(self._text)
        return Skip(self._file.path, 0, f"an element longer than {cap} bytes") if too_long else None

    def _more(self) -> int | None:
        """Read on; returns by how much what is kept has moved to the front, None at the end of the file."""
        kept = self._text[self._at :]
        piece = self._file.read(max(PIECE, len(kept)))
        if not piece:
            return None
        moved, self._text, self._at = self._at, kept + piece, 0
        return moved
