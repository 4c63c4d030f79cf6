"""`spantriage logs analyze`, run as a user runs it."""

import pytest
from reported import LOG, part, spantriage
from samples import copied


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "massgen").mkdir()
    return copied("massgen/run1", tmp_path)


def test_the_prompt_names_the_log_its_turn_the_questions_and_the_rule(logs):
    said = spantriage("logs", "analyze", "--logs-dir", logs).stdout

    assert f"- Log: {logs / LOG}\n- Turn: 1\n" in said
    assert "10. Enforcement & Workflow Reliability" in said
    assert "no ground truth was supplied" in said
    assert not (logs / LOG / "turn_1" / "ANALYSIS_REPORT.md").exists()


def test_three_reviewers_look_over_the_report(logs):
    done = spantriage("logs", "analyze", "--log-dir", logs / LOG, "--mode", "self")
    reviews = part((logs / LOG / "turn_1" / "ANALYSIS_REPORT.md").read_text(), "## Reviews")

    assert done.returncode == 0, done.stderr
    for name in ("Correctness", "Efficiency", "Behaviour"):
        assert part("\n" + reviews + "\n", f"### {name} Reviewer").startswith("- ")
    assert "does not hold the answer that was voted for" in reviews


@pytest.mark.parametrize(("answer", "code", "kept"), [("n\n", 2, True), ("", 2, True), ("y\n", 0, False)])
def test_a_report_that_is_there_is_overwritten_only_when_that_is_agreed(logs, answer, code, kept):
    path = logs / LOG / "turn_1" / "ANALYSIS_REPORT.md"
    path.write_text("# Mine\n")

    done = spantriage("logs", "analyze", "--logs-dir", logs, "--mode", "self", stdin=answer)
    assert done.returncode == code, done.stderr
    assert "Overwrite it?" in done.stdout
    assert (path.read_text() == "# Mine\n") is kept


def test_force_does_not_ask(logs):
    path = logs / LOG / "turn_1" / "ANALYSIS_REPORT.md"
    path.write_text("# Mine\n")

    done = spantriage("logs", "analyze", "--logs-dir", logs, "--mode", "self", "--force", stdin="")
    assert done.returncode == 0, done.stderr
    assert path.read_text().startswith("# MassGen Log Analysis Report")


def test_the_latest_turn_of_the_latest_log_is_analysed(logs):
    (logs / LOG / "turn_1").rename(logs / LOG / "turn_3")
    (logs / "log_20250101_000000").mkdir()

    assert "- Turn: 3\n" in spantriage("logs", "analyze", "--logs-dir", logs).stdout


@pytest.mark.parametrize("options", [("--log-dir", "nowhere"), ("--logs-dir", "nowhere"), ("--logs-dir", ".", "--turn", "9")])
def test_what_is_not_there_is_told_in_one_line(logs, options):
    done = spantriage("logs", "analyze", *options, cwd=logs)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_report_is_made_with_the_settings_of_a_file(logs):
    (logs / "own.toml").write_text('ignore = ["flow.workflow_violation"]')

    done = spantriage("logs", "analyze", "--logs-dir", logs, "--mode", "self", "--config", logs / "own.toml")
    text = (logs / LOG / "turn_1" / "ANALYSIS_REPORT.md").read_text()
    assert done.returncode == 0, done.stderr
    assert "`model.connection`" in text
    assert "`flow.workflow_violation`" not in text
