"""Which agents were at work when the process died: a small file that each process keeps, and the next start reads.

`journal-<writer>.jsonl` names the process in its first line, then what has started and what has ended. The worker
writes it, so that nothing waits for a disk; what started within the last half second before a crash may be missing.
A living owner holds a lock on its file, so that a process id that is used again, or one of another container, misleads
nobody; where the system has no such locks there is no journal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import orjson

from spantriage.model import Step

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # a module or nothing

__all__ = ["Journal", "crashed"]

LOG: Final = logging.getLogger("spantriage")
VERSION: Final = 1
LINES: Final = 2_000  # after which the file is written anew with what is open
OPEN: Final = 5_000  # spans that one journal tells of
SIZE: Final = 4 << 20  # bytes of a journal that are read
FILES: Final = 100  # journals that one start reads
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class Journal:
    """One process's own file. For the worker's thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None
        self._file: FileIO | None = None
        self._told: set[int] = set()
        self._lines = 0

    def write(self, span_ids: Collection[int], step_of: Callable[[int], Step]) -> None:
        """Note which spans are open now; nothing is written where nothing has changed. Raises OSError."""
        ended = [span_id for span_id in self._told if span_id not in span_ids]
        room = OPEN - len(self._told) + len(ended)
        started = list(islice((span_id for span_id in span_ids if span_id not in self._told), room))
        if (not started and not ended) or fcntl is None:
            return
        if self._file is None or self._lines > LINES + 2 * len(self._told):
            self._begin()
            started, ended = list(islice(span_ids, OPEN)), []
        assert self._file is not None
        lines = [_start_line(step_of(span_id)) for span_id in started] + [orjson.dumps({"end": f"{span_id:016x}"}) for span_id in ended]
        self._file.write(b"\n".join(lines) + b"\n")
        self._lines += len(lines)
        self._told = (self._told - set(ended)) | set(started)

    def close(self) -> None:
        """The process ends in good order: without open spans there is nothing to tell."""
        if self._file is None or self._path is None:
            return
        if not self._told:
            self._path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def rest(self) -> None:
        """Nothing is left of it while nothing is open; the next span begins it anew. Raises OSError."""
        if not self._told:
            self.close()

    def after_fork(self) -> None:
        """In a forked child: the file, and its lock, are the parent's."""
        if self._file is not None:
            self._file.close()
        self._path, self._file, self._told, self._lines = None, None, set(), 0

    def _begin(self) -> None:
        """A new file under our own name. It takes the old one's place only once it is locked and has its first line."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path or self.folder / f"journal-{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        fresh = path.with_suffix(".new")
        file = FileIO(os.open(fresh, _FLAGS, 0o600), "wb")  # no buffer: a forked child must not write what was left in it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(orjson.dumps({"journal": VERSION, "pid": os.getpid()}) + b"\n")
            fresh.replace(path)
        except OSError:
            file.close()
            raise
        if self._file is not None:
            self._file.close()
        self._path, self._file, self._told, self._lines = path, file, set(), 0


def crashed(folder: Path) -> Iterator[Step]:
    """The spans that were open when their processes died, each told once; the journals that told of them are removed."""
    for path in sorted(folder.glob("journal-*.jsonl"))[:FILES]:
        try:
            with path.open("rb") as file:
                if not _is_ours(file, path):
                    continue
                raw = file.read(SIZE)
                head, steps = _read(raw)
                if head is None:
                    continue
                path.unlink()
        except OSError:
            LOG.debug("journal %s is left alone", path, exc_info=True)
            continue
        yield from steps


def _is_ours(file: IO[bytes], path: Path) -> bool:
    """Whether nobody else holds the journal, its owner or another reader, and it is still where it was."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _read(raw: bytes) -> tuple[dict[str, Any] | None, list[Step]]:
    """The first line, and what was open at the end; a line that was torn is passed over."""
    head: dict[str, Any] | None = None
    found: dict[int, Step] = {}
    for line in raw.split(b"\n"):
        try:
            entry = orjson.loads(line)
            if head is None:
                head = entry if entry.get("journal") == VERSION else None
                if head is None:
                    return None, []
            elif "end" in entry:
                found.pop(int(entry["end"], 16), None)
            else:
                step = _step(entry)
                found[step.span_id] = step
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return head, _outermost(found.values())


def _outermost(steps: Iterable[Step]) -> list[Step]:
    """One step for each agent of each trace: the one that began first, with a note of what it was just doing."""
    found: dict[tuple[int, str | None], Step] = {}
    latest: dict[int, Step] = {}
    for step in sorted(steps, key=lambda each: each.order):
        found.setdefault((step.trace_id, step.agent), step)
        latest[step.trace_id] = step
    named = {trace_id for trace_id, agent in found if agent is not None}
    kept = [step for (trace_id, agent), step in found.items() if agent is not None or trace_id not in named]
    for step in kept:
        step.note = {"doing": latest[step.trace_id].name}
    return kept


def _start_line(step: Step) -> bytes:
    parent = None if step.parent_id is None else f"{step.parent_id:016x}"
    return orjson.dumps(
        {
            "trace": f"{step.trace_id:032x}",
            "span": f"{step.span_id:016x}",
            "parent": parent,
            "kind": step.kind,
            "name": step.name[:200],
            "agent": step.agent,
            "began": step.start_ns,
        }
    )


def _step(entry: dict[str, Any]) -> Step:
    began, parent, agent = entry["began"], entry["parent"], entry["agent"]
    if type(began) is not int or not (agent is None or type(agent) is str) or entry["kind"] not in ("agent", "model", "tool", "workflow"):
        raise ValueError(entry)
    parent_id = None if parent is None else int(parent, 16)
    span = int(entry["span"], 16)
    return Step(
        int(entry["trace"], 16), span, parent_id, began, began, entry["kind"], str(entry["name"]), "live", sign="crashed", agent=agent
    )
