"""Every detector's own examples, and the page that its docstring is."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields
from itertools import pairwise

import pytest

from spantriage.detectors import Detector, Example, all_detectors
from spantriage.detectors.example import build
from spantriage.engine import Engine, Judgement, select
from spantriage.run import Run

DETECTORS = all_detectors()
SECTIONS = ("## Why it matters", "## What to do", "## When it is wrong")

every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.code)


def _examples(kind: str) -> Iterator[object]:
    for detector in DETECTORS:
        for number, example in enumerate(getattr(detector, kind)):
            yield pytest.param(detector, example, id=f"{detector.code}-{number}")


def _judge(detector: type[Detector], example: Example) -> Judgement:
    engine = Engine(select([detector]))
    judgement = engine.judge(build(deepcopy(example)), assume_failed=detector.needs_failure)
    assert not engine.errors
    return judgement


@pytest.mark.parametrize(("detector", "example"), list(_examples("fires_on")))
def test_it_fires_on_its_example(detector: type[Detector], example: Example) -> None:
    judgement = _judge(detector, example)
    assert {verdict.code for verdict in judgement.verdicts} == {detector.code}


@pytest.mark.parametrize(("detector", "example"), list(_examples("quiet_on")))
def test_it_is_quiet_on_its_counter_example(detector: type[Detector], example: Example) -> None:
    judgement = _judge(detector, example)
    assert [verdict.summary for verdict in judgement.verdicts] == []


@every_detector
def test_its_docstring_is_a_page(detector: type[Detector]) -> None:
    page = inspect.cleandoc(detector.__doc__ or "")
    assert all(page.count(f"\n\n{section}\n") == 1 for section in SECTIONS)
    assert [page.index(section) for section in SECTIONS] == sorted(page.index(section) for section in SECTIONS)


@every_detector
def test_its_page_begins_with_one_sentence(detector: type[Detector]) -> None:
    title = detector().title
    assert title.endswith(".")
    assert title.count(". ") == 0
    assert not title.startswith("#")


@every_detector
def test_it_has_examples_of_both_kinds(detector: type[Detector]) -> None:
    assert detector.fires_on
    assert detector.quiet_on


@every_detector
def test_each_of_its_settings_says_what_it_is_for(detector: type[Detector]) -> None:
    body = next(node for node in ast.walk(ast.parse(inspect.getsource(detector))) if isinstance(node, ast.ClassDef)).body
    said = {
        above.target.id: below.value.value
        for above, below in pairwise(body)
        if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }
    assert [field.name for field in fields(detector) if not said.get(field.name, "").strip()] == []


@every_detector
def test_its_code_is_its_file_name(detector: type[Detector]) -> None:
    assert detector.__module__.rpartition(".")[2] == detector.code.replace(".", "_")


@every_detector
def test_it_has_nothing_to_say_of_an_empty_run(detector: type[Detector]) -> None:
    engine = Engine(select([detector]))
    judgement = engine.judge(Run(trace_id=1))
    assert (judgement.verdicts, dict(engine.errors)) == ([], {})
