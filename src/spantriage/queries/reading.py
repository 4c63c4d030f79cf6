"""Spans from files and from memory as Arrow tables that can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spantriage.errors import NotARun, SourceError
from spantriage.files import Skip, walk
from spantriage.model import Step
from spantriage.sources import open_source
from spantriage.sources.spans import RecordedSpan
from spantriage.store.lines import as_table
from spantriage.store.spans import rows_of_spans

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_files", "spans_in", "table_of"]


def read_files(paths: Iterable[str | Path], skips: list[Skip], kind: str = "auto") -> pa.Table:
    """Every span of these files and folders, each once. What cannot be read goes into `skips`."""
    return table_of(spans_in(paths, skips, kind))


def table_of(spans: Iterable[Any]) -> pa.Table:
    """Recorded or ended spans as rows; of two with one id the first."""
    return as_table(rows_of_spans(spans))


def spans_in(paths: Iterable[str | Path], skips: list[Skip], kind: str = "auto") -> Iterator[RecordedSpan | Step]:
    """The spans, or steps, of files and folders, in the order they are there."""
    for path in paths:
        for found in walk(path):
            if isinstance(found, Skip):
                skips.append(found)
                continue
            try:
                for piece in open_source(found, kind):
                    if isinstance(piece, (RecordedSpan, Step)):
                        yield piece
                    elif isinstance(piece, Skip):
                        skips.append(piece)
            except NotARun as error:
                if found == str(path):
                    skips.append(Skip(found, 0, str(error)))
            except SourceError as error:
                skips.append(Skip(found, 0, str(error).removeprefix(f"{found}: ")))
