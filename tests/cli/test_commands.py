"""The commands, run as a user runs them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spantriage.detectors import all_detectors
from spantriage.reader import read_findings

DATA = Path(__file__).parent.parent / "data" / "otlp"
FAILING = DATA / "pydantic_ai_unknown_tool.jsonl"
RUN_FIELDS = {
    "trace_id", "source", "outcome", "failure_score", "primary", "agents", "spans", "duration_s", "input_tokens", "output_tokens",
    "cost_usd", "findings", "labels",
}  # fmt: skip
RECORD_FIELDS = {"outcome", "steps", "model_calls", "tool_calls", "tool_errors", "input_tokens", "output_tokens", "cost_usd"}


def spantriage(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "spantriage", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=60)


def test_scan_prints_a_table_and_writes_findings(tmp_path: Path) -> None:
    out = tmp_path / "findings.jsonl"
    done = spantriage("scan", FAILING, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "tool.unknown" in done.stdout
    found = list(read_findings(out, strict=True))
    assert [finding.code for finding in found if finding.severity != "info"] == ["tool.unknown"]
    assert found[0].source == str(FAILING)


def test_scan_as_json_prints_one_object_a_run_with_the_promised_fields() -> None:
    done = spantriage("scan", FAILING, "--format", "json")
    (line,) = done.stdout.splitlines()
    run = json.loads(line)
    assert run.keys() == RUN_FIELDS
    assert run["source"] == str(FAILING)
    (record,) = run["agents"].values()
    assert record.keys() >= RECORD_FIELDS
    assert (run["input_tokens"], run["output_tokens"]) == (240, 60)


def test_scanning_twice_into_one_file_replaces_it(tmp_path: Path) -> None:
    out = tmp_path / "findings.jsonl"
    spantriage("scan", FAILING, "--out", out)
    first = out.read_text().count("\n")
    spantriage("scan", FAILING, "--out", out)
    assert out.read_text().count("\n") == first


def test_fail_on_turns_findings_into_exit_code_one() -> None:
    assert spantriage("scan", FAILING, "--fail-on", "warning").returncode == 1
    assert spantriage("scan", FAILING, "--fail-on", "error").returncode == 0


def test_a_run_assumed_failed_always_has_a_root_cause() -> None:
    healthy = json.loads(spantriage("scan", FAILING, "--format", "json").stdout)
    assumed = json.loads(spantriage("scan", FAILING, "--format", "json", "--assume", "failed").stdout)
    assert healthy["primary"] is None
    assert assumed["primary"]["code"] == "tool.unknown"
    assert assumed["primary"]["primary"] is True


def test_unreadable_input_is_told_with_file_and_line_and_the_rest_is_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(FAILING.read_text() + '{"resourceSpans": [{"scopeSp\n')
    done = spantriage("scan", broken, "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["spans"] == 3
    assert f"{broken}:2:" in done.stderr


def test_when_nothing_can_be_read_the_exit_code_is_two(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.jsonl"
    garbage.write_bytes(b"\x00\xff not a trace")
    done = spantriage("scan", garbage)
    assert done.returncode == 2
    assert str(garbage) in done.stderr
    missing = spantriage("scan", tmp_path / "missing.jsonl")
    assert missing.returncode == 2
    assert "missing.jsonl" in missing.stderr


def test_compressed_files_are_read(tmp_path: Path) -> None:
    packed = tmp_path / "run.jsonl.gz"
    packed.write_bytes(gzip.compress(FAILING.read_bytes()))
    assert json.loads(spantriage("scan", packed, "--format", "json").stdout)["spans"] == 3


def test_agent_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text(FAILING.read_text().replace("launch_rocket", r"rocket\\u001b]0;owned\\u0007[bold]\\u202e"))
    done = spantriage("scan", hostile)
    assert done.returncode == 0, done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)
    assert "[bold]" in done.stdout


def test_every_detector_is_listed_and_explained() -> None:
    listed = [json.loads(line)["code"] for line in spantriage("detectors", "list", "--format", "json").stdout.splitlines()]
    assert listed == [detector.code for detector in all_detectors()]
    page = spantriage("detectors", "explain", "loop.repeated_call").stdout
    assert "## Why it matters" in page
    assert "`at`" in page


def test_an_unknown_code_is_answered_with_the_nearest() -> None:
    done = spantriage("detectors", "explain", "loop.repeated_calls")
    assert done.returncode == 2
    assert "did you mean loop.repeated_call?" in done.stderr


def test_the_taxonomy_has_every_code() -> None:
    entries = json.loads(spantriage("taxonomy", "--format", "json").stdout)
    assert entries.keys() == {detector.code for detector in all_detectors()}
    assert entries["model.rate_limited"]["trail"] == ["Rate Limiting"]


def test_doctor_sends_a_span_through_and_sees_it_enriched(tmp_path: Path) -> None:
    done = spantriage("doctor", "--format", "json", cwd=tmp_path)
    checks = {check["check"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert checks["a span sent through"]["ok"]
    assert "tool.silent_failure" in checks["a span sent through"]["detail"]


def test_doctor_says_which_setting_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.spantriage]\ngrace_s = 'soon'\n")
    done = spantriage("doctor", cwd=tmp_path)
    assert done.returncode == 2
    assert "grace_s" in done.stdout


def test_the_demo_finds_what_its_agents_do_wrong(tmp_path: Path) -> None:
    done = spantriage("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for code in ("tool.silent_failure", "tool.unknown", "loop.repeated_call", "model.truncated_output", "model.rate_limited"):
        assert code in done.stdout
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing behind"


@pytest.mark.parametrize("command", [("scan",), ("demo",), ("detectors", "list"), ("detectors", "explain"), ("taxonomy",), ("doctor",)])
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    done = spantriage(*command, "--help")
    assert done.returncode == 0
    assert "Example: spantriage" in " ".join(done.stdout.split())
