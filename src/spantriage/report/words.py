"""What a report is made of: sentences with their evidence, tables, checkboxes, sections.

Our words and outside text never mix: a sentence is a template of ours and the values that go into it. Values are redacted
and cleaned when they are taken in, and escaped when they are written out, in whatever form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage.redact import redact
from spantriage.text import clean, clip

__all__ = [
    "Block",
    "Cell",
    "Check",
    "Code",
    "Document",
    "Heading",
    "Listing",
    "Ref",
    "Row",
    "Section",
    "Sentence",
    "Table",
    "code",
    "missing",
    "outside",
    "tell",
]

VALUE_CAP: Final = 300
REFS: Final = 6  # places named for one sentence; the others are counted


@dataclass(frozen=True, slots=True)
class Ref:
    """Where a sentence can be checked: a span, or a line of a file."""

    span_id: str | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.span_id is not None:
            return f"span:{self.span_id}"
        return f"{self.file}:{self.line}" if self.line else f"{self.file}"


class Code(str):
    """Outside text that is shown as code: a command, a tool's name."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words of ours with `{}` where outside text goes, and where it all can be checked."""

    template: str
    values: tuple[str, ...] = ()
    refs: tuple[Ref, ...] = ()
    more: int = 0  # places beyond those named

    @property
    def parts(self) -> Iterator[tuple[bool, str]]:
        """(is it outside text?, text) from the first word to the last."""
        ours = self.template.split("{}")
        for index, words in enumerate(ours):
            if words:
                yield False, words
            if index < len(self.values):
                yield True, self.values[index]


Cell = str | int | Sentence
Row = tuple[tuple[Cell, ...], list[Ref]]


@dataclass(frozen=True, slots=True)
class Check:
    """A checkbox: done, not done, or (None) the data does not say."""

    title: str
    done: bool | None
    because: Sentence


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under titles; each row with its evidence in a column of its own."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    refs: tuple[tuple[Ref, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    title: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Sentences as a list; numbered where their order matters."""

    sentences: tuple[Sentence, ...]
    numbered: bool = False


Block = Heading | Sentence | Check | Table | Listing


@dataclass(slots=True)
class Section:
    """A section under its heading."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Put blocks at its end."""
        self.blocks += blocks

    def heading(self, title: str) -> None:
        """Begin a part of its own."""
        self.blocks.append(Heading(title))

    def listing(self, sentences: Iterable[Sentence], otherwise: Sentence, *, numbered: bool = False) -> None:
        """Add a list; where there is nothing to list, say so."""
        found = tuple(sentences)
        self.blocks.append(Listing(found, numbered) if found else otherwise)

    def table(self, columns: tuple[str, ...], rows: Iterable[tuple[tuple[Cell, ...], Iterable[Ref]]], otherwise: Sentence) -> None:
        """Add a table of rows and their evidence; where there are none, say so."""
        found = list(rows)
        if not found:
            self.blocks.append(otherwise)
            return
        self.blocks.append(Table(columns, tuple(cells for cells, _ in found), tuple(tuple(refs) for _, refs in found)))


@dataclass(slots=True)
class Document:
    """A whole report."""

    title: str
    facts: list[tuple[str, Cell]]
    sections: list[Section]


def tell(template: str, *values: object, refs: Iterable[Ref] = ()) -> Sentence:
    """A sentence. Raises ValueError where the number of values is not that of the places for them."""
    if template.count("{}") != len(values):
        raise ValueError(f"{template!r} has no place for {len(values)} values")
    named = list(dict.fromkeys(refs))
    return Sentence(
        template, tuple(value if isinstance(value, Code) else outside(value) for value in values), tuple(named[:REFS]), len(named[REFS:])
    )


def outside(said: object, cap: int = VALUE_CAP) -> str:
    """Text from outside on one line: without credentials and control characters, cut to `cap` characters."""
    raw = "" if said is None else str(said)
    return clip(" ".join(clean(redact(raw[: cap * 4])).split()), cap)


def code(said: object, cap: int = 160) -> Code:
    """The same, to be shown as code."""
    return Code(outside(said, cap))


def missing(what: str) -> Sentence:
    """Say which data a part would need that is not there."""
    return Sentence(f"No data: {what}")
