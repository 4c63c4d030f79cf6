"""Trials of Harbor and Terminal-Bench: how they came out, whose doing it was, what the agent said, what it cost."""

from datetime import UTC, datetime

import pytest
from samples import DATA, TRIAL, loud, one, put, records, scanned, terminal_trial, trajectory

NAME = "serve-files__dg6SgTQ"
STREAM = (DATA / "claude_code" / "claude-code.stream.jsonl").read_text()


def failed(kind, message="it broke", at="2026-08-25T03:43:38Z"):
    return {"exception_type": kind, "exception_message": message, "exception_traceback": "Traceback ...", "occurred_at": at}


def total(run):
    told = records(run).values()
    return tuple(sum(getattr(record, name) or 0 for record in told) for name in ("input_tokens", "output_tokens", "cached_tokens"))


def labels(run):
    return run.judgement.run.labels


def test_a_failed_trial_has_harbors_totals(tmp_path):
    run = one(put(tmp_path, {f"{NAME}/result.json": TRIAL}))

    assert run.judgement.outcome == "failed"
    assert total(run) == (2_700, 160, 768)
    assert labels(run) | {
        "form": "harbor",
        "task_name": "bench/serve-files",
        "trial_name": NAME,
        "reward": "0",
        "model": "gpt-5.6-sol",
    } == labels(run)
    assert run.judgement.failure_score == 0.95
    assert {step.name: step.kind for step in run.judgement.run.steps.values() if step.kind != "event"} == {
        "trial": "workflow", "environment_setup": "setup", "agent_setup": "setup", "agent_execution": "agent", "verifier": "other",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "message", "at", "cause", "code", "step"),
    [
        ("AgentTimeoutError", "Agent timed out", "2026-08-25T03:43:38Z", "agent_exhausted_budget", "flow.step_limit", "agent_execution"),
        ("EnvironmentStartTimeoutError", "timed out", "2026-08-25T03:42:30Z", "sandbox_failed", "flow.error", "environment_setup"),
        ("RewardFileNotFoundError", "no reward", "2026-08-25T03:43:50Z", "verifier_failed", "flow.error", "verifier"),
        ("RateLimitError", "Error code: 429", "2026-08-25T03:43:38Z", "model_provider_failed", "model.rate_limited", "agent_execution"),
        ("ContextWindowExceededError", "context length", None, "agent_exhausted_budget", "model.context_overflow", "agent_execution"),
        ("RuntimeError", "runner failed", None, "unclassified", "flow.error", "agent_execution"),
        ("CancelledError", "", "2026-08-25T03:43:38Z", "cancelled", "flow.cancelled", "agent_execution"),
    ],
)  # fmt: skip
def test_an_exception_is_the_failure_of_the_phase_that_it_ended(tmp_path, kind, message, at, cause, code, step):
    run = one(put(tmp_path, {f"{NAME}/result.json": {**TRIAL, "exception_info": failed(kind, message, at)}}))

    assert (run.judgement.outcome, labels(run)["cause"], labels(run)["reward"]) == ("error", cause, "0")
    assert run.primary is not None
    assert run.primary.code == code
    assert [s.name for s in run.judgement.run.steps.values() if s.failed] == [step]


@pytest.mark.parametrize(
    ("files", "outcome", "reward"),
    [
        ({"verifier/reward.txt": "1.0\n"}, "passed", "1"),
        ({"verifier/reward.txt": "0.5"}, "failed", "0.5"),
        ({"verifier/reward.json": {"reward": 1}}, "passed", "1"),
        ({"verifier/reward.json": {"a": 1, "b": 0}}, "failed", "0.5"),
        ({"reward.txt": "1"}, "passed", "1"),
        ({}, "ok", None),
        (
            {
                "verifier/reward.txt": "1.0",
                "exception.txt": "Traceback ...\nRuntimeError: Docker compose command failed\nRPC failed; curl 56",
            },
            "error",
            "1",
        ),
    ],
)
def test_older_folders_tell_by_their_files_alone(tmp_path, files, outcome, reward):
    put(
        tmp_path / "sgt-001__7A5Hxy2",
        {"config.json": {"agent": {"name": "cc", "model_name": "m"}}, "agent/claude.txt": "noise\n" + STREAM, **files},
    )

    run = one(tmp_path)

    assert (run.judgement.outcome, labels(run).get("reward")) == (outcome, reward)
    assert (labels(run)["task_name"], labels(run)["agent"]) == ("sgt-001", "cc")
    assert total(run) == (39_036, 126, 29_400)
    assert labels(run)["permission_denials"] == "1"


def test_a_trajectory_is_the_agents_part_and_the_rest_of_the_totals_is_told_beside_it(tmp_path):
    run = one(put(tmp_path / NAME, {"result.json": TRIAL, "agent/trajectory.json": trajectory(), "agent/claude-code.txt": STREAM}))

    assert total(run) == (2_700, 160, 768)
    assert records(run)["smoke"].model_calls == 2
    assert ("smoke", "tool.silent_failure", "") in loud(run)
    agent = next(step for step in run.judgement.settled.sequence if step.kind == "agent")
    assert agent.result == "It is served."


def test_a_trajectory_goes_on_in_another_file_of_its_folder_and_in_no_other(tmp_path):
    put(tmp_path, {"secret.json": trajectory(steps=[{"step_id": 1, "source": "agent", "message": "stolen"}])})
    first = trajectory(continued_trajectory_ref="trajectory.cont-1.json")
    second = trajectory(continued_trajectory_ref="../../secret.json")
    put(tmp_path / NAME, {"result.json": TRIAL, "agent/trajectory.json": first, "agent/trajectory.cont-1.json": second})

    run = one(tmp_path / NAME)

    assert records(run)["smoke"].model_calls == 4
    assert all("stolen" not in str(step.content) for step in run.judgement.settled.sequence)


def test_agents_in_files_of_their_own_are_read_once(tmp_path):
    first = trajectory(final_metrics=None)
    reference = {"trajectory_id": "t2", "trajectory_path": "trajectory.sub-1.json"}
    first["steps"][1]["observation"]["results"][0]["subagent_trajectory_ref"] = [
        reference,
        reference,
        {"trajectory_path": "../../secret.json"},
    ]
    scout = trajectory(agent={"name": "scout", "version": "1"}, final_metrics=None)
    put(tmp_path / NAME, {"result.json": TRIAL, "agent/trajectory.json": first, "agent/trajectory.sub-1.json": scout})

    run = one(tmp_path)

    assert {name: record.model_calls for name, record in records(run).items() if record.model_calls} == {"smoke": 2, "scout": 2}
    assert total(run) == (2_700, 160, 768)


def test_a_trial_of_several_steps_has_a_phase_for_each(tmp_path):
    def step(name, reward, **fields):
        return {"step_name": name, "agent_result": {"n_input_tokens": 250, "n_output_tokens": 25, "cost_usd": 0.5},
                "verifier_result": {"rewards": {"reward": reward}}, "agent_execution": TRIAL["agent_execution"], **fields}  # fmt: skip

    told = {**TRIAL, "agent_result": None, "agent_execution": None, "step_results": [
        step("one", 1), step("two", 0, exception_info=failed("AgentTimeoutError"))]}  # fmt: skip
    put(tmp_path / NAME, {"result.json": told, "steps/one/agent/trajectory.json": trajectory(final_metrics=None),
                          "steps/two/verifier/ctrf.json": {"results": {"tests": [{"name": "t", "status": "failed"}]}}})  # fmt: skip

    run = one(tmp_path)

    assert total(run)[:2] == (500, 50)
    assert records(run)["smoke"].model_calls == 2
    assert records(run)["smoke"].cost_usd == pytest.approx(1.0)
    assert [s.name for s in run.judgement.run.steps.values() if s.failed] == ["two: agent_execution"]
    assert labels(run)["cause"] == "agent_exhausted_budget"


def test_failed_tests_are_named(tmp_path):
    tests = {"results": {"tests": [{"name": "test_a", "status": "passed"}, {"name": "test_b", "status": "failed"}]}}
    run = one(put(tmp_path / NAME, {"result.json": TRIAL, "verifier/ctrf.json": tests}))

    verifier = next(step for step in run.judgement.run.steps.values() if step.name == "verifier")
    assert verifier.result == "1 of 2 passed; failed: test_b"


def test_a_jobs_own_files_are_no_runs(tmp_path):
    put(
        tmp_path,
        {"result.json": {"id": "x", "n_total_trials": 1, "stats": {}}, "config.json": {"agents": []}, f"{NAME}/result.json": TRIAL},
    )

    _, replay = scanned(tmp_path)

    assert (replay.counts["runs"], replay.counts["files_passed_over"], replay.skips) == (1, 2, [])


def test_a_result_with_megabytes_of_details_is_still_a_trial(tmp_path):
    details = {"agent_result": {**TRIAL["agent_result"], "rollout_details": ["x" * 1_000] * 2_000}}
    run = one(put(tmp_path, {"renamed/result.json": {**TRIAL, **details}}))

    assert labels(run)["trial_name"] == NAME


def test_folders_that_are_only_called_like_trials_are_none(tmp_path):
    put(tmp_path, {"my__package/config.json": {}, "my__package/models.json": {"trial": 1}})
    put(tmp_path / "nightly__run1", {"result.json": {"id": "x", "n_total_trials": 1, "stats": {}}, f"{NAME}/result.json": TRIAL})

    assert labels(one(tmp_path))["trial_name"] == NAME


def test_session_files_are_read_where_there_is_nothing_else(tmp_path):
    session = (DATA / "claude_code" / "session.jsonl").read_text()
    run = one(put(tmp_path / NAME, {"result.json": TRIAL, "agent/sessions/projects/-app/0c3d.jsonl": session}))

    assert records(run)["smoke"].tool_calls == 2


@pytest.mark.parametrize(
    ("fields", "outcome", "cause"),
    [
        ({"is_resolved": True}, "passed", None),
        ({}, "failed", None),
        ({"failure_mode": "agent_timeout"}, "error", "agent_exhausted_budget"),
        ({"failure_mode": "test_timeout"}, "error", "verifier_failed"),
        ({"failure_mode": "agent_installation_failed"}, "error", "sandbox_failed"),
        ({"failure_mode": "unknown_agent_error", "is_resolved": None}, "error", "unclassified"),
        ({"failure_mode": "agent_timeout", "is_resolved": True}, "passed", "agent_exhausted_budget"),
        ({"failure_mode": "made_up"}, "error", "unclassified"),
    ],
)
def test_trials_of_terminal_bench(tmp_path, fields, outcome, cause):
    folder = tmp_path / "run" / "hello" / "hello.1-of-1.run"
    logs = {"episode-0/prompt.txt": "Write it.", "episode-0/response.txt": "echo hello > hello.txt", "episode-10/response.txt": "Done."}
    put(folder, {"results.json": terminal_trial(**fields), "panes/post-test.txt": "1 failed"})
    put(folder / "agent-logs", logs)
    put(tmp_path / "run", {"results.json": {"results": [terminal_trial(**fields)]}, "run_metadata.json": {"run_id": "run"}})

    run = one(tmp_path)

    assert (run.judgement.outcome, labels(run).get("cause"), labels(run)["tests"]) == (outcome, cause, "1 of 2 passed")
    assert total(run)[:2] == (900, 90)
    assert records(run)["agent"].model_calls == 2
    agent = next(step for step in run.judgement.run.steps.values() if step.kind == "agent")
    assert agent.result == "Done."


def test_results_of_a_whole_run_stand_for_trials_whose_folders_are_gone(tmp_path):
    trials = [terminal_trial(), terminal_trial(id="b1f34136-1523-429b-894e-ef34c154ea78", trial_name="other", task_id="other")]
    judged, _ = scanned(put(tmp_path, {"results.json": {"results": trials, "accuracy": 0.0}}) / "results.json")

    assert [labels(run)["trial_name"] for run in judged] == ["hello.1-of-1.run", "other"]


def test_times_are_those_of_the_phases(tmp_path):
    run = one(put(tmp_path, {f"{NAME}/result.json": TRIAL}))
    agent = next(step for step in run.judgement.run.steps.values() if step.kind == "agent")

    assert datetime.fromtimestamp(agent.start_ns / 1e9, UTC).isoformat() == "2026-08-25T03:43:36.759835+00:00"
    assert agent.duration_ns == 2_946_077_000
