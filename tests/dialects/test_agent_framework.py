"""Microsoft's Agent Framework: runs as they were recorded (texts cut), against `facts.txt` beside them."""

from __future__ import annotations

import pytest
from recorded_facts import expected, facts, judge, read, scenarios

FOLDER = "agent_framework"
EXPECTED = expected(FOLDER)


@pytest.mark.parametrize("scenario", scenarios(FOLDER))
def test_a_run_is_read_and_judged_as_written_down(scenario: str) -> None:
    assert facts(FOLDER, scenario) == EXPECTED[scenario]


@pytest.mark.parametrize("scenario", ["handoff", "ok"])
def test_a_run_without_a_failure_is_left_alone(scenario: str) -> None:
    assert [f.code for judged in judge(FOLDER, scenario) for f in judged.findings] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("workflow.run", "workflow"), ("executor.process worker", "workflow"), ("workflow.build", "setup"), ("message.send", "other"),
        ("edge_group.process SingleEdgeGroup", "other"),
    ],
)  # fmt: skip
def test_a_workflows_spans_are_told_by_the_first_word_of_their_names(name: str, kind: str) -> None:
    assert read("agent_framework", name, {}).kind == kind


def test_a_failure_that_a_workflow_passed_up_is_one_failure_at_the_call() -> None:
    (judged,) = judge(FOLDER, "workflow_error")
    (finding,) = judged.findings
    assert (finding.code, finding.agent, finding.primary, judged.judgement.outcome) == ("model.provider_error", "worker", True, "error")
