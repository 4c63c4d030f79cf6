"""The named questions: every header is true, and the corrected ones are right where the others mislead."""

from __future__ import annotations

import re

import pytest
from recorded import RUN, engine

from spantriage.errors import QueryError
from spantriage.queries.catalogue import FOLDER, Named, all_queries, named, read_query

OLD = {
    "trace_hierarchy", "recent_sessions", "agent_rounds", "tool_calls", "errors", "llm_calls", "nested_trace", "coordination_timeline",
    "find_trace", "trace_structure", "slow_tools", "agent_comparison", "coordination_flow", "phase_breakdown", "exceptions",
    "cost_by_agent",
}  # fmt: skip
CORRECTED = {
    "usage_by_agent": "cost_by_agent", "trace_tree": "nested_trace", "tool_calls_once": "tool_calls", "llm_latency": "llm_calls",
    "real_sessions": "recent_sessions", "agent_busy_time": "agent_comparison",
}  # fmt: skip
GIVEN = {"trace_id": RUN, "a": RUN, "b": "01a1f9433a0c6d37d5353211a1990f22", "file": "tools.py"}


def ask(name: str, **given: object) -> list[dict[str, object]]:
    known = named(name)
    return list(engine().run(known.sql, known.bind(given)).to_pylist())


def test_the_sixteen_documented_questions_and_the_corrected_ones_are_there() -> None:
    assert set(all_queries()) >= OLD
    for name, other in CORRECTED.items():
        assert len(all_queries()[name].instead[other]) > 40, "it says why"


@pytest.mark.parametrize("known", all_queries().values(), ids=lambda known: known.name)
def test_a_header_says_what_the_statement_gives_and_wants(known: Named) -> None:
    bound = known.bind({p.name: GIVEN[p.name] for p in known.parameters if p.name in GIVEN})
    assert engine().run(known.sql, bound).column_names == list(known.columns)
    assert set(re.findall(r"(?<!:):([a-z]\w*)", re.sub(r"--.*|'[^']*'", "", known.sql))) == {p.name for p in known.parameters}
    assert known.purpose.endswith(".")
    assert "select *" not in known.sql
    assert max(map(len, (FOLDER / f"{known.name}.sql").read_text().splitlines())) <= 140


@pytest.mark.parametrize(
    "known", [each for each in all_queries().values() if "limit" in [p.name for p in each.parameters]], ids=lambda k: k.name
)
def test_a_limit_holds(known: Named) -> None:
    given = {p.name: GIVEN[p.name] for p in known.parameters if p.required}
    assert engine().run(known.sql, known.bind({**given, "limit": 1})).num_rows <= 1


def test_running_totals_are_counted_once() -> None:
    naive = {row["agent"]: row["total_input_tokens"] for row in ask("cost_by_agent", trace_id=RUN)}
    true = {row["agent"]: row["input_tokens"] for row in ask("usage_by_agent", trace_id=RUN)}
    assert naive == {"agent_a": 84318, "agent_b": 35844}
    assert true == {"agent_a": 27955, "agent_b": 16939}, "the last total of each"


def test_a_tree_has_every_span_once_below_its_parent() -> None:
    rows = ask("trace_tree", trace_id=RUN)
    assert len(rows) == len({row["span_id"] for row in rows}) == 70
    depths = {row["span_id"]: row["depth"] for row in rows}
    assert all(row["depth"] == depths[row["parent_span_id"]] + 1 for row in rows if row["parent_span_id"] in depths)
    assert max(depths.values()) == 3


def test_one_call_of_a_tool_is_one_row() -> None:
    assert len(ask("tool_calls")) == 4
    assert [row["tool"] for row in ask("tool_calls_once")] == ["mcp__filesystem__read_file", "mcp__filesystem__write_file"]


def test_a_streamed_reply_lasts_until_its_end() -> None:
    rows = ask("llm_latency")
    assert len(rows) == 12
    assert sum(row["streamed_s"] is None for row in rows) == 1, "the call that failed"
    assert all(row["call_s"] == pytest.approx(row["opened_s"] + (row["streamed_s"] or 0)) for row in rows)
    assert sum(row["input_tokens"] or 0 for row in rows) == 44894


def test_phantom_sessions_are_left_out() -> None:
    assert len(ask("recent_sessions")) == 2
    assert [row["trace_id"] for row in ask("real_sessions")] == [RUN]


def test_what_children_took_is_not_a_spans_own_time() -> None:
    rows = {row["span_name"]: row for row in ask("self_time", trace_id=RUN)}
    assert rows["mcp_tool.filesystem.write_file"]["self_s"] == pytest.approx(0.0025, abs=1e-6)
    assert sum(row["self_share"] for row in rows.values()) == pytest.approx(1.0)


def test_the_critical_path_leads_from_the_root_to_the_end_without_overlap() -> None:
    rows = ask("critical_path", trace_id=RUN)
    assert rows[0]["span_name"] == "coordination.session"
    assert sum(row["own_s"] for row in rows) == pytest.approx(rows[0]["duration"], rel=1e-3)
    assert {row["agent"] for row in rows} == {None, "agent_a"}, "nobody waited for agent_b"


def test_overlapping_rounds_count_once() -> None:
    for row in ask("agent_busy_time", trace_id=RUN):
        assert row["busy_s"] <= row["summed_s"] + 1e-6


def test_two_runs_are_compared_by_what_they_did() -> None:
    rows = {(row["step"], row["name"]): row for row in ask("compare_runs", a=RUN, b=GIVEN["b"])}
    assert rows["tool", "mcp__filesystem__read_file"]["a_failures"] == 1
    assert rows["other", "coordination.session"]["b_calls"] == 1


def test_parameters_are_checked_with_the_nearest_name() -> None:
    with pytest.raises(QueryError, match="needs trace_id: the run"):
        named("trace_tree").bind({})
    with pytest.raises(QueryError, match="has no parameter 'trace'; did you mean 'trace_id'"):
        named("trace_tree").bind({"trace": "x"})
    with pytest.raises(QueryError, match="'limit' cannot be 'many'; it is of the kind integer"):
        named("runs").bind({"limit": "many"})
    with pytest.raises(QueryError, match="no query is called 'cost_by_agents'; did you mean cost_by_agent"):
        named("cost_by_agents")


def test_a_header_that_follows_no_rule_is_refused_with_its_line() -> None:
    with pytest.raises(QueryError, match="says nothing: -- paramter x text: y"):
        read_query("q", "-- paramter x text: y\nselect 1")
    with pytest.raises(QueryError, match="no title or no columns"):
        read_query("q", "select 1")
