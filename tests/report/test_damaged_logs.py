"""Logs of which something is missing, cut or made to harm: there is a report all the same."""

import json
import random

import pytest
from reported import LOG, markdown, part
from samples import copied, dead_agents, put, scanned

from spantriage.report.case import open_case
from spantriage.report.compose import compose
from spantriage.report.page import run_page


def reports(folder):
    """A report of every run below a folder, in both forms."""
    judged, replay = scanned(folder)
    for run in judged:
        case = open_case(run, folder, map(str, replay.skips))
        yield markdown(case), run_page(case, compose(case, generated="now"))


@pytest.fixture
def attempt(tmp_path):
    (tmp_path / "massgen").mkdir()
    return copied("massgen/run1", tmp_path) / LOG / "turn_1" / "attempt_1"


@pytest.mark.parametrize("seed", range(12))
def test_files_that_are_missing_or_cut_leave_a_report(attempt, seed):
    chance = random.Random(seed)
    for path in sorted(path for path in attempt.rglob("*") if path.is_file()):
        fate = chance.random()
        if fate < 0.3:
            path.unlink()
        elif fate < 0.6:
            path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size + 1)])

    for text, page in reports(attempt):
        assert "## Appendix" in text
        assert "</html>" in page


@pytest.mark.parametrize("seed", range(12))
def test_values_of_the_wrong_kind_leave_a_report(attempt, seed):
    chance = random.Random(seed)
    for name in ("status.json", "coordination_events.json", "metrics_events.json"):
        path = attempt / name
        path.write_text(json.dumps(_spoilt(json.loads(path.read_text()), chance)))

    for text, _ in reports(attempt):
        assert "## Appendix" in text


def _spoilt(value, chance):
    if chance.random() < 0.03:
        return chance.choice([None, -1, 1e30, "x" * 300, [], {}, True, "{}", "<b>|`"])
    if isinstance(value, dict):
        return {key: _spoilt(each, chance) for key, each in value.items()}
    return [_spoilt(each, chance) for each in value] if isinstance(value, list) else value


def test_what_could_not_be_read_is_told(attempt):
    (attempt / "metrics_events.json").write_text("{")

    ((text, _),) = reports(attempt)
    assert "metrics_events.json" in part(text, "### What Could Not Be Read")


def test_the_reason_of_a_vote_is_taken_from_its_own_file_where_no_event_tells_it(attempt):
    for name in ("coordination_events.json", "events.jsonl"):
        (attempt / name).unlink()

    ((text, _),) = reports(attempt)
    votes = part(text, "### Voting Analysis")
    assert "| agent_b | agent1.1 | “agent1 is more complete.” | `agent_b/20261120_140137_270759/vote.json:" in votes


def test_a_run_whose_agents_died_names_the_one_that_did(tmp_path):
    ((text, page),) = reports(put(tmp_path, dead_agents()))

    assert "Root cause: agent agent_c" in part(text, "## Executive Summary")
    assert 'id="failing-agent"><bdi>agent_c' in page


def test_a_secret_in_a_log_is_in_no_report(attempt):
    secret = "sk-ant-canary0123456789abcdef"
    for path in attempt.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("Working on it.", f"my key is {secret}").replace("careful", secret))

    ((text, page),) = reports(attempt)
    assert secret not in text
    assert secret not in page
    assert "[redacted]" in page


def test_a_log_that_links_out_of_its_folder_reads_nothing_there(attempt, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("query: do not read me\nconfig_path: do-not-read-me\n")
    (attempt / "execution_metadata.yaml").unlink()
    (attempt / "execution_metadata.yaml").symlink_to(outside)

    ((text, _),) = reports(attempt)
    assert "do-not-read-me" not in text
