"""Findings as they come: from a file or folder that others write, or from a service."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import orjson
from pydantic import ValidationError

from spantriage.errors import MissingExtra, SourceError
from spantriage.finding import Finding

__all__ = ["KEY", "follow"]

KEY: Final = "SPANTRIAGE_SERVE_KEY"
PULSE_S: Final = 0.2
LINE_CAP: Final = 1 << 24  # bytes; a longer line is passed over
CHUNK: Final = 1 << 20
ANSWER_S: Final = 30.0  # a service says something at least so often


def follow(place: str, stop: threading.Event, *, once: bool = False) -> Iterator[Finding | None]:
    """The findings at a place, those that are there first; None whenever all that is there has been told.

    `place` is a file of findings, a store or another folder of such files, or a service's URL. With `once` it ends with what is
    there. Lines that are no findings are passed over. Raises SourceError for a place that cannot be read at all.
    """
    if place.startswith(("http://", "https://")):
        yield from _from_service(place, stop, once=once)
        return
    path = Path(place)
    if not path.exists():
        raise SourceError(f"{path}: there is nothing to watch")
    tails: dict[Path, _Tail] = {}
    while not stop.is_set():
        for file in _files(path):
            yield from tails.setdefault(file, _Tail(file)).more()
        yield None
        if once:
            return
        stop.wait(PULSE_S)


def _files(path: Path) -> list[Path]:
    """The file itself; of a store its findings; of another folder every `.jsonl` in it."""
    if not path.is_dir():
        return [path]
    found = path / "findings"
    return sorted((found if found.is_dir() else path).glob("*.jsonl"))


class _Tail:
    """What is added to a file, by whole lines. A file that became shorter is another: it is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def more(self) -> Iterator[Finding]:
        try:
            if self._path.stat().st_size < self._at:
                self._at = 0
            with self._path.open("rb") as file:
                file.seek(self._at)
                while (line := file.readline(LINE_CAP)).endswith(b"\n") or len(line) == LINE_CAP:
                    self._at += len(line)
                    if (finding := _read(line)) is not None:
                        yield finding
        except FileNotFoundError:  # rotated away just now
            return
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror or error}") from error


def _read(line: bytes) -> Finding | None:
    try:
        return Finding.model_validate(orjson.loads(line))
    except (ValueError, ValidationError):
        return None


def _from_service(url: str, stop: threading.Event, *, once: bool) -> Iterator[Finding | None]:
    try:
        import requests
    except ImportError:
        raise MissingExtra("watching a service", "serve") from None
    key = os.environ.get(KEY, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    while not stop.is_set():
        try:
            with requests.get(f"{url.rstrip('/')}/events", headers=headers, stream=True, timeout=ANSWER_S) as answer:
                if answer.status_code == 401:
                    raise SourceError(f"the service needs a key: {KEY}")
                if answer.status_code != 200:
                    raise SourceError(f"the service answers with status {answer.status_code}")
                for kind, said in _events(answer.iter_lines, stop):
                    finding = _read(said) if kind == b"finding" else None
                    yield finding
                    if once and kind == b"state":  # it comes behind what was found before
                        return
        except (requests.RequestException, OSError) as error:
            if once or isinstance(error, SourceError):
                raise SourceError(f"the service cannot be reached: {type(error).__name__}") from None
            yield None
        stop.wait(1.0)  # it may come back


def _events(lines: Callable[..., Iterator[bytes]], stop: threading.Event) -> Iterator[tuple[bytes, bytes]]:
    kind = b""
    for line in lines(chunk_size=None, delimiter=b"\n"):
        if stop.is_set():
            return
        name, _, said = line.partition(b": ")
        if name == b"event":
            kind = said
        elif name == b"data":
            yield kind, said
