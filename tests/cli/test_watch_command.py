"""Findings as they come: line by line, and on the screen."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sinks.finding_samples import finding

from spantriage.cli.screen import Evidence, Screen
from spantriage.errors import SourceError
from spantriage.finding import Finding
from spantriage.following import follow

SECRETLY = "a\x1b[2J[red]b[/red]"


def write(path: Path, *findings: Finding) -> None:
    with path.open("a") as file:
        for each in findings:
            file.write(each.model_dump_json() + "\n")


def watch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "spantriage", "watch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=60, check=False)


def test_without_a_terminal_each_finding_is_a_line_of_plain_text(tmp_path: Path) -> None:
    write(tmp_path / "f.jsonl", finding(agent=SECRETLY, summary="It broke"), finding(finding_id="2" * 16, severity="info", score=0.0))
    done = watch("f.jsonl", "--once", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert "[red]b[/red]: It broke" in first
    assert f"trace={finding().trace_id}" in first
    assert " withdrawn " in second


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = watch("none.jsonl", "--once", cwd=tmp_path)
    assert (done.returncode, "nothing to watch" in done.stderr) == (2, True)


def test_lines_that_are_added_are_told_once_they_are_whole(tmp_path: Path) -> None:
    path, stop = tmp_path / "f.jsonl", threading.Event()
    write(path, finding(finding_id="1" * 16))
    following = follow(str(path), stop)
    told = next(following)
    assert told is not None
    assert (told.finding_id, next(following)) == ("1" * 16, None)
    line = finding(finding_id="2" * 16).model_dump_json() + "\n"
    with path.open("a") as file:
        file.write("no finding\n" + line[:50])
        file.flush()
        assert next(following) is None
        file.write(line[50:])
    told = next(following)
    assert told is not None
    assert told.finding_id == "2" * 16
    stop.set()


def test_a_store_is_followed_with_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "findings").mkdir()
    for number in "12":
        write(tmp_path / "findings" / f"{number}.jsonl", finding(finding_id=number * 16))
    found = [each.finding_id for each in follow(str(tmp_path), threading.Event(), once=True) if each is not None]
    assert found == ["1" * 16, "2" * 16]


def test_a_service_is_followed(tmp_path: Path) -> None:
    from serving import listening, make_service, post, request_of, until

    service = make_service(tmp_path)
    with listening(service) as port:
        post(port, request_of())
        until(lambda: service.board.since(0)[1])
        found = {each.code for each in follow(f"http://127.0.0.1:{port}/", threading.Event(), once=True) if each is not None}
    assert "tool.silent_failure" in found


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be reached"):
        list(follow("http://127.0.0.1:9", threading.Event(), once=True))


def test_the_screen_shows_filters_explains_and_copies(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    write(path, finding(finding_id="1" * 16, agent=SECRETLY), finding(finding_id="2" * 16, agent="coder", summary="It looped"))

    async def look() -> None:
        screen = Screen(str(path))
        async with screen.run_test(size=(140, 40)) as pilot:
            while len(screen.findings) < 2:
                await pilot.pause(0.05)
            table = screen.query_one("#findings")
            assert table.row_count == 2  # type: ignore[attr-defined]  # a DataTable
            await pilot.press("c")
            assert screen.clipboard == finding().trace_id
            await pilot.press("slash", *"loop", "enter")
            assert table.row_count == 1  # type: ignore[attr-defined]  # a DataTable
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(screen.screen, Evidence)
            await pilot.press("escape")
            write(path, finding(finding_id="2" * 16, severity="info", score=0.0))
            while len(screen.findings) > 1:
                await pilot.pause(0.05)
            await pilot.press("q")

    asyncio.run(look())
