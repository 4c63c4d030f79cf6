"""Reports of many runs, and of runs held against each other."""

import json
import random
from collections import defaultdict
from dataclasses import replace

import pytest
from reported import GENERATED, case_of, judged_of, part, spantriage
from samples import DATA

from spantriage.detectors.example import agent, answers, calls, fails
from spantriage.parallel import Result
from spantriage.parallel import result_of as of_judged
from spantriage.report.comparing import compare_runs
from spantriage.report.fleet import NAMES, Fleet, analysis_summary
from spantriage.report.fleet_document import compose_fleet, rate
from spantriage.report.many_pages import compare_page, fleet_page
from spantriage.report.markdown import render


def good():
    return [agent("buyer", result="done"), calls("search", '{"q": "x"}', "found"), answers("done", cost_usd=0.02, input_tokens=10)]


def bad():
    return [agent("seller", failed=True, error_type="AuthenticationError", sign="authentication"),
            fails(calls("pay", "{}"), "ToolError", "no"), fails(answers(None), "AuthenticationError", "invalid api key")]  # fmt: skip


def result_of(number, steps) -> Result:
    made = of_judged(judged_of(*steps))
    return replace(made, summary={**made.summary, "trace_id": f"{number:032x}"})


def fleet_of(results) -> Fleet:
    fleet = Fleet()
    for result in results:
        fleet.add(result)
    return fleet


@pytest.fixture(scope="module")
def results():
    return [result_of(number, bad() if number % 4 == 0 else good()) for number in range(1, 21)]


def document(fleet):
    return compose_fleet(fleet, generated=GENERATED, name="runs/")


def test_the_failure_rate_has_its_interval(results):
    text = render(document(fleet_of(results)))

    assert "5 of 20 runs failed: 25.0 % (95 %: 11.2 to 46.9)." in part(text, "## Executive Summary")
    assert "The most frequent cause is `model.authentication` in agent seller (5 runs)" in text


def test_the_agent_and_the_tool_that_fail_stand_first(results):
    text = render(document(fleet_of(results)))

    assert part(text, "## Worst Agents").splitlines()[2].startswith("| seller | 5 | 5 | 100.0 %")
    assert part(text, "## Worst Tools").splitlines()[2].startswith("| pay | 5 | 5 | 100.0 %")


def test_cost_time_and_trends_are_told(results):
    text = render(document(fleet_of(results)))

    assert "| Cost of a run | 15 | $0.3000 | $0.0200 |" in text
    assert "Of 5 runs no cost is known." in text
    assert part(text, "## Trends").splitlines()[2].startswith("| 2023-11-14 | 20 | 5 |")


def test_the_order_of_runs_does_not_matter(results):
    shuffled = random.Random(1).sample(results, len(results))

    assert render(document(fleet_of(results))) == render(document(fleet_of(shuffled)))
    assert json.dumps(analysis_summary(fleet_of(results))) == json.dumps(analysis_summary(fleet_of(shuffled)))


def test_the_figures_are_those_that_counting_the_lines_of_findings_gives(results):
    lines = [finding.model_dump(mode="json") for result in results for finding in result.findings]
    by_category, by_subcategory, by_action = defaultdict(int), defaultdict(int), defaultdict(int)
    for line in lines:
        by_category[line["category"]] += 1
        by_subcategory[f"{line['category']}/{line['subcategory'] or '?'}"] += 1
        if line["actionable"].lower() != "none":
            by_action[line["actionable"]] += 1

    told = analysis_summary(fleet_of(results))
    assert list(told) == ["total_findings", "by_category", "by_subcategory", "top_actions"]
    assert told["total_findings"] == len(lines)
    assert (told["by_category"], told["by_subcategory"], told["top_actions"]) == (by_category, by_subcategory, by_action)
    assert list(told["by_category"].values()) == sorted(by_category.values(), reverse=True)


def test_what_a_fleet_remembers_is_bounded():
    fleet = Fleet()
    (one,) = [result_of(1, bad())]
    for number in range(NAMES + 500):
        fleet.add(Result({**one.summary, "trace_id": f"{number:032x}", "labels": {"task_name": f"task{number}"}}, one.findings))

    assert len(fleet.tasks) == NAMES + 1
    assert sum(part.number for part in fleet.tasks.values()) == NAMES + 500
    assert all(len(part.seen) <= 3 for part in fleet.agents.values())
    assert len(fleet.worst) == 20


def test_no_run_that_failed_is_told_as_such():
    assert "0 of 1 run failed: 0.0 %" in render(document(fleet_of([result_of(1, good())])))
    assert rate(0, 0) == "unknown"


def test_the_page_of_a_fleet_holds_the_same(results):
    fleet = fleet_of(results)
    page = fleet_page(fleet, document(fleet))

    assert "5 of 20 runs failed" in page
    assert page.count("<script>") == 1
    assert 'href="#step-' not in page


def test_runs_are_held_against_each_other():
    cases = [case_of(*good()), case_of(*bad())]
    compared = compare_runs(cases, generated=GENERATED)
    text = render(compared)

    assert "| `model.authentication` | 0 | 1 | only in run 2 |" in text
    assert "| seller | not in it | error;" in text
    assert compare_page(cases, compared).count('role="group" aria-label="Timeline of run') == 2


def test_the_command_reports_many_runs_with_their_figures_beside(tmp_path):
    done = spantriage("report", DATA / "openai_agents", "--html", "--out", "fleet.html", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "runs failed" in done.stdout
    assert "Fleet Analysis Report" in (tmp_path / "fleet.html").read_text()
    assert json.loads((tmp_path / "analysis_summary.json").read_text())["total_findings"] > 0


def test_the_command_compares_runs_and_tells_what_it_cannot_read(tmp_path):
    files = sorted((DATA / "openai_agents").glob("*.jsonl"))[:2]

    done = spantriage("report", *files, "nowhere.jsonl", "--compare", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nowhere.jsonl" in done.stderr
    assert (tmp_path / "ANALYSIS_REPORT.md").read_text().startswith("# Run Comparison")
    assert spantriage("report", files[0], "--compare", cwd=tmp_path).returncode == 2
