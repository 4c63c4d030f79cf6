"""Findings for a program: real processes, good ones and bad ones."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path

import pytest
from finding_samples import finding

from spantriage.errors import ConfigError, SinkError
from spantriage.finding import Finding
from spantriage.sinks import open_sink
from spantriage.sinks.command import CommandSink


def error(number: int = 0, **changes: object) -> Finding:
    return finding(**{"finding_id": f"{number:016x}", "severity": "error", "score": 0.9, **changes})


@pytest.fixture
def keeper(tmp_path: Path) -> tuple[str, Path]:
    """A program that appends its arguments and what it reads to a file, and the file."""
    program, kept = tmp_path / "keep", tmp_path / "kept"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"row = [sys.argv[1:], json.loads(sys.stdin.buffer.read()), os.environ.get('SPANTRIAGE_DISABLED')]\n"
        f"open({str(kept)!r}, 'a').write(json.dumps(row) + chr(10))\nprint('noise' * 100_000)\n"
    )
    program.chmod(0o755)
    return str(program), kept


def rows(kept: Path) -> list[list[object]]:
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def program(body: str) -> list[str]:
    return [sys.executable, "-c", f"import os, signal, subprocess, sys, time\n{body}"]


def test_each_severe_finding_is_given_once_and_no_shell_looks_at_it(keeper: tuple[str, Path]) -> None:
    path, kept = keeper
    sink = open_sink(f"command:{path} --to 'two words' $HOME ;rm?threshold=warning")
    hostile = error(2, summary="`id` $(id) ; rm -rf / \ud800 \x00")
    sink.write([error(1), error(1), hostile, error(3, severity="warning"), error(4, severity="info")])
    assert sink.flush(20)
    assert [arguments for arguments, _, _ in rows(kept)] == [["--to", "two words", "$HOME", ";rm"]] * 3
    assert [told["finding_id"] for _, told, _ in rows(kept)] == [f"{n:016x}" for n in (1, 2, 3)]
    assert {disabled for _, _, disabled in rows(kept)} == {"1"}
    assert sink.exits == {0: 3}
    assert sink.dropped == 0
    sink.close(1)
    assert path not in repr(sink)


def test_a_withdrawal_is_given_only_of_what_was_given(keeper: tuple[str, Path]) -> None:
    path, kept = keeper
    sink = CommandSink([path])
    sink.write([error(1), finding(finding_id="0" * 16, severity="info", score=0.0)])
    sink.write([error(1, severity="info", score=0.0)])
    assert sink.flush(20)
    assert [told["severity"] for _, told, _ in rows(kept)] == ["error", "info"]


def test_exit_codes_are_counted_and_a_failed_run_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    sink = CommandSink(program("sys.exit(len(sys.stdin.read()) and 3)"))
    with caplog.at_level(logging.WARNING, "spantriage"):
        sink.write([error(1), error(2)])
        assert sink.flush(20)
    assert sink.exits == {3: 2}
    assert len(caplog.records) == 1
    assert "3" in caplog.text


def test_a_program_that_does_not_read_is_fine() -> None:
    sink = CommandSink(program("os.close(0)"))
    sink.write([error(1, root_cause="x" * 60_000)])
    assert sink.flush(20)
    assert sink.exits == {0: 1}


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = f"child = subprocess.Popen(['sleep', '60'])\nopen({str(pid)!r}, 'w').write(str(child.pid))\ntime.sleep(60)"
    sink = CommandSink(program(body), timeout_s=2)
    sink.write([error(1)])
    assert sink.flush(20)
    assert sink.exits == {"killed": 1}
    child = int(pid.read_text())
    until(lambda: not is_running(child))


def test_programs_run_one_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    sink = CommandSink(program(f"f = os.open({str(lock)!r}, os.O_CREAT | os.O_EXCL)\ntime.sleep(0.05)\nos.unlink({str(lock)!r})"))
    sink.write([error(n) for n in range(4)])
    assert sink.flush(20)
    assert sink.exits == {0: 4}


def test_writing_and_closing_wait_for_no_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    sink = CommandSink(program(f"open({str(started)!r}, 'w').close()\ntime.sleep(60)"))
    began = time.monotonic()
    sink.write([error(n) for n in range(300)])
    assert time.monotonic() - began < 1
    until(started.exists)
    began = time.monotonic()
    sink.close(0.2)
    assert time.monotonic() - began < 2
    until(lambda: sink.exits[-9] == 1)
    assert sink.dropped == 299


def test_a_program_that_has_gone_is_counted(keeper: tuple[str, Path]) -> None:
    path, _ = keeper
    sink = CommandSink([path])
    os.unlink(path)
    sink.write([error(1)])
    assert sink.flush(20)
    assert sink.exits == {"not started": 1}
    assert sink.dropped == 1


@pytest.mark.parametrize(
    ("target", "kind", "reason"),
    [
        ("", SinkError, "that exists"),
        ("/no/such/program", SinkError, "that exists"),
        ("/etc/passwd", SinkError, "that exists"),
        ("'/bin/true", ConfigError, "quote"),
        ("/bin/true?timeout_s=0", ConfigError, "'timeout_s'"),
        ("/bin/true?timeout=3", ConfigError, "much like 'timeout_s'"),
    ],
)
def test_a_target_that_is_no_program_is_refused(target: str, kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        open_sink(f"command:{target}")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
