"""Work that goes to and fro or was not done, places that fail, and what it all costs."""

from __future__ import annotations

import random
from copy import deepcopy

import pytest

from spantriage.cause import score_of, severity_of
from spantriage.deeds import command_of, deed_of, passed, target_of
from spantriage.detectors import Example, all_detectors, named
from spantriage.detectors.cost_budget_exceeded import BudgetExceeded
from spantriage.detectors.example import agent, answers, asks, build, calls, fails
from spantriage.engine import Engine, Judgement, select
from spantriage.environment import trouble_of
from spantriage.model import Step, Verdict
from spantriage.run import Run

OURS = [d for d in all_detectors() if d.code.startswith(("loop.", "flow.", "infra.", "cost."))]


def judge(*steps: Step) -> Judgement:
    return Engine(select(all_detectors())).judge(build(steps))


def said(judgement: Judgement, code: str) -> list[Verdict]:
    return [verdict for verdict in judgement.verdicts if verdict.code == code]


def shell(command: str, result: str = "", **fields: object) -> Step:
    return calls("bash", f'{{"command": "{command}"}}', result, **fields)


@pytest.mark.parametrize(
    ("step", "deed"),
    [
        (calls("str_replace_editor"), "edit"),
        (calls("WriteFile"), "edit"),
        (calls("runTests"), "check"),
        (calls("mcp__files__read_file"), "read"),
        (calls("TodoWrite"), "other"),
        (calls("book_reservation"), "other"),
        (shell("sed -i s/a/b/ app.py"), "edit"),
        (shell("cat <<'EOF' > app.py"), "edit"),
        (shell("cd src && python -m pytest -q"), "check"),
        (shell("cargo test --all"), "check"),
        (shell("./run_checks.sh"), "check"),
        (shell("ls ./src"), "shell"),
        (shell("grep -rn pytest ."), "check"),
        (shell("ls > /dev/null 2>&1"), "shell"),
    ],
)
def test_what_a_call_does_is_read_from_its_name_or_its_command(step: Step, deed: str) -> None:
    assert deed_of(step) == deed


@pytest.mark.parametrize(
    ("result", "good"),
    [
        ("5 passed in 0.2s", True),
        ("1 failed, 4 passed", False),
        ("<returncode>0</returncode>\n<output>ok</output>", True),
        ("<returncode>1</returncode>\n<output></output>", False),
        ("Traceback (most recent call last):\n  File ...\nKeyError: 'x'", False),
        ("0 errors, 2 warnings\nBUILD SUCCESSFUL", True),
        ("running in the background", None),
        ("x" * 5_000 + "\n3 failed, 2 passed", False),
    ],
)
def test_how_a_check_went_is_read_from_both_ends_of_its_result(result: str, good: bool | None) -> None:
    assert passed(calls("run_tests", "{}", result)) is good


def test_a_target_is_found_in_arguments_and_in_commands() -> None:
    assert target_of(calls("edit", '{"file_path": "src/a.py", "old_string": "x"}')) == "src/a.py"
    assert target_of(shell("git checkout ./a.py")) == "a.py"
    assert target_of(shell("ls a.py")) is None
    assert command_of(shell("ls a.py")).startswith("ls a.py")


@pytest.mark.parametrize("size", [200_000])
def test_no_text_makes_the_words_slow_to_read(size: int) -> None:
    import time

    texts = ["a" * size, "exit code " * (size // 10), "let me " * (size // 7), "cannot " * (size // 7), '{"command": "sed -i ' + "x" * size]
    started = time.process_time()
    for text in texts:
        judge(
            calls("bash", text, text),
            fails(calls("bash", text), "Error", text),
            answers(text, results=[]),
            calls("edit_file", text, text),
            answers(text),
        )
    assert time.process_time() - started < 10


def test_one_return_is_only_told_and_more_are_a_warning() -> None:
    def writes(*contents: str) -> list[Step]:
        return [calls("write_file", f'{{"path": "a.py", "content": "{content}"}}', "ok") for content in contents]

    (once,) = said(judge(*writes("a", "b", "a"), answers("done")), "loop.oscillating_fix")
    (often,) = said(judge(*writes("a", "b", "a", "b", "a"), answers("done")), "loop.oscillating_fix")
    assert (severity_of(once), severity_of(often)) == ("info", "warning")
    assert often.reason == "content"


def test_attempts_that_succeeded_in_the_end_are_only_told() -> None:
    tries = [step for n in range(6) for step in (shell(f"sed -i {n} a.py"), shell("pytest", "1 failed"))]
    (failed,) = said(judge(*deepcopy(tries), answers("it should work")), "loop.slow_convergence")
    (mended,) = said(judge(*tries, shell("sed -i 9 a.py"), shell("pytest", "5 passed"), answers("done")), "loop.slow_convergence")
    assert (severity_of(failed), severity_of(mended)) == ("warning", "info")


def test_a_place_that_was_well_again_is_only_told() -> None:
    killed = shell("make", "<returncode>137</returncode>")
    (gone,) = said(judge(deepcopy(killed), answers("sorry")), "infra.out_of_memory")
    (back,) = said(judge(killed, shell("make -j1", "built"), answers("done")), "infra.out_of_memory")
    assert (severity_of(gone), severity_of(back)) == ("warning", "info")


def test_one_failure_of_the_place_is_one_finding() -> None:
    verdicts = judge(asks("run"), fails(calls("run"), "SandboxError", "sandbox s-1 is not running"), answers("sorry")).verdicts
    assert [v.code for v in verdicts if severity_of(v) != "info"] == ["infra.error"]


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ("error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.", "error"),
        ("command terminated with exit code 137", "out_of_memory"),
        ("Command 'pytest' timed out after 600 seconds", "timeout"),
        ("[Errno 28] No space left on device: '/tmp/x'", "error"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "error"),
        ("the environment variable API_URL is not available", None),
        ("no such city", None),
        ("Read timed out. (read timeout=10)", None),
        ("Connection refused", None),
    ],
)
def test_a_failed_tools_words_tell_the_place_from_the_call(words: str, trouble: str | None) -> None:
    assert trouble_of(fails(calls("run"), "RuntimeError", words)) == trouble


def test_a_document_about_failures_is_not_one() -> None:
    assert trouble_of(calls("read_file", '{"path": "a.md"}', "The job was killed with exit code 137: out of memory.")) is None
    assert trouble_of(calls("web_search", "{}", "Error: no space left on device - how to fix it")) in (None, "error")


def test_a_budget_is_told_at_the_step_that_goes_beyond_it() -> None:
    engine = Engine((BudgetExceeded(usd=1.0, agent_steps=3),))
    steps = [answers("so", cost_usd=0.4, input_tokens=9, output_tokens=9) for _ in range(4)]
    verdicts = engine.judge(build((agent("boss"), *steps))).verdicts
    assert [(v.reason, v.step) for v in verdicts] == [("run.usd", v0) for v0 in [verdicts[0].step]] + [("agent.steps", verdicts[1].step)]
    assert [v.step.order for v in verdicts] == sorted(v.step.order for v in verdicts)
    assert "$1.6 of $1" in verdicts[0].summary


def test_an_agent_is_compared_with_its_own_past() -> None:
    def run(tokens: int) -> Run:
        return build((agent("boss"), answers("done", input_tokens=tokens, output_tokens=0, agent="boss")))

    engine = Engine(select([d for d in all_detectors() if d.code == "cost.runaway"]))
    for number in range(12):
        judgement = engine.judge(run(1_000 + number))
        assert judgement.verdicts == []
        engine.past.add(judgement.settled)
    (verdict,) = engine.judge(run(50_000)).verdicts
    assert (verdict.reason, verdict.step.agent) == ("tokens", "boss")
    assert engine.judge(run(2_000)).verdicts == []


def test_what_work_has_cost_is_no_cause_of_what_broke() -> None:
    engine = Engine(select(list(all_detectors())))
    for number in range(12):
        engine.past.add(judge(agent("boss", span_id=number + 1), answers("done", input_tokens=100, output_tokens=0)).settled)
    dear = fails(agent("boss"), "RuntimeError", "no more room"), answers("so far", input_tokens=90_000, output_tokens=0)
    judgement = engine.judge(build(dear))
    (runaway,) = said(judgement, "cost.runaway")
    assert severity_of(runaway) == "warning"
    assert judgement.primary is not None
    assert judgement.primary.code == "flow.error"


def test_what_is_remembered_of_the_past_is_bounded() -> None:
    from spantriage.spending import AGENTS, KEPT

    engine = Engine(())
    for number in range(KEPT + 5):
        engine.past.add(engine.judge(build((agent("boss"), answers("x", input_tokens=number + 1, output_tokens=0)))).settled)
    assert len(engine.past.of("boss", "tokens")) == KEPT
    for number in range(AGENTS + 5):
        engine.past.add(engine.judge(build((agent(f"a{number}"), answers("x", input_tokens=1, output_tokens=0)))).settled)
    assert engine.past.of("boss", "tokens") == ()


def test_words_alone_are_never_more_than_a_hint() -> None:
    for code in ("flow.invented_result", "flow.no_tool_call", "flow.no_verification"):
        detector = named(code)
        assert detector is not None
        for example in detector.fires_on:
            verdicts = said(judge(*deepcopy(example)), code)
            assert all(severity_of(v) == "info" or v.reason == "demanded" for v in verdicts)
            assert all(score_of(v) <= 0.5 or v.reason == "demanded" for v in verdicts)


EXAMPLES = [pytest.param(example, id=f"{detector.code}-{number}") for detector in OURS for number, example in enumerate(detector.fires_on)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_order_in_which_steps_came_changes_nothing(example: Example) -> None:
    run = build(deepcopy(example))
    steps = list(run.steps.values())
    random.Random(7).shuffle(steps)
    shuffled = Run(run.trace_id, parents=run.parents, root_ended=True)
    for step in steps:
        shuffled.add(deepcopy(step), 10_000)

    def claims(one: Run) -> list[tuple[str, int, str]]:
        verdicts = Engine(select(OURS)).judge(one).verdicts
        return sorted((v.code, v.step.span_id, v.summary) for v in verdicts)

    assert claims(run) == claims(shuffled)
