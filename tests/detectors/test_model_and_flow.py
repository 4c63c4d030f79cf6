"""What the examples of the model, flow, python and trace detectors cannot say: whole runs, what is one failure, what is worst."""

from __future__ import annotations

import pytest

from spantriage.cause import severity_of
from spantriage.detectors import Example, all_detectors
from spantriage.detectors.example import EPOCH, SECOND, agent, answers, asks, build, calls, fails, span
from spantriage.detectors.python_error import bucket, exception_of, is_code_error
from spantriage.engine import Engine, Judgement, select
from spantriage.model import Content, Step, ToolResult

RATE_LIMIT = ("RateLimitError", "Error code: 429 - Rate limit reached for gpt-4o")


def judge(*steps: Step) -> Judgement:
    engine = Engine(select(all_detectors()))
    judgement = engine.judge(build(steps))
    assert not engine.errors
    return judgement


def said(judgement: Judgement) -> list[tuple[str, str, int]]:
    return [(v.code, severity_of(v), v.step.span_id) for v in judgement.verdicts if severity_of(v) != "info"]


def refused(**fields: object) -> Step:
    return fails(answers(None, finish=None, **fields), *RATE_LIMIT)


def test_one_failure_up_an_agent_chain_is_one_finding_at_the_deepest_span() -> None:
    boss = fails(agent("boss", span_id=1), *RATE_LIMIT)
    node = fails(span("workflow", "node", span_id=20), "AgentGenerationError", f"Error while generating output:\n{RATE_LIMIT[1]}")
    judgement = judge(boss, node, refused(span_id=30, parent_id=20))
    assert said(judgement) == [("model.rate_limited", "error", 30)]
    assert judgement.outcome == "error"


def test_a_rate_limit_that_the_run_survived_is_a_warning() -> None:
    judgement = judge(refused(span_id=30), answers("done"))
    assert said(judgement) == [("model.rate_limited", "warning", 30)]
    assert (judgement.outcome, judgement.primary) == ("ok", None)


def test_a_rate_limit_that_killed_the_run_is_an_error_and_the_cause() -> None:
    judgement = judge(fails(agent("boss"), *RATE_LIMIT), asks("search"), calls("search", result="3 results"), refused(span_id=70))
    assert judgement.primary is not None
    assert (judgement.primary.code, severity_of(judgement.primary), judgement.primary.step.span_id) == ("model.rate_limited", "error", 70)


def test_a_failure_that_was_survived_stays_a_warning_when_another_one_ends_the_run() -> None:
    broken = fails(calls("search", span_id=50), "ValueError", "service down")
    judgement = judge(fails(agent("boss"), *RATE_LIMIT), asks("search"), broken, answers("another way"), refused(span_id=70))
    assert {(code, severity) for code, severity, _ in said(judgement)} == {("tool.error", "warning"), ("model.rate_limited", "error")}


def test_an_agents_failure_counts_though_the_root_above_it_stays_ok() -> None:
    top = span("workflow", "trace", span_id=1, end_ns=EPOCH + 60 * SECOND, start_ns=EPOCH)
    boss = fails(agent("boss", span_id=20, parent_id=1), *RATE_LIMIT)
    run = build((refused(span_id=30, parent_id=20), boss, top))
    run.steps = {s.span_id: s for s in run.steps.values() if s.name in ("trace", "boss", "chat")}
    top.parent_id = None
    run.parents = {s.span_id: s.parent_id for s in run.steps.values()}
    judgement = Engine(select(all_detectors())).judge(run)
    assert said(judgement) == [("model.rate_limited", "error", 30)]
    assert judgement.outcome == "error"


def test_an_answer_that_was_filtered_and_the_agent_that_fails_over_it_are_one_failure() -> None:
    boss = fails(agent("boss"), "ContentFilterError", "Content filter triggered. Finish reason: 'content_filter'")
    judgement = judge(boss, answers(None, finish="content_filter", span_id=30))
    assert said(judgement) == [("model.content_filtered", "error", 30)]


def test_empty_answers_and_the_agent_that_gives_up_over_them_are_blamed_on_the_answers() -> None:
    boss = fails(agent("boss"), "UnexpectedModelBehavior", "Exceeded maximum output retries (1)")
    judgement = judge(boss, answers("", span_id=30), answers("", span_id=40))
    assert said(judgement) == [("model.empty_output", "error", 30), ("model.empty_output", "error", 40)]


def test_a_truncated_answer_is_a_warning_while_the_run_goes_well() -> None:
    assert said(judge(answers("half", finish="length", span_id=30))) == [("model.truncated_output", "warning", 30)]


def test_a_tools_timeout_is_the_tools_and_an_agents_is_its_flows() -> None:
    assert [code for code, _, _ in said(judge(fails(calls("fetch"), "ReadTimeout", "timed out"), answers("sorry")))] == ["tool.error"]
    assert [code for code, _, _ in said(judge(fails(agent("boss"), "TimeoutError", "")))] == ["flow.error"]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (fails(calls("search"), "KeyError", "'city'"), "tool.error"),
        (fails(calls("execute_python"), "KeyError", "'city'"), "python.error"),
        (calls("execute_python", result="Error: KeyError: 'city'"), "python.error"),
        (calls("bash", result="Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'city'"), "python.error"),
        (calls("search", result="Error: KeyError: 'city'"), "tool.silent_failure"),
        (fails(span("workflow", "node"), "KeyError", "'city'"), "python.error"),
        (fails(span("workflow", "node"), "GraphError", "no edge"), "flow.error"),
        (fails(span("agent", "helper", agent="helper", parent_id=1), "KeyError", "'city'"), "flow.error"),
        (fails(span("workflow", "node"), "HTTPStatusError", "Client error '429 Too Many Requests'"), "flow.error"),
        (fails(span("workflow", "node"), "ValidationError", "2 validation errors for OrderRecord"), "flow.error"),
        (fails(answers(None, finish=None), "SomethingElse", "no"), "model.provider_error"),
    ],
)
def test_each_failure_has_one_claim(step: Step, code: str) -> None:
    judgement = judge(agent("boss", result="done"), step, answers("done"))
    assert [found for found, _, _ in said(judgement)] == [code]
    assert [severity for _, severity, _ in said(judgement)] == ["warning"]


def test_every_kind_of_failed_step_has_a_detector_that_speaks_of_it() -> None:
    detectors = select(all_detectors())
    for kind in ("model", "agent", "workflow", "retrieval", "guardrail", "other", "tool"):
        step = fails(span(kind, "x", agent="x", tool="x"), "Unheard", "of")
        assert any(kind in d.speaks_of and (d.signs is None or step.sign in d.signs) and d.code != "trace.clock_skew" for d in detectors), (
            kind
        )


def test_a_cancelled_run_is_one_finding_at_its_outermost_span_and_never_an_error() -> None:
    boss = fails(agent("boss", span_id=1), "asyncio.CancelledError", "")
    node = fails(span("workflow", "model", span_id=20), "CancelledError", "CancelledError()")
    judgement = judge(boss, node, fails(answers(None, finish=None, span_id=30, parent_id=20), "CancelledError"))
    assert said(judgement) == [("flow.cancelled", "warning", 1)]
    assert judgement.outcome == "cancelled"


def test_a_cancelled_call_whose_agent_went_on_is_only_an_info() -> None:
    judgement = judge(fails(answers(None, finish=None), "CancelledError"), answers("the faster one"))
    assert [(v.code, severity_of(v)) for v in judgement.verdicts] == [("flow.cancelled", "info")]
    assert judgement.outcome == "ok"


def test_a_limit_that_a_sub_agent_hits_is_a_warning_when_its_caller_goes_on() -> None:
    helper = fails(span("agent", "helper", agent="helper", span_id=20, parent_id=10), "MaxTurnsExceeded", "Max turns (5) exceeded")
    steps = (agent("boss", result="done"), calls("ask_helper", result="no answer", span_id=10), helper, answers("done"))
    assert said(judge(*steps)) == [("flow.step_limit", "warning", 20)]


def test_a_limit_that_ends_the_run_is_an_error() -> None:
    judgement = judge(fails(agent("boss", span_id=1), "MaxTurnsExceeded", "Max turns (5) exceeded"), asks("search"))
    assert ("flow.step_limit", "error", 1) in said(judgement)


def test_an_agent_without_an_answer_makes_the_run_a_failed_one() -> None:
    judgement = judge(agent("boss", span_id=1), answers("", span_id=20))
    assert ("flow.no_final_answer", "error", 1) in said(judgement)
    assert judgement.outcome == "failed"
    assert judgement.primary is not None
    assert judgement.primary.code == "model.empty_output"


def test_bare_model_calls_are_not_asked_for_a_final_answer() -> None:
    run = build((asks("search", span_id=30),))
    run.steps = {30: run.steps[30]}
    run.steps[30].parent_id, run.parents = None, {30: None}
    codes = {v.code for v in Engine(select(all_detectors())).judge(run).verdicts}
    assert "flow.no_final_answer" not in codes


@pytest.mark.parametrize(
    "steps",
    [
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (asks("a", "b"), calls("a", result="1"), calls("b", result="2"), answers("both")),
        (answers("a poem", streamed=True, input_tokens=4, output_tokens=9),),
        (asks("search"), answers("done", results=[ToolResult("3 results", "call_search", "search")])),
        (span("model", "chat", finish="stop", sign="stop", output_tokens=3),),
    ],
)
def test_a_healthy_run_gets_nothing_at_warning_or_above(steps: Example) -> None:
    assert said(judge(*steps)) == []


def test_a_streamed_reply_that_was_logged_beside_its_request_is_no_empty_answer() -> None:
    request = answers(None, finish=None, captured=True, span_id=30)
    request.content = Content(captured=True)
    logged = span("event", "streaming response", streamed=True, finish="stop", input_tokens=9, output_tokens=3)
    logged.content = Content(captured=True, replied=True, text="sunny")
    judgement = judge(agent("boss"), request, logged)
    assert said(judgement) == []
    assert judgement.settled.steps[30].content is not None
    assert judgement.settled.steps[30].content.text == "sunny"


def test_a_run_without_its_root_is_incomplete() -> None:
    run = build((asks("search", span_id=30),))
    run.steps = {30: run.steps[30]}
    run.parents = {30: run.steps[30].parent_id}
    verdicts = {v.code: v for v in Engine(select(all_detectors())).judge(run).verdicts}
    assert verdicts["trace.incomplete"].score == 0.9


def test_an_agent_that_was_called_from_another_service_is_incomplete_with_little_certainty() -> None:
    run = build((answers("done"),))
    top = next(s for s in run.steps.values() if s.kind == "agent")
    top.parent_id = run.parents[top.span_id] = 4_711
    verdicts = {v.code: v for v in Engine(select(all_detectors())).judge(run).verdicts}
    assert verdicts["trace.incomplete"].score == 0.4


def test_a_run_larger_than_the_cap_says_how_much_is_missing() -> None:
    run = build((answers("one"), answers("two")))
    run.truncated = 12
    verdicts = [v for v in Engine(select(all_detectors())).judge(run).verdicts if v.code == "trace.incomplete"]
    assert [v.summary for v in verdicts] == ["The run has 12 steps more than are kept"]


@pytest.mark.parametrize(
    ("kind", "message", "reason"),
    [
        ("TypeError", "ingest() got an unexpected keyword argument 'offset'", "api_misuse"),
        ("AttributeError", "'Store' object has no attribute 'fetch'", "api_misuse"),
        ("KeyError", "'ts_code'", "missing_column"),
        ("BinderException", 'Binder Error: Referenced column "ts_code" not found in FROM clause', "missing_column"),
        ("TypeError", "'<' not supported between instances of 'str' and 'int'", "dtype_mismatch"),
        ("ValueError", "could not convert string to float: 'n/a'", "dtype_mismatch"),
        ("ValueError", "operands could not be broadcast together with shapes (3,) (4,)", "misaligned_arrays"),
        ("ValueError", "All arrays must be of the same length", "misaligned_arrays"),
        ("IndexError", "single positional indexer is out-of-bounds", "empty_data"),
        ("NameError", "name 'frame' is not defined", "empty_data"),
        ("ModuleNotFoundError", "No module named 'scipy'", "missing_dependency"),
        ("InterpreterError", "Import of numpy is not allowed. Authorized imports are: ['csv']", "missing_dependency"),
        ("SyntaxError", "invalid syntax (<string>, line 3)", "syntax"),
        ("RuntimeError", "node b exploded", "other"),
    ],
)
def test_an_exception_falls_into_the_bucket_of_its_mistake(kind: str, message: str, reason: str) -> None:
    assert bucket(kind, message) == reason


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (fails(calls("python"), "KeyError", "'a'"), ("KeyError", "'a'")),
        (
            fails(calls("python"), "ToolError", "Traceback (most recent call last):\n  File 'a.py'\npkg.BinderError: no b"),
            ("BinderError", "no b"),
        ),
        (
            fails(span("workflow", "n"), "Exception", "RuntimeError('node b exploded')Traceback (most recent call last):\n"),
            ("RuntimeError", "node b exploded"),
        ),
        (
            fails(span("workflow", "n"), "AgentExecutionError", "Code execution failed at line 'f(c=1)' due to: TypeError: f() got 'c'"),
            ("TypeError", "f() got 'c'"),
        ),
        (
            calls("python", result='{"success": false, "error": "Traceback (most recent call last):\\n x\\nValueError: no"}'),
            ("ValueError", "no"),
        ),
    ],
)
def test_the_exception_is_found_in_whatever_wraps_it(step: Step, found: tuple[str, str]) -> None:
    assert is_code_error(step)
    assert exception_of(step) == found
