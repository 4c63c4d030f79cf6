"""The end of the process: in time, whatever is dead, and with everything that ended before."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spantriage.reader import read_findings

LONGEST_S = 2.5


@pytest.fixture(params=["refused", "silent"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address where nobody listens, and one where somebody accepts and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def took(ended: Any) -> float:
    """Seconds from the program's own end until nobody wants anything any more; the process itself ends soon after."""
    times = {key: value for line in ended.stdout.splitlines() for key, value in json.loads(line).items()}
    assert ended.at - times["left"] < LONGEST_S
    return float(times["left"] - times["end"])


def test_a_dead_collector_holds_up_neither_the_end_nor_the_other_sinks(dead: str, program: Callable[..., Any], tmp_path: Path) -> None:
    assert took(program("endings.py", "own_sink", dead, tmp_path / "findings.jsonl")) <= LONGEST_S

    found = [finding.code for finding in read_findings(tmp_path / "findings.jsonl", strict=True)]
    assert found.count("loop.repeated_call") >= 20


@pytest.mark.parametrize("kind", ["batch", "simple"])
def test_a_dead_endpoint_of_the_programs_own_costs_little_more_with_us(dead: str, kind: str, program: Callable[..., Any]) -> None:
    alone = took(program("endings.py", "programs_logs", dead, kind, "no", "yes"))  # it has something to log itself
    watched = took(program("endings.py", "programs_logs", dead, kind, "yes", "no"))

    assert watched - alone <= LONGEST_S


def test_a_sink_that_hangs_does_not_hold_up_the_end(program: Callable[..., Any]) -> None:
    assert took(program("endings.py", "hanging_sink")) <= LONGEST_S


def test_too_much_left_to_judge_does_not_hold_up_the_end(program: Callable[..., Any]) -> None:
    assert took(program("endings.py", "many_runs")) <= LONGEST_S


def test_spans_that_end_in_exit_handlers_are_judged_and_nothing_complains(program: Callable[..., Any], tmp_path: Path) -> None:
    ended = program("endings.py", "late", tmp_path / "findings.jsonl")

    assert ended.stderr == ""
    assert "left" in ended.stdout
    names = {finding.evidence[0].name for finding in read_findings(tmp_path / "findings.jsonl", strict=True)}
    assert names >= {f"execute_tool {when}" for when in ("in time", "after the first span", "before the first span", "before we came")}


def test_spans_that_end_after_the_provider_was_shut_down_are_judged(program: Callable[..., Any], tmp_path: Path) -> None:
    ended = program("endings.py", "shut_down", tmp_path / "findings.jsonl")

    assert ended.stderr == ""
    found = [f for f in read_findings(tmp_path / "findings.jsonl", strict=True) if f.code == "tool.silent_failure"]
    assert len({finding.trace_id for finding in found}) == 2
