"""What is right nobody knows unless somebody says so."""

import ast
import re
from pathlib import Path

import pytest
from reported import TURN, case_of, recorded_case

import spantriage.report
from spantriage.detectors.example import agent, answers
from spantriage.report.compose import compose
from spantriage.report.wording import claims, violations
from spantriage.report.words import Sentence

SOURCES = sorted(Path(spantriage.report.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("said", [
    "agent_a correctly identified the bug", "It got the right answer", "solved correctly", "the correct answer", "the answer was wrong",
    "agent_b answered incorrectly", "Solved it correctly.", "reached the wrong result",
])  # fmt: skip
def test_words_that_only_ground_truth_allows_are_found(said):
    assert claims(said)


@pytest.mark.parametrize(
    "said", ["agent_a claimed 4", "it submitted 5", "it arrived at 6", "it produced a file", "Voting completed correctly"]
)
def test_neutral_words_are_left_alone(said):
    assert claims(said) == []


def test_no_report_of_ours_claims_what_is_right():
    for case in (recorded_case(TURN / "attempt_1", TURN), case_of(answers("4"))):
        assert violations(compose(case, generated="now")) == []


def test_what_an_agent_is_quoted_with_is_no_claim_of_ours():
    said = "I correctly identified the right answer"
    document = compose(case_of(agent(result=said), answers(said)), generated="now")

    assert violations(document) == []


def test_a_claim_of_ours_is_found_wherever_it_stands():
    document = compose(case_of(answers("4")), generated="now")
    document.sections[3].add(Sentence("The agent got the right answer."))

    assert violations(document) == ["got the right answer"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_words_in_the_code_of_reports_claim_what_is_right(path):
    if path.name == "wording.py":
        return
    tree = ast.parse(path.read_text())
    pages = {
        ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    }
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    texts = [each for each in words if each not in pages]
    assert [text for text in texts if claims(re.sub(r"\s+", " ", text))] == []
