"""A report as Markdown: GitHub's, in which outside text is only ever text."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from spantriage import __version__
from spantriage.report.words import Cell, Check, Code, Document, Heading, Listing, Ref, Section, Sentence, Table

__all__ = ["escape", "prompt", "render"]

_MARKS: Final = re.compile(r"[\\`*\[\]<>|~$&{}@!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LINK: Final = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp|javascript|data|file)(:)|\b(www)(\.)")
_HEAD: Final = re.compile(r"^([#+=\-](?=.)|\d{1,9}[.)](?=\s|$))")
_FIGURE: Final = re.compile(r"[+-]?[\d.,]{1,30}(?: (?:s|min|%))?")
_TICKS: Final = re.compile("`+")


def render(document: Document) -> str:
    """The whole document."""
    return str(_template("report.md.j2").render(document=document, version=__version__))


def prompt(**values: object) -> str:
    """The words for an agent that is to write a report by itself."""
    return str(_template("prompt.md.j2").render(**values))


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("spantriage.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  # Markdown has an escape of its own
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "kind": lambda block: type(block).__name__, "refs": _refs, "plain": escape}
    return environment.get_template(name)


def escape(text: str) -> str:
    """Outside text that means nothing in Markdown, wherever it stands: no link, no emphasis, no table, no HTML."""
    if isinstance(text, Code):
        return _code(text)
    text = _LINK.sub(lambda found: f"{found[1] or found[3]}\\{found[2] or found[4]}", _MARKS.sub(r"\\\g<0>", text))
    if _FIGURE.fullmatch(text):
        return text
    return _HEAD.sub(lambda found: found[1][:-1] + "\\" + found[1][-1] if len(found[1]) > 1 else "\\" + found[1], text)


def _code(text: str) -> str:
    """As code, fenced by more backticks than it holds; a bar would end a table's cell even there."""
    if not text.strip():
        return "(empty)"
    fence = "`" * (max(map(len, _TICKS.findall(text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _refs(refs: tuple[Ref, ...], more: int = 0) -> str:
    refs = tuple(dict.fromkeys(refs))
    told = ", ".join(_code(str(ref)) for ref in refs[:6])
    more += len(refs[6:])
    return f"{told} and {more} more" if more else told


def _cell(cell: Cell) -> str:
    if isinstance(cell, Sentence):
        said = "".join(escape(part) if is_outside else part for is_outside, part in cell.parts)
        return f"{said} ({_refs(cell.refs, cell.more)})" if cell.refs else said
    return _code(cell) if isinstance(cell, Code) else f"{cell:,}" if isinstance(cell, int) else cell


BLOCKS = (Heading, Sentence, Check, Table, Listing, Section)
