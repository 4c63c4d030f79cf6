"""The report of a run: what it says, and that each thing it says can be checked."""

import re

import pytest
from markdown_it import MarkdownIt
from reported import RUN1, TURN, agrees, case_of, judged_of, markdown, part, recorded_case
from samples import DATA

from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.report.case import open_case
from spantriage.report.compose import compose
from spantriage.report.markdown import escape
from spantriage.report.words import Code, code, outside, tell

TEMPLATE = [
    "# MassGen Log Analysis Report",
    "## Executive Summary",
    "## Session Overview",
    "## 1. Correctness Analysis",
    "### Coordination Flow",
    "### Status",
    "### Issues Found",
    "## 2. Efficiency Analysis",
    "### Phase Duration Breakdown",
    "### Top Bottlenecks",
    "## 3. Command Pattern Analysis",
    "### Frequently Repeated Commands",
    "### Commands with Excessive Output",
    "### Slowest Command Patterns",
    "## 4. Work Duplication Analysis",
    "### Duplicated Work Found",
    "### Specific Examples",
    "### Recommendations",
    "## 5. Agent Behavior Analysis",
    "### Answer Progression",
    "### Voting Analysis",
    "### Vote vs New Answer Decisions",
    "### Agent Collaboration Quality",
    "### Timeouts/Incomplete Rounds",
    "## 6. Cost & Token Analysis",
    "### Cost Breakdown",
    "### Cache Efficiency",
    "### Tool Cost Impact",
    "## 7. Errors & Issues",
    "### Exceptions",
    "### Failed Tool Calls",
    "### Agent Errors",
    "### Timeouts",
    "## 8. Recommendations",
    "### High Priority",
    "### Medium Priority",
    "### Low Priority / Future Improvements",
    "## 9. Suggested Linear Issues",
    "## Appendix",
    "### Configuration Used",
    "### Files Generated",
]
TABLES = {
    "## Session Overview": "| Metric | Value |",
    "### Phase Duration Breakdown": "| Phase | Count | Avg (s) | Max (s) | Total (s) | % of Total |",
    "### Frequently Repeated Commands": "| Command | Times Run | Issue | Recommendation |",
    "### Commands with Excessive Output": "| Command | Output Size | Issue |",
    "### Slowest Command Patterns": "| Pattern | Max Time | Avg Time | Notes |",
    "### Duplicated Work Found": "| Work Type | Times Repeated | Wasted Time | Wasted Cost |",
    "### Cost Breakdown": "| Agent | Input Tokens | Output Tokens | Reasoning | Cost |",
    "### Tool Cost Impact": "| Tool | Calls | Est. Time Cost | Notes |",
    "## 9. Suggested Linear Issues": "| Priority | Title | Description | Labels |",
}
BOXES = ["All phases completed", "All agents submitted answers", "Voting completed correctly", "Winner selected", "Final answer delivered"]
EVIL = (
    "<script>alert(1)</script> [click](javascript:alert(2)) ![x](http://evil.example/a.png) **bold** | cell | `code` \n# Heading\n"
    '=HYPERLINK("http://evil.example") <img src=x onerror=alert(3)> https://evil.example/?q=1 www.evil.example \x1b[31mred\u202e {{ 7*7 }} '
    "api_key=sk-ant-canary000000000000000000"
)


@pytest.fixture(scope="module")
def log():
    return recorded_case(TURN / "attempt_1", TURN)


def busy(**fields):
    """A run in which an agent installs three packages, each again and again, and reads one long document."""
    install = [calls("execute_command", '{"command": "cd app && npm install left-pad"}', "ok") for _ in range(4)]
    reads = [calls("execute_command", '{"command": "openskills read pptx"}', "s" * 9_000) for _ in range(2)]
    return [
        agent("worker", result="The answer is 4."),
        *install,
        *reads,
        calls("generate_media", '{"prompts": ["a cat"]}', "cat.png", **fields),
        calls("generate_media", '{"prompts": ["a cat"]}', "cat.png", **fields),
        answers("done"),
    ]


def test_the_report_of_a_massgen_log_reads_as_its_golden_does(log):
    assert agrees(markdown(log), "massgen_log.md")


def test_the_report_of_the_same_run_from_its_spans_reads_as_its_golden_does():
    assert agrees(markdown(recorded_case(RUN1 / "spans.jsonl", RUN1)), "massgen_spans.md")


def test_every_heading_of_the_document_is_there_in_its_order(log):
    headings = [line for line in markdown(log).splitlines() if line.startswith("#")]

    found = iter(headings)
    assert [heading for heading in TEMPLATE if heading not in found] == []


def test_every_table_has_the_columns_of_the_document():
    text = markdown(case_of(*busy(cost_usd=0.04)))

    for heading, columns in TABLES.items():
        assert columns.rstrip("|") in part(text, heading), heading


def test_the_five_boxes_are_ticked_by_what_the_log_says(log):
    status = part(markdown(log), "### Status")

    assert re.findall(r"- \[(.)\] ([\w ]+):", status) == [("x", box) for box in BOXES]


def test_a_run_without_rounds_leaves_the_boxes_open_and_says_what_is_missing():
    status = part(markdown(case_of(answers("done"))), "### Status")

    assert re.findall(r"- \[ \] ([\w ]+) \(not known\): No data", status) == BOXES[:4]


def test_every_line_that_is_cited_says_what_it_is_cited_for(log):
    cited = set(re.findall(r"`(attempt_1/[\w./]+):(\d+)`", markdown(log)))

    assert len(cited) > 40
    for name, line in cited:
        told = (TURN / name).read_text().splitlines()
        assert 0 < int(line) <= len(told), f"{name}:{line}"
        if name.endswith("coordination_events.json"):
            assert re.search(r"timestamp|agent_ids", told[int(line) - 1]), f"{name}:{line}: {told[int(line) - 1]}"


def test_every_span_that_is_cited_is_one_of_the_run():
    case = recorded_case(RUN1 / "spans.jsonl", RUN1)
    cited = set(re.findall(r"`span:([0-9a-f]{16})`", markdown(case)))

    assert len(cited) > 30
    assert cited <= {f"{span_id:016x}" for span_id in case.judged.judgement.settled.steps}


def test_the_lines_of_answers_and_votes_are_those_of_their_events(log):
    for heading, kind in (("### Answer Progression", "new_answer|final_answer"), ("### Voting Analysis", "vote_cast")):
        for name, line in re.findall(r"`(attempt_1/[\w.]+):(\d+)` \|$", part(markdown(log), heading), re.MULTILINE):
            entry = "\n".join((TURN / name).read_text().splitlines()[int(line) - 1 : int(line) + 2])
            assert re.search(rf'"event_type": "(?:{kind})"', entry), entry


def test_without_ground_truth_nothing_is_said_to_be_right(log):
    told = part(markdown(log), "### Ground Truth")

    assert told.startswith("None was supplied")


@pytest.mark.parametrize(
    ("said", "truth", "verdict"),
    [
        ("4", "4", "The final answer is the ground truth"),
        ("The answer is 1,024.", "1024", "The final answer holds the ground truth"),
        ("It is 42.", "4", "The final answer does not hold"),
        ("4.5", "4", "The final answer does not hold"),
    ],
)
def test_with_ground_truth_the_answer_is_held_against_it(said, truth, verdict):
    assert part(markdown(case_of(agent(result=said), answers(said)), truth=truth), "### Ground Truth").startswith(verdict)


def test_commands_are_counted_by_pattern_with_issue_and_advice():
    often = part(markdown(case_of(*busy())), "### Frequently Repeated Commands")

    assert re.search(r"\| `npm install \.\.\.` \| 4 \| The same packages were installed again; 4 times with the very same", often)


def test_commands_with_long_output_are_told_with_its_size():
    assert re.search(
        r"`openskills read pptx` \| [89],\d{3} characters", part(markdown(case_of(*busy())), "### Commands with Excessive Output")
    )


def test_work_done_again_is_told_with_the_time_and_cost_it_wasted():
    told = part(markdown(case_of(*busy(cost_usd=0.04))), "### Duplicated Work Found")

    assert "| Image generation | 1 | 0.500 s | $0.0400 |" in told
    assert "| Package installs | 3 | 1.50 s |" in told


def test_an_agent_that_repeats_a_broken_call_six_times_shows_a_bad_sign():
    broken = [fails(calls("fetch", '{"url": "x"}'), "ToolError", "gone") for _ in range(6)]
    once = [fails(calls("fetch", '{"url": "x"}'), "ToolError", "gone"), calls("search", '{"q": "x"}', "found")]

    assert "| Failure detection | agent | Bad | `fetch` failed 6 times in a row unchanged |" in markdown(case_of(*broken, answers()))
    assert "| Failure detection | agent | Good |" in markdown(case_of(*once, answers()))


def test_a_tool_that_says_success_and_fails_is_told_with_a_likely_cause():
    text = markdown(case_of(calls("read_file", '{"path": "a"}', "Error: No such file or directory: a"), answers("done")))

    assert "`read_file` reported success, and its result says otherwise" in part(text, "### False Positives/Negatives")
    assert "a path that is not there" in part(text, "### Root Cause Hypotheses")


def test_a_tool_that_answers_differently_to_the_same_call_is_told():
    text = markdown(case_of(calls("weather", '{"city": "Rome"}', "sun"), calls("weather", '{"city": "Rome"}', "rain"), answers("done")))

    assert "2 different results in 2 calls" in part(text, "### Consistency")


def test_the_root_cause_and_its_agent_stand_in_the_summary():
    case = case_of(
        agent("buyer", failed=True, error_type="AuthenticationError", sign="authentication"),
        fails(answers(None), "AuthenticationError", "invalid api key"),
    )

    assert "Root cause: agent buyer" in part(markdown(case), "## Executive Summary")


def test_outside_text_means_nothing_in_markdown():
    case = case_of(
        agent(EVIL[:150], result=EVIL),
        calls(EVIL[:190], f'{{"command": "{EVIL[:60]}"}}', EVIL),
        fails(calls("t", EVIL), EVIL[:90], EVIL),
        asks(EVIL[:80]),
        answers(EVIL),
        span("event", "e", agent=EVIL[:150], note={"event_type": "vote_cast", "reason": EVIL}),
    )
    text = markdown(case, truth=EVIL, link=EVIL)

    rendered = MarkdownIt("gfm-like").render(text) if _has_linkify() else MarkdownIt("commonmark").enable("table").render(text)
    assert set(re.findall(r"<([a-z0-9]+)", rendered)) <= {
        "h1",
        "h2",
        "h3",
        "p",
        "br",
        "code",
        "strong",
        "ul",
        "ol",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "hr",
    }
    assert len(re.findall("<h1", rendered)) == 1
    assert "canary" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def _has_linkify():
    try:
        import linkify_it  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(
    "said", ["a | b", "`", "``", "a ` b", "|", "\\", "a\\|b", "`|`", "***", "1. x", "- x", "+1+1", "=1+1", "#", "<b>", "&amp;"]
)
def test_a_value_is_shown_as_it_is_in_text_code_and_tables(said):
    parser = MarkdownIt("commonmark").enable("table")
    for value in (outside(said), code(said)):
        cell = re.search(r"<td>(.*?)</td>", parser.render(f"| a | b |\n|---|---|\n| {escape(value)} | end |\n"), re.DOTALL)
        plain = re.sub(r"^<code>|</code>$", "", cell[1]).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert plain == said if "\\" not in said or not isinstance(value, Code) else plain


def test_a_sentence_with_the_wrong_number_of_values_is_an_error_at_once():
    with pytest.raises(ValueError, match="has no place for 2 values"):
        tell("{} did it", "a", "b")


def test_a_run_of_a_thousand_spans_is_reported_within_a_second():
    import time

    case = open_case(
        judged_of(*[calls("search", f'{{"q": "{number % 300}"}}', f"found {number}") for number in range(1_000)], answers()), "/"
    )
    begin = time.process_time()
    markdown(case)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("name", ["harbor", "langsmith", "weave", "claude_code", "chat_jsonl", "openai_agents", "adk"])
def test_every_form_of_a_recorded_run_has_its_report(name):
    from samples import scanned

    for judged in scanned(DATA / name)[0] if (DATA / name).is_dir() else ():
        assert "## Appendix" in markdown(open_case(judged, DATA / name))


def test_a_report_composed_twice_is_the_same(log):
    assert compose(log, generated="now") == compose(recorded_case(TURN / "attempt_1", TURN), generated="now")
