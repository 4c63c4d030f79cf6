"""The documents say what the code does."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import spantriage
from spantriage.detectors import all_detectors
from spantriage.sinks import schemes

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_the_reference_pages_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_python_block_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPANTRIAGE_DISABLED", "1")
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)):
        program = tmp_path / f"block{number}.py"
        program.write_text(block)
        runpy.run_path(str(program))


def test_every_command_of_the_readme_is_one_that_the_command_line_knows() -> None:
    for line in re.findall(r"^\$ (spantriage .*)$", (ROOT / "README.md").read_text(), re.MULTILINE):
        words = [word for word in shlex.split(line)[1:] if not word.startswith("-")][:2]
        words = words[:2] if words[0] == "detectors" else words[:1]
        done = subprocess.run([sys.executable, "-m", "spantriage", *words, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_example_finding_of_the_readme_has_the_fields_of_the_schema() -> None:
    schema = json.loads((ROOT / "docs/reference/finding.schema.json").read_text())
    block = re.search(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    assert json.loads(block.group(1)).keys() <= schema["properties"].keys()


def test_how_it_works_names_every_module_that_is_not_a_leaf() -> None:
    told = (ROOT / "docs/how-it-works.md").read_text()
    modules = [path.name for path in (ROOT / "src/spantriage").glob("*.py") if not path.name.startswith("__")]
    assert [name for name in modules if name not in told] == []


def test_every_detector_and_sink_is_documented() -> None:
    detectors = (ROOT / "docs/reference/detectors.md").read_text()
    works = (ROOT / "docs/how-it-works.md").read_text()
    assert [d.code for d in all_detectors() if f"# {d.code}" not in detectors] == []
    assert [scheme for scheme in schemes() if f"`{scheme}`" not in works] == []


def test_public_names_are_sorted_and_few() -> None:
    assert spantriage.__all__ == sorted(spantriage.__all__)
    assert len(spantriage.__all__) <= 20
    for name in spantriage.__all__:
        assert getattr(spantriage, name) is not None
