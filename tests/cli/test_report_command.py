"""`spantriage report`, run as a user runs it."""

import pytest
from reported import LOG, spantriage
from samples import DATA, copied


@pytest.fixture
def log(tmp_path):
    (tmp_path / "massgen").mkdir()
    return copied("massgen/run1", tmp_path) / LOG


def test_the_report_of_a_log_goes_into_its_turn_and_its_summary_to_the_screen(log):
    done = spantriage("report", log)

    assert done.returncode == 0, done.stderr
    assert "agent_b weighs heaviest" in done.stdout
    assert (log / "turn_1" / "ANALYSIS_REPORT.md").read_text().startswith("# MassGen Log Analysis Report\n")
    assert "yes" in spantriage("logs", "list", "--logs-dir", log.parent).stdout


def test_a_report_of_somebody_else_is_not_overwritten_unasked(log):
    path = log / "turn_1" / "ANALYSIS_REPORT.md"
    path.write_text("# Mine\n")

    refused = spantriage("report", log)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert path.read_text() == "# Mine\n"
    assert spantriage("report", log, "--force").returncode == 0
    assert spantriage("report", log).returncode == 0


def test_the_latest_turn_is_reported_and_another_when_asked_for(log):
    (log / "turn_1").rename(log / "turn_2")
    spantriage("report", log)

    assert (log / "turn_2" / "ANALYSIS_REPORT.md").exists()
    missing = spantriage("report", log, "--turn", "7")
    assert missing.returncode == 2
    assert "there is no turn 7" in missing.stderr


def test_a_run_of_spans_is_reported_where_one_stands(tmp_path):
    done = spantriage("report", DATA / "massgen" / "run1" / "spans.jsonl", "--ground-truth", "4", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "does not hold the ground truth" in (tmp_path / "ANALYSIS_REPORT.md").read_text()


def test_what_is_no_run_is_refused_with_its_name(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")

    done = spantriage("report", tmp_path / "notes.txt")
    assert done.returncode == 2
    assert "notes.txt" in done.stderr
    assert "Traceback" not in done.stderr
