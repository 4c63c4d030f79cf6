"""How things stand, in one file that is replaced every 2 s while something changes: `status_json:.spantriage/status.json`.

The field names are those of MassGen's `status.json`, so that what monitors the one can monitor the other. What cannot be
known is null: `coordination.completion_percentage` is 100 when every run has ended and null until then; phases, votes and
winners are known where an orchestrator tells them. Enforcement is told with the end of each round. One process owns the
file; others that share the path, forked children too, write beside it, `status.PID.json`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

try:
    import fcntl
except ImportError:  # Windows: there the last writer wins
    fcntl = None  # type: ignore[assignment]  # absence is asked for by `is None`

from spantriage import __version__
from spantriage.errors import SinkError
from spantriage.finding import Finding
from spantriage.progress import AgentProgress, Progress
from spantriage.record import Record
from spantriage.sinks import Survey
from spantriage.text import clean

__all__ = ["StatusJsonSink", "open"]

LOG: Final = logging.getLogger("spantriage")
DEFAULT: Final = ".spantriage/status.json"
EVERY_S: Final = 2.0
SHARE: Final = 0.05  # of one core, at most, that goes into looking and writing: long runs are looked at less often
RELIABILITY: Final = (
    "enforcement_attempts", "by_round", "unknown_tools", "workflow_errors", "total_enforcement_retries", "total_buffer_chars_lost",
)  # fmt: skip
_SINKS: Final[weakref.WeakSet[StatusJsonSink]] = weakref.WeakSet()


def open(target: str = "") -> StatusJsonSink:  # noqa: A001  # what every sink calls it
    """Open `path`. Raises SinkError when no file can be made there."""
    return StatusJsonSink(target or DEFAULT)


class StatusJsonSink:
    """Writes the file on a thread of its own. A file that cannot be written is counted in `failures` and tried again."""

    def __init__(self, path: str | os.PathLike[str] = DEFAULT, *, every_s: float = EVERY_S) -> None:
        self._target = Path(os.path.abspath(Path(path).expanduser()))
        self._every_s = every_s
        try:
            self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"sink status_json cannot write {self._target}: {error.strerror}") from error
        if self._target.is_dir() or not os.access(self._target.parent, os.W_OK):
            raise SinkError(f"sink status_json cannot write {self._target}")
        self._lock_fd: int | None = None
        self._begin()
        _SINKS.add(self)

    def _begin(self) -> None:
        self.path: Path | None = None  # known with the first file
        self.written = self.failures = 0
        self._survey: Survey | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._mutex = threading.Lock()  # one look at a time
        self._shown: object = None  # the mark of what stands in the file

    def watch(self, survey: Survey) -> None:
        """Begin to write. May be called again; a closed sink begins anew."""
        self._survey = survey
        if self._thread is not None and self._thread.is_alive() and not self._stop.is_set():
            return
        self._stop = stop = threading.Event()
        thread = threading.Thread(target=self._work, args=(stop,), name="spantriage-status", daemon=True)
        with suppress(RuntimeError):  # the interpreter is going down: flushing will write
            thread.start()
            self._thread = thread

    def write(self, findings: Sequence[Finding]) -> None:
        """Findings are in the records that the file shows."""

    def flush(self, timeout_s: float) -> bool:
        """Write what has changed, now; False when that failed or took too long."""
        if self._survey is None:
            return True
        if not self._mutex.acquire(timeout=max(0.0, timeout_s)):
            return False
        try:
            return self._update(self._survey)
        finally:
            self._mutex.release()

    def close(self, timeout_s: float) -> None:
        """Write a last time and end the thread. The file stays."""
        self._stop.set()
        self.flush(timeout_s)
        self._let_go()

    def after_fork(self) -> None:
        """In a forked child: the file and the thread are the parent's."""
        self._let_go()
        self._begin()

    def _let_go(self) -> None:
        fd, self._lock_fd, self.path = self._lock_fd, None, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)  # without unlocking: in a forked child the lock is the parent's

    def _work(self, stop: threading.Event) -> None:
        pause_s = 0.0
        while not stop.wait(pause_s):
            began = time.thread_time()
            with self._mutex:
                if self._survey is not None and not stop.is_set():
                    self._update(self._survey)
            pause_s = max(self._every_s, (time.thread_time() - began) / SHARE)

    def _update(self, survey: Survey) -> bool:
        try:
            mark = survey.mark()  # before the look: what comes during it is shown by the next
            if mark == self._shown:
                return True
            progress = survey.take()
            if progress is None:
                return False
            self._replace(orjson.dumps(_safe(describe(progress)), default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except Exception as error:  # the thread must live; a full disk may become empty again
            self.failures += 1
            if self.failures == 1:
                LOG.warning("the status file %s could not be written: %s", self._target.name, error)
            return False
        self._shown = mark
        self.written += 1
        return True

    def _replace(self, content: bytes) -> None:
        """Whole or not at all: whoever reads sees the old file or the new one."""
        path = self.path = self.path or self._claim()
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.replace(draft, path)

    def _claim(self) -> Path:
        """The name itself for the process that comes first; it is given back when that process has ended."""
        if fcntl is None:
            return self._target
        self._target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._target.with_name(f".{self._target.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return self._target.with_name(f"{self._target.stem}.{os.getpid()}{self._target.suffix}")
        self._lock_fd = fd
        return self._target


def describe(progress: Progress) -> dict[str, object]:
    """The content of the file."""
    run, now = progress.latest, time.time()
    meta: dict[str, object] = {"last_updated": now, "session_id": None, "log_dir": None, "start_time": None, "elapsed_seconds": None}
    if run is not None:
        until = now if progress.running else run.last_ns / 1e9
        meta |= {"session_id": run.conversation, "log_dir": run.log_dir, "start_time": run.start_ns / 1e9}
        meta |= {"elapsed_seconds": round(max(0.0, until - run.start_ns / 1e9), 3), "trace_id": f"{run.trace_id:032x}"}
    ended = run is not None and run.ended and not progress.running
    return {
        "is_complete": ended,
        "meta": {**meta, "runs_in_progress": progress.running, "pid": os.getpid(), "written_by": f"spantriage {__version__}"},
        "coordination": {"phase": None if run is None else run.phase, "completion_percentage": 100 if ended else None},
        "agents": {name: _agent(*found) for name, found in progress.agents.items()},
        "results": {"winner": None if run is None else run.winner},
    }


def _agent(progress: AgentProgress, record: Record) -> dict[str, object]:
    told = record.as_dict()
    return {
        "status": progress.status,
        "error": progress.error,
        "last_activity": progress.last_ns / 1e9 if progress.last_ns else None,
        "token_usage": {
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "reasoning_tokens": record.reasoning_tokens,
            "cached_input_tokens": record.cached_tokens,
            "estimated_cost": record.cost_usd,
        },
        "tool_metrics": {"total_calls": record.tool_calls, "total_failures": record.tool_errors},
        "reliability": {**{name: told[name] for name in RELIABILITY}, "outcome": progress.outcome},
    }


def _safe(value: object) -> object:
    """Agent text, names as well, without what no JSON can hold."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): _safe(each) for name, each in value.items()}
    return [_safe(each) for each in value] if isinstance(value, list | tuple) else value


def _renew_all() -> None:
    for sink in list(_SINKS):
        sink.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
