"""Today's agent frameworks with their real instrumentations, each in an environment of its own: `make frameworks`.

Which they are, and what cannot be found with which of them and why, stands in docs/frameworks.toml.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from spantriage.reader import fold, read_findings

ROOT = Path(__file__).parents[2]
DRIVERS = Path(__file__).parent / "drivers"
KNOWN = tomllib.loads((ROOT / "docs" / "frameworks.toml").read_text())
RUN = [(framework, way) for framework in KNOWN["framework"] for way in framework["way"] if way["seen"] == "run"]
SERIOUS = {"warning", "error", "critical"}

EXPECTED = {scenario["name"]: set(scenario["codes"]) for scenario in KNOWN["scenario"]}
EXAMPLES = {
    "openai_agents": ("openai-agents", {("tool.unknown", "archivist")}),
    "langgraph_agent": ("langgraph", {("tool.invalid_arguments", "booker")}),
    "strands_agent": ("strands", {("loop.repeated_call", "stock-keeper")}),
}

pytestmark = pytest.mark.frameworks


def python_of(group: str) -> Path:
    """The interpreter with a framework; skips the test where there is none."""
    python = ROOT / f".venv-fw-{group}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python.parent.parent.name}: run make frameworks")
    return python


def run(group: str, *command: str, folder: Path) -> str:
    """What a program in a framework's environment says; fails the test when it does not end well."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPANTRIAGE_", "OTEL_", "LOGFIRE_"))}
    ended = subprocess.run(
        [python_of(group), *command],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout


def found(framework: dict[str, str], way: str, scenario: str, folder: Path) -> set[str]:
    """The codes of what a driver's run shows at warning or above."""
    path = folder / "findings.jsonl"
    said = run(framework["group"], str(DRIVERS / f"{framework['driver']}.py"), scenario, str(path), way, folder=folder)
    assert not said.rstrip().endswith("judged: 0 spans"), said
    findings = fold(read_findings(path)) if path.exists() else []
    return {finding.code for finding in findings if finding.severity in SERIOUS}


@pytest.mark.parametrize(("framework", "way"), RUN, ids=lambda given: given.get("driver") or given.get("by"))
@pytest.mark.parametrize("scenario", ["ok", *EXPECTED])
def test_what_goes_wrong_is_found_live(framework: dict[str, str], way: dict[str, object], scenario: str, tmp_path: Path) -> None:
    codes = found(framework, str(way["by"]), scenario, tmp_path)

    missed = way.get("missed", {})
    assert isinstance(missed, dict)
    if scenario == "ok":
        assert codes == set()
    elif scenario in missed:
        assert not codes & EXPECTED[scenario], f"found after all; docs/frameworks.toml says: {missed[scenario]}"
    else:
        assert codes & EXPECTED[scenario], codes


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_its_failure_at_the_right_agent(name: str, tmp_path: Path) -> None:
    group, planted = EXAMPLES[name]

    said = run(group, str(ROOT / "examples" / f"{name}.py"), folder=tmp_path)

    shown = {(words[0], words[2]) for line in said.splitlines() if len(words := line.split()) > 2 and words[1] == "at"}
    assert planted <= shown, said
