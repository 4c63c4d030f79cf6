"""Asking: a question by name or in SQL, put to a store, to files, to spans in memory, to Logfire or to ClickHouse."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from spantriage.errors import MissingExtra, SourceError
from spantriage.files import Skip
from spantriage.queries.catalogue import Named, named

if TYPE_CHECKING:
    import pyarrow as pa

    from spantriage.finding import Finding

__all__ = ["Engine", "On", "is_sql", "open_engine", "query", "titled"]

LOG: Final = logging.getLogger("spantriage")
DEFAULT_STORE: Final = ".spantriage/store"
On = str | Path | Sequence[str | Path] | Iterable[Any]


class Engine(Protocol):
    """Something that answers questions."""

    name: str

    def run(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """Answer one SELECT in PostgreSQL's words. Raises QueryError."""

    def refresh(self) -> None:
        """See what has come since."""

    def close(self) -> None:
        """Let go."""


def query(question: str, on: On = DEFAULT_STORE, **parameters: object) -> pa.Table:
    """Answer a question, by its name or in SQL, as an Arrow table.

    `on` is a store, a file or folder of recorded spans (or several), spans in memory as the SDK ends them, "logfire", or
    "clickhouse" and its URL. Raises QueryError, and SourceError when nothing could be read.
    """
    engine = open_engine(on)
    try:
        if is_sql(question):
            return engine.run(question, parameters)
        known = named(question)
        return engine.run(known.sql, known.bind(parameters))
    finally:
        engine.close()


def is_sql(question: str) -> bool:
    """A name is one word; everything else is SQL."""
    return not question.strip().replace("-", "_").isidentifier()


def open_engine(on: On = DEFAULT_STORE, *, skips: list[Skip] | None = None) -> Engine:
    """The engine for what is asked about. Pieces of files that could not be read go into `skips`."""
    if isinstance(on, str) and is_remote(on):
        return _open_remote(on)
    if isinstance(on, Sequence) and len(on) > 1 and isinstance(on[0], str) and is_remote(on[0]):
        return _open_or_fall_back(on[0], on[1:], skips)
    try:
        from spantriage.queries.duck import Duck
    except ImportError:
        raise MissingExtra("local queries", "cli") from None
    from spantriage.queries.reading import read_files, table_of

    if isinstance(on, (str, Path)) or (isinstance(on, Sequence) and on and all(isinstance(each, (str, Path)) for each in on)):
        paths = [Path(on)] if isinstance(on, (str, Path)) else [Path(each) for each in on]
        if len(paths) == 1:
            from spantriage.store.layout import check, is_store

            if is_store(paths[0]):
                check(paths[0].absolute())
                return Duck(paths[0].absolute(), lambda: stored_findings(paths[0]))
            if on == DEFAULT_STORE and not paths[0].exists():
                raise SourceError(f"there is no store at {on}; say what to ask about: a store, files or folders, logfire or clickhouse")
        found: list[Skip] = [] if skips is None else skips
        table = read_files(paths, found)
        if found and not table.num_rows:
            raise SourceError(str(found[0]))
        return Duck(table, lambda: judged_findings(paths))
    return Duck(table_of(on))


def stored_findings(store: Path) -> list[Finding]:
    """What holds of the findings in a store."""
    from spantriage.reader import fold, read_findings

    found: list[Finding] = []
    for path in sorted((store / "findings").glob("*.jsonl*")):
        with suppress(SourceError):  # its time has come since we looked
            found += read_findings(path)
    return fold(found)


def judged_findings(paths: Iterable[Path]) -> list[Finding]:
    """What is found in recorded runs: they are judged now."""
    from spantriage.config import configure_detectors, load_settings
    from spantriage.detectors import all_detectors
    from spantriage.engine import Engine as Judge
    from spantriage.replay import Replay

    replay = Replay(Judge(configure_detectors(load_settings(), all_detectors())))
    return [finding for judged in replay.scan(paths) for finding in judged.findings]


def is_remote(on: str) -> bool:
    """Whether this names a server: `logfire?days=90`, `clickhouse:http://...`."""
    return re.match(r"(logfire|clickhouse)([:?]|$)", on) is not None


def _open_or_fall_back(on: str, others: Sequence[str | Path], skips: list[Skip] | None) -> Engine:
    """The server, or without a token for it what is on this machine."""
    from spantriage.queries.logfire import NoToken

    try:
        return _open_remote(on)
    except NoToken as error:
        LOG.warning("%s; asking %s instead", str(error).partition(":")[0], ", ".join(map(str, others)))
        return open_engine(others, skips=skips)


def _open_remote(on: str) -> Engine:
    if on.startswith("logfire"):
        from spantriage.queries.logfire import Logfire

        return Logfire(on.partition("?")[2])
    from spantriage.queries.clickhouse import ClickHouse

    return ClickHouse(on)


def titled(question: str) -> Named | None:
    """The named question, or None for SQL."""
    return None if is_sql(question) else named(question)
