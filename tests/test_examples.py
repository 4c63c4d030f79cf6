"""Each example, run as its reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FOUND = re.compile(r"([a-z]+\.[a-z_]+) at ([\w-]+)")
CAROLS = {("model.provider_error", "carol"), ("flow.workflow_violation", "carol")}
PLANTED: dict[str, set[tuple[str, str]]] = {
    "plain_otel": {("tool.silent_failure", "weather")},
    "pydantic_ai_logfire": {
        ("tool.silent_failure", "weather"),
        ("tool.unknown", "archivist"),
        ("loop.repeated_call", "stock-keeper"),
    },
    "budget_guard": {("loop.repeated_call", "stock-keeper")},
    "concurrent_agents": set(),  # prints a table instead, see below
    "massgen_like": {("flow.workflow_violation", "bob"), ("tool.unknown", "bob"), *CAROLS},
}
IN_FRAMEWORKS = {"openai_agents", "langgraph_agent", "strands_agent"}  # run by tests/frameworks, each in its own environment
NEEDS = {"pydantic_ai_logfire": ("logfire", "pydantic_ai", "openai")}


def run(name: str, folder: Path) -> str:
    """The example's output, run in `folder`; fails the test when it does not end well."""
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPANTRIAGE_", "OTEL_", "LOGFIRE_"))}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def test_every_example_says_what_is_planted_in_it() -> None:
    assert {example.stem for example in EXAMPLES} == {*PLANTED, *IN_FRAMEWORKS}


@pytest.mark.parametrize("name", PLANTED)
def test_an_example_finds_what_is_planted_at_the_right_agent_and_nothing_else(name: str, tmp_path: Path) -> None:
    said = run(name, tmp_path)

    assert set(FOUND.findall(said)) == PLANTED[name], said


def test_a_second_run_in_the_same_folder_tells_of_itself_only(tmp_path: Path) -> None:
    first = run("plain_otel", tmp_path)
    second = run("plain_otel", tmp_path)

    assert first == second
    assert len(FOUND.findall(second)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".spantriage"]


def test_the_plain_example_shows_an_exported_span_with_its_verdict(tmp_path: Path) -> None:
    exported = run("plain_otel", tmp_path).splitlines()[-1]

    assert "'gen_ai.tool.name': 'get_weather'" in exported
    assert re.search(r"'triage.codes': [\[(]'tool.silent_failure'", exported)


def test_the_orchestrated_example_says_who_is_out_and_who_only_had_to_try_again(tmp_path: Path) -> None:
    said = run("massgen_like", tmp_path)

    assert "2 answers of 3, 2 votes" in said
    assert re.findall(r"violation at (\w+ \(\w+)", said) == ["bob (warning", "bob (warning", "bob (error", "carol (info"]


def test_the_concurrent_example_sums_up_every_agent(tmp_path: Path) -> None:
    lines = run("concurrent_agents", tmp_path).splitlines()

    assert {line.split()[0]: (line.split()[1], line.rpartition("found: ")[2]) for line in lines} == {
        "librarian": ("ok", "nothing"),
        "porter": ("ok", "nothing"),
        "guide": ("ok", "nothing"),
        "weather": ("ok", "tool.silent_failure"),
        "stock-keeper": ("ok", "loop.repeated_call"),
        "translator": ("error", "model.rate_limited"),
    }
    assert list(tmp_path.iterdir()) == []


def test_the_agent_with_a_budget_pauses_itself_and_is_told_why(tmp_path: Path) -> None:
    said = run("budget_guard", tmp_path)

    assert "The agent says: paused after 4 turns" in said
    assert said.count("Budget: stock-keeper has used 4 of 4 repeats") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(example: Path) -> None:
    text = example.read_text()

    assert text.count("\n") <= 80
    assert f"python examples/{example.name}" in text.split('"""')[1]
