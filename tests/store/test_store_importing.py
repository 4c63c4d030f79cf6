"""Recorded runs into a store."""

from __future__ import annotations

from pathlib import Path

from spantriage import query
from spantriage.model import Step
from spantriage.sources.spans import NO_STATUS, Event, Ids, Link, RecordedSpan, Resource, Scope, Status
from spantriage.store.importing import Importer
from spantriage.store.target import StoreTarget, read_target

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
BEGIN = 1_795_183_295 * SECOND
KEY = "sk-" + "a1B2" * 8


def span(number: int, *, start: int = BEGIN, name: str = "step", **attributes: object) -> RecordedSpan:
    return RecordedSpan(
        name, Ids(7, number), None, start, start + SECOND, attributes, (), (), Scope("s"), Resource({"service.name": "x"}), NO_STATUS, False
    )


def keep(folder: Path, *pieces: object, content: bool = False) -> int:
    importer = Importer(StoreTarget(folder, content))
    for piece in pieces:
        importer.add(piece)
    importer.close()
    return importer.written


def test_spans_lie_by_the_day_on_which_they_began(tmp_path: Path) -> None:
    assert keep(tmp_path, span(1), span(2, start=BEGIN + DAY), span(3, start=BEGIN + 1)) == 3
    assert sorted(path.name for path in (tmp_path / "parquet").iterdir()) == ["date=2026-11-20", "date=2026-11-21"]
    found = query("select day::text as day, count(*) as n from records group by 1 order by 1", tmp_path).to_pylist()
    assert found == [{"day": "2026-11-20", "n": 2}, {"day": "2026-11-21", "n": 1}]


def test_what_is_there_already_is_not_taken_in_again(tmp_path: Path) -> None:
    assert keep(tmp_path, span(1), span(2), span(2)) == 2
    assert keep(tmp_path, span(2), span(3)) == 1
    assert keep(tmp_path, span(1), span(2), span(3)) == 0
    assert query("select count(*) as n from records", tmp_path).to_pylist() == [{"n": 3}]


def test_more_than_a_file_holds_goes_into_several(tmp_path: Path) -> None:
    assert keep(tmp_path, *(span(number + 1) for number in range(70_000))) == 70_000
    assert len(list((tmp_path / "parquet").glob("*/*.parquet"))) == 2
    assert query("select count(distinct span_id) as n from records", tmp_path).to_pylist() == [{"n": 70_000}]


def test_no_credential_of_a_recording_reaches_the_store(tmp_path: Path) -> None:
    failed = Event("exception", {"exception.type": "E", "exception.message": f"refused {KEY}", "note": [KEY, {"deep": KEY}]}, BEGIN)
    hostile = RecordedSpan(
        f"with {KEY}", Ids(7, 9), Ids(7, 8), BEGIN, BEGIN + SECOND, {"api_key": "hunter2hunter2", "gen_ai.prompt": KEY, "x": (KEY,)},
        [failed, Event("other", {"said": KEY}, BEGIN)], [Link(Ids(1, 2))], Scope("s"), Resource({"service.name": KEY}), Status(KEY), True,
    )  # fmt: skip
    assert keep(tmp_path, hostile, content=True) == 2
    shown = str(query("select * from records", tmp_path).to_pylist())
    assert KEY not in shown
    assert "hunter2" not in shown
    assert shown.count("[redacted]") >= 8


def test_steps_of_other_formats_are_rows_under_the_conventions_names(tmp_path: Path) -> None:
    step = Step(
        7, 5, 4, BEGIN, BEGIN + SECOND, "tool", "grep", "harbor", failed=True, agent="coder", tool="grep", arguments='{"q":1}',
        result="gone", error_type="ToolError", error_message="gone", cost_usd=0.5,
    )  # fmt: skip
    assert keep(tmp_path, step, step, content=True) == 1
    row = query(
        "select step_kind, step_agent, step_tool, step_failed, step_cost_usd, service_name, level from records", tmp_path
    ).to_pylist()
    assert row == [
        {"step_kind": "tool", "step_agent": "coder", "step_tool": "grep", "step_failed": True, "step_cost_usd": 0.5,
         "service_name": "harbor", "level": 17}
    ]  # fmt: skip


def test_a_store_is_named_with_what_it_keeps() -> None:
    assert read_target("s?content=yes").content is True
