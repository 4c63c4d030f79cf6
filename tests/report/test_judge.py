"""A model adds to a report; what it says stands only with evidence that the report knows."""

import pytest
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from reported import GENERATED, TURN, markdown, recorded_case, spantriage

from spantriage.report.compose import compose
from spantriage.report.judge import ask_model, deepen
from spantriage.report.markdown import render

PLACE = "attempt_1/status.json:12"  # the run's duration, which every report names


@pytest.fixture(scope="module")
def case():
    return recorded_case(TURN / "attempt_1", TURN)


def saying(*points):
    """A model that answers every question with these points, and what it was asked."""
    asked = []

    def answer(messages, info):
        asked.append(messages[0].parts[0].content)
        told = [{"about": about, "said": said, "evidence": evidence} for about, said, evidence in points]
        return ModelResponse([ToolCallPart(info.output_tools[0].name, {"response": told})])

    return FunctionModel(answer), asked


def judged(case, *points, reviewed=False):
    model, asked = saying(*points)
    document = compose(case, generated=GENERATED, reviewed=reviewed)
    with ask_model(model) as ask:
        faults = deepen(document, ask)
    return render(document), asked, faults


def test_a_point_with_its_place_stands_in_the_reasoning_section(case):
    text, asked, faults = judged(case, ("agent_b", "It gave up its own answer for the other's text.", [PLACE]))

    assert f"- agent_b: It gave up its own answer for the other's text. (`{PLACE}`)" in text
    assert "which it may be wrong about" in text
    assert len(asked) == 1
    assert faults == []


@pytest.mark.parametrize(("said", "evidence"), [
    ("It was slow.", []), ("It was slow.", ["elsewhere.json:1"]), ("agent_a correctly identified the sum.", [PLACE]), ("  ", [PLACE]),
])  # fmt: skip
def test_a_point_without_a_place_or_with_a_claim_is_left_out_and_counted(case, said, evidence):
    text, _, _ = judged(case, ("agent_a", said, evidence))

    assert "1 of its points were left out" in text
    assert "correctly identified" not in text


def test_each_of_the_three_reviewers_is_asked(case):
    text, asked, _ = judged(case, ("voting", "One vote was for the voter's own answer.", [PLACE]), reviewed=True)

    assert len(asked) == 4
    assert text.count("One vote was for the voter's own answer.") == 4


def test_words_of_the_model_are_as_inert_as_any(case):
    text, _, _ = judged(case, ("<b>x</b>", "[go](http://evil.example) api_key=sk-ant-canary000000000000", [PLACE]))

    assert "\\<b\\>x" in text
    assert "\\[go\\]" in text
    assert "canary" not in text


def test_a_model_that_does_not_answer_leaves_the_report_as_it_is(case):
    def fail(messages, info):
        raise ConnectionError("refused")

    document = compose(case, generated=GENERATED)
    with ask_model(FunctionModel(fail)) as ask:
        faults = deepen(document, ask)

    assert "ConnectionError: refused" in faults[0]
    assert "A model was asked and did not answer (ConnectionError)." in render(document)
    assert markdown(case).split("## 8. Rec")[1].split("---")[0] in render(document)


def test_a_name_that_is_no_model_is_told_in_one_line(tmp_path):
    done = spantriage("report", TURN / "attempt_1", "--judge", "nonsense:x", "--out", tmp_path / "r.md")

    assert done.returncode == 2
    assert "--judge nonsense:x" in done.stderr
    assert "Traceback" not in done.stderr
