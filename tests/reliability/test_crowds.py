"""Processes, threads, tasks, signals and the collector: exact counts, nothing twice, nothing stuck."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spantriage.finding import Finding
from spantriage.reader import read_findings

Program = Callable[..., Any]


def failures(path: Path) -> dict[str, list[Finding]]:
    """Every line about a tool's silent failure, by the name of the tool."""
    found: dict[str, list[Finding]] = {}
    for finding in read_findings(path):
        if finding.code == "tool.silent_failure":
            found.setdefault(finding.evidence[0].name.removeprefix("execute_tool "), []).append(finding)
    return found


def test_what_was_flushed_before_a_kill_is_whole_on_disk(program: Program, tmp_path: Path) -> None:
    path, kills = tmp_path / "findings.jsonl", 25
    acknowledged = json.loads(program("crowds.py", "killed", path, kills).stdout)

    assert len({name.split("-")[1] for name in acknowledged}) == kills
    assert {*acknowledged} <= failures(path).keys()
    reading = read_findings(path)
    assert len({finding.finding_id for finding in reading}) >= len(acknowledged)
    assert len(reading.skipped) <= kills  # what a kill may tear is the line that is being written


@pytest.mark.parametrize("method", ["os", "sys.exit", "nested", "held", "exporter", "fork", "spawn", "forkserver"])
def test_children_give_their_own_findings_once_and_the_parents_never(method: str, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    ended = program("crowds.py", "forked", path, method)
    accounts = json.loads(ended.stdout)
    found = failures(path)

    number = 2 if method in ("spawn", "forkserver") else 4
    children = ["child-0", "child-0x", "child-1", "child-1x"] if method == "nested" else [f"child-{n}" for n in range(number)]
    extra = {"held": {"held"}, "exporter": {"exported"}}.get(method, set())
    expected = {f"{who}-{number}" for who in ("parent-before", "parent-after", *children) for number in range(10)} | extra
    assert found.keys() == expected
    assert ended.stderr == ""
    for name, lines in found.items():
        assert len({line.finding_id for line in lines}) == 1, name
        assert len({line.writer_id for line in lines}) == 1, name
    writers = {name.rpartition("-")[0]: lines[0].writer_id for name, lines in found.items() if name not in extra}
    assert len({*writers.values()}) == 1 + len(children)
    assert writers["parent-before"] == writers["parent-after"]
    assert accounts["received"] == accounts["processed"] == 20 + (method == "held")


def test_threads_lose_nothing_that_is_not_counted(program: Program) -> None:
    said = json.loads(program("crowds.py", "threads", 32, 2_000, 8_192).stdout)

    assert said["received"] == said["processed"] + said["dropped.queue_full"] == 32 * 2_001
    assert said["queued"] == 0
    assert said["still_open"] == 0
    assert 0 < said["calls"] <= said["processed"]
    assert not {name for name in said if "error" in name or "forgotten" in name}


def test_threads_with_room_enough_lose_nothing_at_all(program: Program) -> None:
    said = json.loads(program("crowds.py", "threads", 32, 200, 100_000).stdout)

    assert said["received"] == said["processed"] == 32 * 201
    assert (said["calls"], said["agents"], said["dropped.queue_full"]) == (32 * 200, 32, 0)
    assert not {name for name in said if "error" in name or "duplicate" in name}


def test_cancelled_tasks_end_their_spans_and_each_counts_once(program: Program) -> None:
    said = json.loads(program("crowds.py", "tasks", 2_000).stdout)

    assert said["received"] == said["processed"] == 4_000
    assert (said["calls"], said["agents"]) == (2_000, 10)
    assert not {name for name in said if "error" in name}


def test_signal_handlers_and_abandoned_generators_may_end_spans_at_any_moment(program: Program) -> None:
    said = json.loads(program("crowds.py", "interrupted", 600).stdout)

    ended = Counter(said["ended"])
    assert ended["handler"] >= 600
    assert ended["generator"] == ended["program"] > 100
    assert said["received"] == said["processed"] == said["exported"] == ended.total()
    assert not {name for name in said if "errors" in name}
