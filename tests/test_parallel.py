import json
import random

import pytest
from otlp_forms import CAPTURES, captured, lines
from samples import DATA, put

from spantriage import parallel
from spantriage.parallel import Scan


def told(scan, *paths):
    """Everything of the results that must not depend on who has read what."""
    return sorted(
        (
            (*(result.summary[key] for key in ("trace_id", "outcome", "spans")), json.dumps(result.summary["agents"], sort_keys=True),
             [finding.model_dump(mode="json") for finding in result.findings])
            for result in scan.run(paths)
        ),
        key=lambda each: str(each[0]),
    )  # fmt: skip


@pytest.fixture
def spread(tmp_path):
    """Runs in files of their own, and runs of which each file holds a part."""
    for number, name in enumerate(CAPTURES):
        put(tmp_path, {f"whole/{name}.jsonl": lines(captured(name))})
        spans = [json.loads(line) for line in lines(captured(name)).splitlines()]
        spans = [_renamed(span, number) for span in spans]
        random.Random(number).shuffle(spans)
        for part in range(3):
            put(tmp_path, {f"torn{part}/{name}.jsonl": "\n".join(map(json.dumps, spans[part::3])) or "{}"})
    return tmp_path


def _renamed(value, number):
    """The same spans under another trace id."""
    if isinstance(value, dict):
        return {
            key: f"{number + 1:x}" + inner[1:] if key in ("traceId", "trace_id") and isinstance(inner, str) else _renamed(inner, number)
            for key, inner in value.items()
        }
    return [_renamed(inner, number) for inner in value] if isinstance(value, list) else value


def test_several_processes_find_what_one_finds(spread, monkeypatch):
    monkeypatch.setattr(parallel, "SHARE_FILES", 1)
    one, two = Scan(), Scan(workers=2)
    expected, found = told(one, spread), told(two, spread)

    assert found == expected
    assert len(found) > len(CAPTURES)
    for figure in ("runs", "findings", "skips", "files_found"):
        assert two.counts[figure] == one.counts[figure], figure


def test_a_log_folder_and_its_spans_are_one_run_whoever_read_them(monkeypatch):
    monkeypatch.setattr(parallel, "SHARE_FILES", 1)

    assert told(Scan(workers=2), DATA / "massgen" / "run1") == told(Scan(), DATA / "massgen" / "run1")


def test_what_could_not_be_read_is_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "SHARE_FILES", 1)
    put(tmp_path, {"a.jsonl": '{"resourceSpans": [}\n', "b.jsonl": lines(captured(CAPTURES[0])), "c.json": {"nothing": 1}})
    one, two = Scan(), Scan(workers=2)
    list(one.run([tmp_path])), list(two.run([tmp_path]))

    assert sorted(map(str, two.skips)) == sorted(map(str, one.skips)) != []
    assert two.counts["files_passed_over"] == one.counts["files_passed_over"] == 1


def test_a_process_that_dies_loses_its_files_and_nothing_else_is_said_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "SHARE_FILES", 1)
    monkeypatch.setattr(parallel, "_judge", _die)
    put(tmp_path, {f"{name}.jsonl": lines(captured(name)) for name in CAPTURES[:2]})
    scan = Scan(workers=2)

    assert list(scan.run([tmp_path])) == []
    assert sorted(skip.reason for skip in scan.skips) == ["the process that read it died"] * 2


def _die(*_):
    import os

    os._exit(1)
