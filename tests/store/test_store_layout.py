"""What is in a store, and that a question finds exactly that."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from store_writers import BEGIN, SECOND, row

from spantriage import query
from spantriage.errors import ConfigError, StoreError
from spantriage.store.columns import COLUMNS, PROMOTED, RECORDS, is_content
from spantriage.store.layout import create, look
from spantriage.store.lines import json_text, line
from spantriage.store.packing import keep_days, pack
from spantriage.store.spool import Spool
from spantriage.store.target import read_target

KEY, NUMBER, COST = "massgen.agent_id", "massgen.round", "massgen.usage.cost"
ODD = [
    {KEY: "a", NUMBER: 1, COST: 0.25},
    {KEY: 7, NUMBER: "two", COST: 3},
    {KEY: None, NUMBER: True, COST: "0.5"},
    {KEY: ["x"], NUMBER: 1.5, COST: float("nan")},
    {KEY: "1e5", NUMBER: 1 << 70, COST: 1e-7},
    {},
]
ASK = f"""
select attributes->>'{KEY}' as a, (attributes->>'{KEY}') is null as b, attributes->'{KEY}' as c, attributes ? '{KEY}' as d,
  attributes->>'{NUMBER}' as e, attributes->'{NUMBER}' as f, (attributes->'{NUMBER}') is not null as g,
  attributes->>'{COST}' as h, attributes->'{COST}' as i, attributes ? '{COST}' as j
from records order by span_id
"""


def fill(folder: Path, attributes: list[dict[str, object]]) -> Spool:
    spool = Spool(create(folder))
    spool.append(b"".join(line(row(number, attributes=each)) for number, each in enumerate(attributes)))
    return spool


def test_the_layout_is_written_down(tmp_path: Path) -> None:
    meta = json.loads((create(tmp_path / "new" / "store") / "meta.json").read_text())
    assert meta["layout_version"] == 1
    assert meta["promoted"][KEY] == {"column": "a_massgen_agent_id", "type": "VARCHAR"}
    assert {path.name for path in (tmp_path / "new" / "store").iterdir()} == {"meta.json", "spool", "parquet", "findings"}


def test_a_store_of_another_layout_is_refused_with_a_reason(tmp_path: Path) -> None:
    create(tmp_path)
    (tmp_path / "meta.json").write_text('{"layout_version": 9}')
    with pytest.raises(StoreError, match="has layout 9, and this version reads 1"):
        query("runs", tmp_path)
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(StoreError, match=r"meta\.json cannot be read"):
        create(tmp_path)


def test_a_promoted_attribute_answers_exactly_as_the_json_does(tmp_path: Path) -> None:
    """Whatever the values are, spooled and packed."""
    expected = plain(ODD)
    spool = fill(tmp_path, ODD)
    assert look(tmp_path).promoted == frozenset(PROMOTED) - {KEY, NUMBER, COST}
    assert query(ASK, tmp_path).to_pylist() == expected
    spool.rotate()
    pack(tmp_path, grace_s=0)
    assert look(tmp_path).promoted == frozenset(PROMOTED) - {KEY, NUMBER, COST}
    assert query(ASK, tmp_path).to_pylist() == expected


def test_ordinary_values_are_answered_from_their_columns_and_are_the_same(tmp_path: Path) -> None:
    ordinary = [{KEY: f"agent_{n % 3}", NUMBER: n, COST: n * 0.1} for n in range(20)] + [{}]
    expected = plain(ordinary)
    fill(tmp_path, ordinary)
    assert look(tmp_path).promoted == frozenset(PROMOTED)
    assert query(ASK, tmp_path).to_pylist() == expected
    sums = f"select sum((attributes->'{NUMBER}')::int) as n, sum((attributes->'{COST}')::float) as c from records"
    assert query(sums, tmp_path).to_pylist() == [{"n": 190, "c": pytest.approx(19.0)}]


def plain(attributes: list[dict[str, object]]) -> list[dict[str, object]]:
    """The same question to one column of JSON."""
    import duckdb
    import pyarrow as pa

    con = duckdb.connect()
    con.register("given", pa.table({"span_id": range(len(attributes)), "attributes": list(map(json_text, attributes))}))
    con.execute("create table records as select span_id, attributes::json as attributes from given")
    sql = ASK.replace("attributes ? '", "json_exists(attributes, '$.\"").replace("' as d", "\"') as d").replace("' as j", "\"') as j")
    return list(con.sql(sql).to_arrow_table().to_pylist())


def test_what_was_said_is_kept_apart_and_comes_back_in_whole_attributes(tmp_path: Path) -> None:
    said = {KEY: "a", "gen_ai.input.messages": '[{"role":"user"}]', "gen_ai.tool.call.result": "x" * 300}
    fill(tmp_path, [said, {"gen_ai.prompt": "only this"}, {KEY: "b"}])
    found = query(
        "select attributes, attributes->>'gen_ai.prompt' as p, attributes ? 'gen_ai.tool.call.result' as r from records order by span_id",
        tmp_path,
    )
    assert [orjson.loads(each["attributes"]) for each in found.to_pylist()] == [said, {"gen_ai.prompt": "only this"}, {KEY: "b"}]
    assert [each["p"] for each in found.to_pylist()] == [None, "only this", None]
    assert [each["r"] for each in found.to_pylist()] == [True, False, False]


def test_hidden_columns_never_show(tmp_path: Path) -> None:
    fill(tmp_path, [{KEY: "a"}])
    assert query("select * from records", tmp_path).column_names == [column.name for column in RECORDS]
    assert set(COLUMNS) > {column.name for column in RECORDS} - {"created_at", "day", "project_id", "otel_scope_attributes"}


def test_a_damaged_file_is_told_and_the_rest_is_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, [{KEY: "a"}]).rotate()
    pack(tmp_path, grace_s=0)
    day = next((tmp_path / "parquet").iterdir())
    whole = next(day.iterdir()).read_bytes()
    (day / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (day / "empty.parquet").write_bytes(b"")
    (tmp_path / "spool" / "folder.jsonl").mkdir()
    (tmp_path / "spool" / "foreign.jsonl").write_text('{"not": "ours"}\n[1]\n')
    assert query("select count(*) as n from records", tmp_path).to_pylist() == [{"n": 1}]
    assert "cut.parquet is no file of a store" in caplog.text
    assert pack(tmp_path, grace_s=0).rows == 0
    assert query("select count(*) as n from records", tmp_path).to_pylist() == [{"n": 1}]


def test_days_that_are_over_are_forgotten(tmp_path: Path) -> None:
    fill(tmp_path, [{}]).rotate()
    pack(tmp_path, grace_s=0)
    old = tmp_path / "parquet" / "date=2020-01-01"
    next((tmp_path / "parquet").iterdir()).rename(old)
    assert keep_days(tmp_path) is None
    assert pack(tmp_path).days == 0
    keep_days(tmp_path, 30)
    assert pack(tmp_path).days == 1
    assert query("select count(*) as n from records", tmp_path).to_pylist() == [{"n": 0}]


def test_times_keep_their_microseconds(tmp_path: Path) -> None:
    Spool(create(tmp_path)).append(line(row(0, start=BEGIN + 123_456_789)))
    found = query(
        "select start_timestamp::text as s, extract(epoch from end_timestamp - start_timestamp) as d, duration from records", tmp_path
    ).to_pylist()[0]
    assert found["s"] == "2026-11-20 14:01:35.123456+00"
    assert found["duration"] == 1.0
    assert found["d"] == SECOND / 1e9


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("gen_ai.input.messages", True), ("llm.input_messages.0.message.content", True), ("input.value", True),
        ("gen_ai.tool.call.result", True),
        ("massgen.usage.input", False), ("gen_ai.response.model", False), ("error.message", False), ("llm.token_count.prompt", False),
        ("gen_ai.response.finish_reasons", False), ("code.filepath", False),
    ],
)  # fmt: skip
def test_names_tell_what_people_and_models_said(key: str, said: bool) -> None:
    assert is_content(key) is said


def test_the_name_of_a_store_may_have_options() -> None:
    assert read_target("a/b?content=yes&keep_days=7") == (Path("a/b"), True, 7)
    assert read_target("a") == (Path("a"), False, None)
    for bad, why in (
        ("a?content=maybe", "'content'"),
        ("a?days=3", "there are: content, keep_days"),
        ("", "needs a folder"),
        ("a?keep_days=0", "'0'"),
    ):
        with pytest.raises(ConfigError, match=why):
            read_target(bad)
