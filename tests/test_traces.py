"""Execution traces of jobs: put together, compared, made fit to share, kept, learned from."""

import json
import math
import sqlite3
from contextlib import closing

import pytest
from samples import DATA, TRIAL, put, terminal_trial, trajectory

from spantriage.archive import keep, traces_in
from spantriage.comparison import compare, difference, wilson
from spantriage.errors import SinkError, SourceError
from spantriage.lessons import learn, read, store
from spantriage.logs import entries
from spantriage.sanitise import sanitise
from spantriage.traces import Job, summary_of

RESPONSE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "duration_ms": 228_600,
    "result": "I understand the issue now. My key is sk-ant-abcdefghijklmnopqrstuvwx",
    "session_id": "s",
    "total_cost_usd": 0.035,
    "usage": {"input_tokens": 4675, "output_tokens": 7732, "cache_creation_input_tokens": 32351, "cache_read_input_tokens": 989459},
    "permission_denials": [{"tool_name": "Bash", "tool_use_id": "t1", "tool_input": {"command": "touch x"}}],
}
BROKEN = (
    "Traceback (most recent call last):\n  ...\nRuntimeError: Docker compose command failed\n"
    "RPC failed; curl 56 GnuTLS recv error (-9): Error decoding TLS packet\n"
)


def trial(reward=1.0, *, exception=None, response=RESPONSE):
    """A trial's folder as the harness of the user's reports leaves it."""
    files = {
        "config.json": {"task": {"path": "benchmarks/sgt-001"}, "agent": {"name": "cc", "model_name": "anthropic/claude-haiku-4-5"}},
        "run_manifest.json": {"timestamp": "2025-12-18T07:56:35", "harness": "harbor", "more": 1},
        "agent/patch.diff": "diff --git a/file1.py b/file1.py\n+x = 1\n",
        "verifier/test-stdout.txt": "Running test command: make test\n" + "." * 3_000,
    }
    files |= {} if response is None else {"agent/claude.txt": "starting\n" + json.dumps(response) + "\n"}
    files |= {} if reward is None else {"verifier/reward.txt": f"{reward}\n"}
    return files | ({} if exception is None else {"exception.txt": exception})


@pytest.fixture
def jobs(tmp_path):
    """A baseline of ten tasks, of which one failed and one broke, and a variant that passes them all."""
    for number in range(1, 11):
        name = f"sgt-{number:03d}"
        before = trial(None, exception=BROKEN, response=None) if number == 5 else trial(0.0 if number == 2 else 1.0)
        put(tmp_path / "baseline" / f"{name}__7A5Hxy2", before)
        put(tmp_path / "variant" / f"{name}__9B6Iab3", trial())
    return tmp_path


def traces(folder, **options):
    job = Job(folder, **options)
    found = list(job.traces())
    assert job.skips == []
    return found


def test_a_trace_has_the_fields_of_the_reports_and_what_they_leave_empty(jobs):
    (trace,) = traces(jobs / "baseline", task="sgt-001")

    assert list(trace)[:10] == [
        "task_id", "task_instruction", "agent_config", "agent_request", "agent_response", "code_changes", "test_reward", "test_output",
        "metrics", "status",
    ]  # fmt: skip
    assert trace["task_id"] == "sgt-001__7A5Hxy2"
    assert trace["agent_config"] == {
        "agent": {"name": "cc", "model_name": "anthropic/claude-haiku-4-5"}, "model": "anthropic/claude-haiku-4-5",
        "timestamp": "sgt-001__7A5Hxy2",
    }  # fmt: skip
    assert trace["agent_request"] is None
    assert (trace["test_reward"], trace["status"]) == (1.0, "pass")
    assert len(trace["test_output"]) == 2_000
    assert trace["code_changes"].startswith("diff --git")
    metrics = trace["metrics"]
    assert metrics["tokens"] == {"input": 4675, "output": 7732, "total": 12407, "cache_creation": 32351, "cache_read": 989459}
    assert metrics["manifest"] == {"timestamp": "2025-12-18T07:56:35", "harness": "harbor"}
    assert (metrics["duration_s"], metrics["cost_usd"]) == (228.6, 0.035)
    assert trace["agent_response"]["permission_denials"] == RESPONSE["permission_denials"]
    assert trace["agent_response"]["result"] == "I understand the issue now. My key is [redacted]"


def test_a_machines_failure_is_told_from_the_agents(jobs):
    (trace,) = traces(jobs / "baseline", task="sgt-005__7A5Hxy2")

    assert (trace["status"], trace["test_reward"]) == ("error", 0.0)
    assert trace["error"] == "RuntimeError: Docker compose command failed"
    assert trace["details"] == "RPC failed; curl 56 GnuTLS recv error (-9): Error decoding TLS packet"
    assert trace["infrastructure"] is True


def test_the_summary_of_a_job(jobs):
    put(jobs / "baseline" / "sgt-011__7A5Hxy2", trial(0.5))
    summary = summary_of(traces(jobs / "baseline"))

    assert (
        summary | {"total": 11, "passed": 8, "failed": 1, "errors": 1, "partial": 1, "infrastructure_errors": 1, "permission_denials": 10}
        == summary
    )
    assert summary["success_rate"] == pytest.approx(8 / 11)
    assert summary["clean_success_rate"] == pytest.approx(8 / 10)
    assert summary["cost_usd"] == pytest.approx(0.35)


def test_the_instruction_comes_from_the_folder_of_tasks_and_from_nowhere_else(jobs):
    put(jobs / "repository", {"benchmarks/sgt-001/instruction.md": "# Add thread safety"})
    put(jobs / "baseline" / "sgt-012__7A5Hxy2", trial() | {"config.json": {"task": {"path": "../secret"}}})
    put(jobs, {"secret/instruction.md": "stolen"})

    found = {trace["task_id"]: trace["task_instruction"] for trace in traces(jobs / "baseline", tasks=jobs / "repository")}

    assert found["sgt-001__7A5Hxy2"] == "# Add thread safety"
    assert found["sgt-012__7A5Hxy2"] == ""


def test_stock_trials_of_harbor_and_of_terminal_bench(tmp_path):
    put(tmp_path / "serve__dg6SgTQ", {"result.json": TRIAL, "agent/trajectory.json": trajectory()})
    put(tmp_path / "run/hello/hello.1-of-1.run", {"results.json": terminal_trial(is_resolved=True), "panes/post-test.txt": "1 passed"})

    hello, serve = traces(tmp_path)

    assert (hello["status"], hello["task_instruction"], hello["test_output"], hello["tests"]) == (
        "pass",
        "Write hello.txt.",
        "1 passed",
        "1 of 2 passed",
    )
    assert (serve["status"], serve["task_instruction"]) == ("fail", "Serve the files.")
    assert serve["agent_response"]["result"] == "It is served."
    assert serve["metrics"]["tokens"] == {"input": 2700 - 768, "output": 160, "total": 2092, "cache_creation": None, "cache_read": 768}
    assert serve["metrics"]["tools"] == {"bash": {"calls": 1, "errors": 1}}
    assert [finding["code"] for finding in serve["findings"]] == ["tool.silent_failure"]


def test_two_jobs_are_compared_task_by_task(jobs):
    found = compare(traces(jobs / "baseline"), traces(jobs / "variant"))

    changed = {task["task"]: task["transition"] for task in found["tasks"] if task["changed"]}
    assert changed == {"sgt-002": "FAILED → PASSED", "sgt-005": "ERROR → PASSED"}
    assert found["transitions"] == {"ERROR → PASSED": 1, "FAILED → PASSED": 1}
    assert (found["baseline"]["success_rate"], found["variant"]["success_rate"]) == (0.8, 1.0)
    assert found["baseline"]["infrastructure_errors"] == 1
    delta = found["delta"]
    assert (delta["success_rate"], delta["paired"], delta["p_value"]) == (0.2, True, 0.5)
    low, high = delta["interval_95"]
    assert low < 0 < 0.2 < high  # ten tasks prove nothing


def test_tasks_of_one_side_only_are_named_and_not_counted(jobs):
    one, two = traces(jobs / "baseline"), traces(jobs / "variant")

    found = compare(one[1:], two[:-1])

    assert (found["only_in_variant"], found["only_in_baseline"]) == (["sgt-001"], ["sgt-010"])
    assert found["baseline"]["total"] == found["variant"]["total"] == 8


def test_several_trials_of_a_task_are_one_line(jobs):
    found = compare([*traces(jobs / "baseline"), *traces(jobs / "variant")], traces(jobs / "variant"))

    assert {task["baseline"] for task in found["tasks"]} == {"PASSED", "1 OF 2 PASSED"}
    assert found["delta"]["paired"] is False


def test_intervals_are_those_of_the_textbook():
    # Newcombe 1998: 56/70 against 48/80 gives 0.0524 to 0.3339
    low, high = difference((48, 80), (56, 70))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    assert tuple(round(bound, 4) for bound in wilson(81, 263)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)
    assert all(math.isfinite(bound) for bound in difference((0, 5), (5, 5), [(False, True)] * 5))


def test_the_interval_for_pairs_is_narrower_where_both_pass_the_same_tasks():
    pairs = [(True, True)] * 40 + [(False, False)] * 40 + [(False, True)] * 10
    paired, alone = difference((40, 90), (50, 90), pairs), difference((40, 90), (50, 90))

    assert paired[1] - paired[0] < alone[1] - alone[0]
    assert paired[0] > 0 > alone[0]


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("see /home/anna/code/x.py and /Users/bob", "see ~/code/x.py and ~"),
        ("C:\\Users\\anna\\x", "~\\x"),
        ("mail anna.b@example.org from 10.1.2.3 or db7.corp", "mail [email] from [address] or [host]"),
        ("fe80:0:0:0:1:2:3:4", "[address]"),
        ("key sk-ant-abcdefghijklmnopqrstuvwx", "key [redacted]"),
        ("version 1.2.3 of 12:30:45 stays", "version 1.2.3 of 12:30:45 stays"),
    ],
)
def test_what_names_people_and_places_is_taken_out(text, shared):
    assert sanitise({"a": [text, {text: 1}]}) == {"a": [shared, {shared: 1}]}


def test_content_is_left_out_on_demand_and_figures_stay(jobs):
    (trace,) = traces(jobs / "baseline", task="sgt-001")

    shared = sanitise(trace, drop_content=True)

    assert isinstance(shared, dict)
    assert shared["code_changes"] == shared["test_output"] == shared["agent_response"]["result"] == "[left out]"
    assert shared["agent_response"]["permission_denials"][0] == {"tool_name": "Bash", "tool_use_id": "t1", "tool_input": "[left out]"}
    assert shared["metrics"] == trace["metrics"]


def test_nesting_without_end_is_cut():
    value = []
    for _ in range(500):
        value = [value]

    assert "[left out]" in json.dumps(sanitise(value))


def test_what_a_job_teaches_is_stored_once_and_read_back(jobs, tmp_path):
    baseline, variant = traces(jobs / "baseline"), traces(jobs / "variant")
    database = tmp_path / ".engram" / "engram.db"

    store(learn(variant, baseline), database, "first")
    number = store(learn(variant, baseline), database, "second")

    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("select kind, subject, trials, passed, source from learned_patterns").fetchall()
    assert len(rows) == number
    assert ("comparison", "variant", 10, 10, "second") in rows
    (lesson,) = [lesson for lesson in read(database) if lesson.kind == "comparison"]
    assert "from 80% to 100%" in lesson.pattern
    assert lesson.advice == "none"  # the interval holds 0


def test_failures_that_come_back_and_tools_that_help_are_patterns():
    def told(number, status, tool, *codes):
        return {"task_id": f"t{number}__abcd", "status": status, "metrics": {"tools": {tool: {"calls": 1}} if tool else {}},
                "findings": [{"code": code} for code in codes]}  # fmt: skip

    job = [told(n, "pass", "deep_search") for n in range(4)] + [told(n, "fail", None, "tool.error") for n in range(4, 8)]

    found = {lesson.subject: lesson for lesson in learn(job)}

    assert (found["tool.error"].trials, found["tool.error"].passed) == (4, 0)
    assert found["deep_search"].advice == "Use deep_search where it applies."
    assert "passed 4 of 4; those without it 0 of 4" in found["deep_search"].pattern


def test_hostile_words_are_stored_as_words(tmp_path):
    evil = "x'); drop table learned_patterns; --\x1b[31m\u202e"
    job = [{"task_id": f"{evil}__1", "status": "fail", "metrics": {"tools": {evil: {}}}, "findings": [], "cause": evil} for _ in range(2)]

    store(learn(job), tmp_path / "l.db", evil)

    lessons = read(tmp_path / "l.db")
    assert len(lessons) == 2
    assert all("\x1b" not in lesson.pattern and "\u202e" not in lesson.pattern for lesson in lessons)


@pytest.mark.parametrize("content", [b"not a database, not at all", None])
def test_a_database_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "l.db"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SourceError, match=r"l\.db"):
        read(path)
    if content is not None:
        with pytest.raises(SinkError, match=r"l\.db"):
            store([], path, "x")


def test_files_are_kept_by_the_day_that_they_tell(tmp_path):
    put(tmp_path, {"job.json": {"job_dir": "x", "timestamp": "2025-12-18T07:56:35+00:00", "traces": [], "summary": {}}})

    kept = keep(tmp_path / "job.json", tmp_path / "history" / "runs")

    assert kept == tmp_path / "history/runs/2025-12-18/job.json"
    assert (tmp_path / "history/runs/.gitignore").read_text() == "*\n"
    assert keep(tmp_path / "job.json", tmp_path / "history" / "runs") == kept  # twice is once
    (tmp_path / "job.json").write_text('{"timestamp": "2025-12-18"}')
    with pytest.raises(SinkError, match="differs"):
        keep(tmp_path / "job.json", tmp_path / "history" / "runs")
    assert keep(tmp_path / "job.json", tmp_path / "history" / "runs", replace=True).read_text() == '{"timestamp": "2025-12-18"}'


def test_links_and_days_that_are_none_are_refused(tmp_path):
    put(tmp_path, {"a.json": {}})
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")

    with pytest.raises(SourceError, match="not a file"):
        keep(tmp_path / "link.json", tmp_path / "h")
    with pytest.raises(SourceError, match="no day"):
        keep(tmp_path / "a.json", tmp_path / "h", day="../../etc")


@pytest.mark.parametrize("content", ["", "[]", '{"traces": [1]}', '{"traces": [{"no": "status"}]}', "{"])
def test_files_without_traces_are_refused(tmp_path, content):
    with pytest.raises(SourceError, match=r"a\.json"):
        traces_in(put(tmp_path, {"a.json": content}) / "a.json")


def test_logs_are_listed_the_newest_first_with_what_became_of_them(tmp_path):
    status = {"meta": {"elapsed_seconds": 2.5, "question": "Why?"}, "costs": {"total_input_tokens": 10, "total_estimated_cost": 0.5}}
    put(tmp_path, {
        "log_20261120_140133_562139/turn_1/attempt_1/status.json": status,
        "log_20261120_140133_562139/turn_1/attempt_2/status.json": status,
        "log_20261120_140133_562139/turn_2/attempt_1/status.json": {**status, "finish_reason": "completed", "results": {"winner": "a"}},
        "log_20261120_140133_562139/turn_1/ANALYSIS_REPORT.md": "# Report",
        "log_20251218_000000/turn_1/attempt_1/status.json": "{",
        "log_20251218_000000/turn_1/ANALYSIS_REPORT.md": "# Report",
        "other/status.json": status,
    })  # fmt: skip

    new, old = entries(tmp_path)

    assert (new.began, new.turns, new.attempts, new.duration_s, new.cost_usd, new.input_tokens) == (
        "2026-11-20T14:01:33",
        2,
        3,
        5.0,
        1.0,
        20,
    )
    assert (new.analysed, new.analysed_turns, new.question, new.status, new.winner) == (False, 1, "Why?", "completed", "a")
    assert (old.analysed, old.duration_s, old.question) == (True, None, None)


def test_a_logs_own_folder_is_one_log():
    (entry,) = entries(next((DATA / "massgen" / "run1").glob("log_*")))

    assert (entry.input_tokens, entry.output_tokens, entry.winner, entry.agents) == (44_894, 230, "agent_a", 2)
