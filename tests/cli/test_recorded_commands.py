"""`scan` on recorded runs, `traces` and `logs`, run as a user runs them."""

import json
import os
import subprocess
import sys

import pytest
from samples import DATA, LOG, TRIAL, dead_agents, put


def spantriage(*arguments, cwd=None):
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "spantriage", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=60)


@pytest.fixture
def job(tmp_path):
    put(tmp_path / "one", {"serve__dg6SgTQ/result.json": TRIAL})
    put(tmp_path / "two", {"serve__ab3XyZ1/result.json": {**TRIAL, "verifier_result": {"rewards": {"reward": 1.0}}}})
    return tmp_path


def test_scan_says_of_each_run_its_outcome_cause_agents_cost_and_time(tmp_path):
    put(tmp_path, dead_agents())
    done = spantriage("scan", tmp_path, DATA / "claude_code" / "claude-code.stream.jsonl")

    assert done.returncode == 0, done.stderr
    log, session = (next(line for line in done.stdout.splitlines() if mark in line) for mark in ("agent_a", "claude-code  "))
    assert "flow.workflow_violation in agent_c" in log
    assert "12.00 s" in log
    assert "$0.0780" in session
    assert "0.36 s" in session


def test_scan_as_json_gives_what_the_source_knows(tmp_path):
    put(tmp_path, {"serve__dg6SgTQ/result.json": TRIAL})
    (line,) = spantriage("scan", tmp_path, "--format", "json", "-j", "2").stdout.splitlines()

    run = json.loads(line)
    assert (run["outcome"], run["input_tokens"], run["labels"]["trial_name"]) == ("failed", 2700, "serve-files__dg6SgTQ")


def test_scan_exits_2_only_when_nothing_could_be_read(tmp_path):
    put(tmp_path, {"bad/a.jsonl": "{\n", "good/serve__dg6SgTQ/result.json": TRIAL, "good/serve__dg6SgTQ/agent/trajectory.json": "{"})

    bad, good = spantriage("scan", tmp_path / "bad"), spantriage("scan", tmp_path / "good")

    assert (bad.returncode, good.returncode) == (2, 0)
    assert "trajectory.json: not JSON" in good.stderr
    assert "Traceback" not in bad.stderr + good.stderr


def test_a_log_may_be_told_by_its_status_file(tmp_path):
    put(tmp_path, dead_agents())

    assert "1 runs" in spantriage("scan", tmp_path / LOG / "status.json").stdout
    assert "1 runs" in spantriage("scan", tmp_path, "--from", "massgen").stdout


def test_traces_from_a_job_to_a_comparison(job):
    put(job / "one", {"result.json": {"n_total_trials": 1, "stats": {"n_retries": 2}}})
    for name in ("one", "two"):
        done = spantriage("traces", "aggregate", "--job-dir", name, "--output", f"artifacts/{name}.json", cwd=job)
        assert done.returncode == 0, done.stderr
    document = json.loads((job / "artifacts" / "one.json").read_text())
    assert list(document) == ["job_dir", "timestamp", "traces", "summary"]
    assert list(document["summary"])[:5] == ["total", "passed", "failed", "errors", "success_rate"]
    assert document["summary"]["retries"] == 2

    table = spantriage("traces", "compare", "artifacts/one.json", "artifacts/two.json", cwd=job).stdout
    found = json.loads(spantriage("traces", "compare", "one", "two", "--format", "json", cwd=job).stdout)
    assert "1 FAILED → PASSED" in table
    assert found["delta"]["success_rate"] == 1.0


def test_traces_are_shared_kept_and_learned_from(job):
    spantriage("traces", "aggregate", "--job-dir", "one", "--output", "one.json", cwd=job)

    assert spantriage("traces", "export", "one.json", "--output", "shared.json", "--drop-content", cwd=job).returncode == 0
    kept = spantriage("traces", "archive", "one.json", cwd=job).stdout.strip()
    assert kept.startswith("history/runs/20")
    assert spantriage("traces", "learn", "two", "--baseline", "one.json", cwd=job).returncode == 0
    assert "from 0% to 100%" in spantriage("traces", "lessons", "--at-least", "1", cwd=job).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("traces", "aggregate", "--job-dir", "gone"),
        ("traces", "aggregate", "--job-dir", "one", "--task", "gone"),
        ("traces", "compare", "gone.json", "one"),
        ("traces", "lessons", "--db", "gone.db"),
        ("logs", "list", "--logs-dir", "gone"),
        ("logs", "list", "--logs-dir", ".", "--analyzed", "--unanalyzed"),
        ("scan", "gone.json"),
        ("scan", ".", "--from", "gone"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(job, arguments):
    done = spantriage(*arguments, cwd=job)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "gone" in done.stderr or "--analyzed" in done.stderr


def test_logs_are_listed_by_whether_somebody_has_analysed_them(tmp_path):
    put(tmp_path / ".massgen" / "massgen_logs", {**dead_agents(), "log_20251218_000000/turn_1/ANALYSIS_REPORT.md": "#"})

    everything = spantriage("logs", "list", "--format", "json", cwd=tmp_path).stdout.splitlines()
    analysed = spantriage("logs", "list", "--analyzed", cwd=tmp_path).stdout
    open_ones = spantriage("logs", "list", "--unanalyzed", "--limit", "1", cwd=tmp_path).stdout

    assert [json.loads(line)["analysed"] for line in everything] == [False, True]
    assert ("2025-12-18" in analysed, "2026-11-20" in analysed) == (True, False)
    assert ("2025-12-18" in open_ones, "6 / 0?" in open_ones) == (False, True)


def test_a_scan_of_a_project_finds_its_massgen_logs(tmp_path):
    put(tmp_path / ".massgen" / "massgen_logs", dead_agents())

    assert "1 runs" in spantriage("scan", ".", cwd=tmp_path).stdout


def test_names_of_files_are_inert_wherever_they_are_shown(tmp_path):
    evil = os.fsdecode(b"evil\xff\x1b[31m\n\xe2\x80\xae")
    put(tmp_path / f"{evil}__dg6SgTQ", {"result.json": {**TRIAL, "trial_name": None, "exception_info": {"exception_type": "E"}}})
    put(tmp_path, {f"{evil}.jsonl": '{"resourceSpans": [', f"log_20251218_000000/turn_1/{evil}.txt": "x"})

    commands = (
        ("scan", tmp_path, "--format", "json"),
        ("scan", tmp_path, "--format", "json", "-j", "2"),
        ("scan", tmp_path, "--out", tmp_path / "findings.out"),
        ("traces", "aggregate", "--job-dir", tmp_path),
        ("logs", "list", "--logs-dir", tmp_path, "--format", "json"),
    )
    outputs = [spantriage(*arguments) for arguments in commands]

    assert [done.returncode for done in outputs] == [0] * 5, [done.stderr for done in outputs]
    assert not any(mark in done.stdout + done.stderr for done in outputs for mark in ("\x1b", "\u202e", "\udcff"))
