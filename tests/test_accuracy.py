"""The scoreboard on labelled runs small enough to be counted by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from spantriage.odds import FEATURES

BENCHMARKS = Path(__file__).parents[1] / "benchmarks/accuracy"


def _span(trace: int, number: int, name: str, **attributes: str) -> dict[str, object]:
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{trace * 16 + number:016x}",
        **({} if number == 1 else {"parentSpanId": f"{trace * 16 + 1:016x}"}),
        "name": name,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + number * 1_000_000_000),
        "endTimeUnixNano": str(1_700_000_000_500_000_000 + (number if number > 1 else 9) * 1_000_000_000),
        "attributes": [{"key": f"gen_ai.{key}", "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def _said(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}])


def _run(trace: int, reply: str) -> dict[str, object]:
    spans = [
        _span(trace, 1, "invoke_agent a", **{"operation.name": "invoke_agent", "agent.name": "a"}),
        _span(
            trace,
            2,
            "chat",
            **{
                "operation.name": "chat",
                "input.messages": _said("user", "Fix the test in app.py."),
                "output.messages": _said("assistant", reply),
            },
        ),
    ]
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]}


def _labels(trace: int, outcome: str) -> dict[str, object]:
    errors = [{"span_id": f"{trace * 16 + 2:016x}", "agent": "a", "category": "Goal Deviation", "primary": outcome == "fail"}]
    steps = [f"{trace * 16 + number:016x}" for number in (1, 2)]
    return {"trace_id": f"{trace:032x}", "outcome": outcome, "steps": steps, "errors": errors if outcome == "fail" else []}


def _write(folder: Path, name: str, runs: dict[int, tuple[str, str]]) -> None:
    lines = [json.dumps(_run(trace, reply)) for trace, (reply, _) in runs.items()]
    labels = [json.dumps(_labels(trace, outcome)) for trace, (_, outcome) in runs.items()]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.labels.jsonl").write_text("\n".join(labels) + "\n")


def _scoreboard(*given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, BENCHMARKS / "scoreboard.py", *given], capture_output=True, text=True, check=False)


def test_the_scoreboard_counts_what_can_be_counted_by_hand(tmp_path: Path) -> None:
    _write(tmp_path, "mixed", {1: ("I'll fix it now.", "fail"), 2: ("What is in it?", "pass")})
    _write(tmp_path, "lost", {3: ("I'll fix it now.", "fail"), 4: ("What is in it?", "fail")})
    done = _scoreboard(str(tmp_path), "--out", str(tmp_path / "table.md"))
    assert done.returncode == 0, done.stderr
    rows = {tuple(cell.strip() for cell in line.split("|")[1:5:2]): line.split("|")[4].strip() for line in done.stdout.splitlines()[2:]}
    assert rows["mixed", "AUC of `failure_score`"] == "1.00"
    assert rows["mixed", "recall, flagged from .5 on"] == "1.00"
    assert rows["mixed", "false alarms"] == ".000"
    assert rows["lost", "exact step"] == "1.00"
    assert rows["lost", "agent"] == "1.00"
    assert (tmp_path / "table.md").read_text() == done.stdout


def test_a_folder_without_labels_and_a_broken_label_are_told(tmp_path: Path) -> None:
    nothing = _scoreboard(str(tmp_path))
    _write(tmp_path, "broken", {1: ("I'll fix it now.", "fail")})
    (tmp_path / "broken.labels.jsonl").write_text('{"outcome": "fail"}\n')
    broken = _scoreboard(str(tmp_path))
    assert (nothing.returncode, broken.returncode) == (1, 1)
    assert "holds no labelled set" in nothing.stderr
    assert "broken.labels.jsonl:1: not a line of labels" in broken.stderr


def test_the_table_that_is_shipped_weighs_everything_and_says_where_it_is_from() -> None:
    table = json.loads((BENCHMARKS.parents[1] / "src/spantriage/odds.json").read_text())
    assert set(table["weights"]) == {"intercept", *FEATURES}
    assert table["provenance"]["made_by"] == "benchmarks/accuracy/fit_odds.py"
    assert table["provenance"]["fitted_on"]


def test_a_transcript_becomes_a_recording_that_the_scoreboard_reads(tmp_path: Path) -> None:
    turns = [
        {"agent": "planner", "role": "agent", "text": "The task: what does a pass cost?"},
        {"agent": "buyer", "role": "agent", "text": "I will look."},
        {"agent": "terminal", "role": "tool", "tool": "shell", "arguments": "I will look.", "text": "There is no code to run."},
        {"agent": "planner", "role": "agent", "text": "Good."},
        {"agent": "buyer", "role": "agent", "text": "I have found the price: 20 dollars."},
    ]
    row = {"id": "1", "agent": "team", "outcome": "fail", "turns": turns, "errors": [{"turn": 4, "agent": "buyer", "primary": True}]}
    (tmp_path / "raw.jsonl").write_text(json.dumps(row) + "\n")
    converted = [sys.executable, BENCHMARKS / "convert.py", tmp_path / "raw.jsonl", tmp_path / "sets/team"]
    assert subprocess.run(converted, check=False).returncode == 0
    done = _scoreboard(str(tmp_path / "sets"))
    assert done.returncode == 0, done.stderr
    assert "| team | 1 | exact step | 1.00 |" in done.stdout


def test_a_transcript_that_cannot_be_read_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "raw.jsonl").write_text('{"id": "1", "turns": []}\n{"id": "2"}\n')
    converted = [sys.executable, BENCHMARKS / "convert.py", tmp_path / "raw.jsonl", tmp_path / "sets/team"]
    done = subprocess.run(converted, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "raw.jsonl:2: not a transcript: KeyError" in done.stderr
    assert not (tmp_path / "sets").exists()
