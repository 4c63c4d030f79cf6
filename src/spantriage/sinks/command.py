"""Findings for a program: `command:/usr/local/bin/page --team agents` runs it for each severe finding, the JSON on its stdin.

No shell is involved; quotes group words as in one. One program runs at a time, and what it prints is thrown away. Options
follow a question mark at the end: `threshold=error` says from which severity on (`warning`, `error`, `critical`);
`window_s=3600` how long the same finding is not told again; `timeout_s=10` after how long a program is killed.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from spantriage.errors import ConfigError, SinkError
from spantriage.finding import Finding
from spantriage.sinks import _options
from spantriage.sinks._alerts import LEVELS, Alerts
from spantriage.sinks._line import encode
from spantriage.sinks._outbox import Outbox

__all__ = ["CommandSink", "open"]

LOG: Final = logging.getLogger("spantriage")
QUEUE: Final = 256  # findings that may wait for the program
TOLD: Final = 10_000  # findings remembered as told, so that they can be withdrawn
NOT_STARTED: Final = "not started"
KILLED: Final = "killed"


def open(target: str) -> CommandSink:  # noqa: A001  # what every sink calls it
    """Open `program argument ...?option=value`. Raises ConfigError for what cannot be read, SinkError when there is no such program."""
    command, options = _options.split("command", target, _READERS)
    try:
        arguments = shlex.split(command)
    except ValueError:
        raise ConfigError("sink command needs a program with its arguments; a quote is not closed") from None
    return CommandSink(arguments, **options)  # type: ignore[arg-type]  # _READERS gives each its type


_READERS: Final[_options.Readers] = {
    "threshold": LEVELS.__getitem__,
    "window_s": _options.seconds,
    "timeout_s": _options.seconds,
}


class CommandSink:
    """Runs a program once for each severe finding, on a thread of its own; how it ended is counted in `exits`, nothing is run twice."""

    def __init__(self, arguments: Sequence[str], *, threshold: str = "error", window_s: float = 3_600.0, timeout_s: float = 10.0) -> None:
        program = shutil.which(arguments[0]) if arguments and arguments[0] else None
        if program is None:
            raise SinkError("sink command needs a program that exists and may be run")
        self._arguments = [os.path.abspath(program), *arguments[1:]]
        self._name = os.path.basename(program)
        self._timeout_s = timeout_s
        self._alerts = Alerts(LEVELS[threshold], window_s)
        self._writer_id = f"{os.getpid()}-{int(time.time())}-{os.urandom(4).hex()}"
        self._told: OrderedDict[str, None] = OrderedDict()
        self._running: subprocess.Popen[bytes] | None = None
        self._deadline: float | None = None  # of a flush
        self._warned = False
        self.exits: Counter[int | str] = Counter()  # exit code, "killed" or "not started" -> number of findings
        self.outbox: Outbox[Finding] = Outbox(self._send, size=QUEUE, batch=1, backoff_s=())

    def __repr__(self) -> str:
        return f"CommandSink({self._name})"

    @property
    def dropped(self) -> int:
        """Findings that no program was given: too many waited, or it could not be started."""
        return self.outbox.dropped + self.exits[NOT_STARTED]

    def write(self, findings: Sequence[Finding]) -> None:
        """Queue what is worth a run; never waits for the program."""
        picked = self._alerts.pick(findings)
        if picked:
            self.outbox.put(finding.model_copy() for finding in picked)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the program has been run for all that waits; False when that takes longer."""
        self._deadline = time.monotonic() + timeout_s
        try:
            return self.outbox.flush(timeout_s)
        finally:
            self._deadline = None

    def close(self, timeout_s: float) -> None:
        """Flush; a program that still runs then is killed. A later `write` starts anew."""
        self._deadline = time.monotonic() + timeout_s
        try:
            if not self.outbox.close(timeout_s):
                _kill(self._running)
        finally:
            self._deadline = None

    def _send(self, batch: list[Finding]) -> bool:
        """Run the program for each; a run that failed is counted, and not repeated."""
        while batch:
            if self._deadline is not None and time.monotonic() > self._deadline:
                return False
            finding = batch.pop(0)
            if not finding.withdrawn or finding.finding_id in self._told:
                self._account(finding, self._run(finding))
        return True

    def _run(self, finding: Finding) -> int | str:
        line, _ = encode(finding, self._writer_id, self.exits.total() + 1)
        try:
            running = subprocess.Popen(  # noqa: S603  # what the user asked for, and no shell
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "SPANTRIAGE_DISABLED": "1"},  # it must not watch itself
                start_new_session=True,
            )
        except (OSError, RuntimeError, ValueError):
            return NOT_STARTED
        self._running = running
        try:
            running.communicate(line, self._limit_s())
        except (subprocess.TimeoutExpired, OSError, ValueError):  # ValueError: its pipe was closed while it was written to
            _kill(running)
            with suppress(subprocess.TimeoutExpired):
                running.wait(1.0)
            return KILLED
        finally:
            self._running = None
        return running.returncode

    def _limit_s(self) -> float:
        """A flush that has to do the work itself, at the end of the process, may not wait as long as a thread."""
        left_s = self._timeout_s if self._deadline is None else self._deadline - time.monotonic()
        return max(0.01, min(self._timeout_s, left_s if self.outbox.has_no_thread else self._timeout_s))

    def _account(self, finding: Finding, ended: int | str) -> None:
        self.exits[ended] += 1
        if ended != NOT_STARTED:
            self._told[finding.finding_id] = None
            if len(self._told) > TOLD:
                self._told.popitem(last=False)
        if ended != 0 and not self._warned:
            self._warned = True
            LOG.warning("the program %s, run for a finding, ended with %s; it is run again for the next", self._name, ended)


def _kill(running: subprocess.Popen[bytes] | None) -> None:
    """End the program and what it has started, unless it has ended by itself: its number may be another's by now."""
    if running is None or running.poll() is not None:
        return
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
