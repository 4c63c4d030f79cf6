import json
import os
import sys
import time

import pytest
import yaml
from samples import BEGAN, DATA, LOG, copied, dead_agents, loud, one, put, records, scanned

from spantriage.files import Skip
from spantriage.sources import open_source

RUN1 = DATA / "massgen" / "run1"
ATTEMPT = next(RUN1.glob("log_*")) / "turn_1" / "attempt_1"


def test_the_totals_of_a_log_folder_are_massgens_own():
    status = json.loads((ATTEMPT / "status.json").read_text())
    run = one(ATTEMPT)

    assert sum(record.input_tokens or 0 for record in records(run).values()) == status["costs"]["total_input_tokens"] == 44_894
    assert sum(record.output_tokens or 0 for record in records(run).values()) == status["costs"]["total_output_tokens"] == 230
    for name, told in status["agents"].items():
        record, usage = records(run)[name], told["token_usage"]
        assert (record.cached_tokens, record.reasoning_tokens) == (usage["cached_input_tokens"], usage["reasoning_tokens"])
        assert len(record.enforcement_attempts) == told["reliability"]["total_enforcement_retries"]
        assert record.total_buffer_chars_lost == told["reliability"]["total_buffer_chars_lost"]
        assert record.workflow_errors == told["reliability"]["workflow_errors"]
        assert {n: entry["reasons"] for n, entry in record.by_round.items()} == {
            n: entry["reasons"] for n, entry in told["reliability"]["by_round"].items()
        }


def test_every_attempt_that_was_turned_down_is_a_finding_with_its_reason():
    run = one(ATTEMPT)
    told = json.loads((ATTEMPT / "status.json").read_text())["agents"]
    expected = sorted((name, e["reason"]) for name, agent in told.items() for e in agent["reliability"]["enforcement_attempts"])

    assert sorted((f.agent, f.reason) for f in run.findings if f.code == "flow.workflow_violation") == expected
    assert ("agent_b", "tool.unknown", "execute_command") in loud(run)
    assert records(run)["agent_b"].unknown_tools == ["execute_command"]


def test_what_the_rounds_do_not_account_for_is_told_as_cut_off():
    run = one(ATTEMPT)
    rest = [step for step in run.judgement.settled.sequence if step.name == "usage of rounds that were cut off"]

    assert sum(step.input_tokens or 0 for step in rest) == 44_894 - 29_722
    assert run.judgement.run.labels["restarted_tokens"] == str(44_894 - 29_722 + 230 - 165)
    cut = [s for s in run.judgement.settled.sequence if s.kind == "agent" and (s.note or {}).get("outcome") == "restarted"]
    assert [(step.agent, (step.note or {})["round"]) for step in cut] == [("agent_a", 1)]


def test_the_spans_and_the_log_of_a_run_tell_the_same():
    spans, log = one(RUN1 / "spans.jsonl"), one(ATTEMPT)

    # that the tool does not exist is told by the log alone: the sample's spans are without the declared tools
    assert loud(spans) == [each for each in loud(log) if each[1] != "tool.unknown"]
    for name in ("agent_a", "agent_b"):
        ours, theirs = records(spans)[name], records(log)[name]
        for figure in ("outcome", "model_calls", "tool_calls", "input_tokens", "output_tokens", "total_buffer_chars_lost"):
            assert getattr(ours, figure) == getattr(theirs, figure), figure


@pytest.mark.parametrize("name", ["badvote", "drop", "unknowntool"])
def test_a_status_file_alone_tells_what_the_spans_tell(name):
    spans, status = one(DATA / "massgen" / f"{name}.jsonl"), one(DATA / "massgen" / f"{name}.status.json")
    codes = [each for each in loud(spans) if each[1] == "flow.workflow_violation"]

    assert codes == [each for each in loud(status) if each[1] == "flow.workflow_violation"] != []
    assert {n: r.outcome for n, r in records(spans).items()} == {n: r.outcome for n, r in records(status).items()}


def test_spans_and_log_together_are_one_run_with_the_logs_reasons():
    run = one(RUN1)

    assert run.judgement.run.trace_id == 0x01A1F9433A281FEC09D7F7BD200E0A62  # of the spans
    assert [f.reason for f in run.findings if f.agent == "agent_b" and f.code == "flow.workflow_violation"] == [
        "no_workflow_tool", "api_error", "no_tool_calls",
    ]  # fmt: skip
    assert ("agent_b", "tool.unknown", "execute_command") in loud(run)
    assert run.judgement.run.labels["trial_name"] == "log_20261120_140133_562139/turn_1/attempt_1"
    assert sum(record.input_tokens or 0 for record in records(run).values()) == 44_894
    assert {finding.trace_id for finding in run.findings} == {f"{run.judgement.run.trace_id:032x}"}
    assert {f.finding_id for f in one(RUN1 / "spans.jsonl").findings} < {f.finding_id for f in run.findings}


def test_the_root_that_massgen_opens_and_drops_is_no_run():
    judged, replay = scanned(RUN1 / "spans.jsonl")

    assert len(judged) == 1
    assert replay.counts["spans_without_run"] == 1


def test_agents_that_died_have_failed_although_the_run_says_it_went_well(tmp_path):
    run = one(put(tmp_path, dead_agents()))

    assert {name: record.outcome for name, record in records(run).items() if name.startswith("agent")} == {
        "agent_a": "ok", "agent_b": "failed", "agent_c": "failed",
    }  # fmt: skip
    assert run.primary is not None
    assert (run.primary.agent, run.primary.reason) == ("agent_c", "no_tool_calls")
    assert "out after 3 attempts" in run.primary.summary
    assert ("agent_b", "model.authentication", "invalid_request_error") in loud(run)
    assert len(records(run)["agent_b"].enforcement_attempts) == 5  # as MassGen counts them


def test_a_tool_that_failed_as_a_success_is_found(tmp_path):
    run = one(put(tmp_path, dead_agents()))

    (call,) = [step for step in run.judgement.settled.sequence if step.kind == "tool"]
    assert (call.tool, call.call_id, call.arguments, call.sign) == ("mcp__math__divide", "t1", '{"a":6,"b":0}', "silent_failure")
    assert call.start_ns == 1_795_183_501_500_000_000  # the local times of events.jsonl are an hour ahead
    assert ("agent_a", "tool.silent_failure", "") in loud(run)
    assert records(run)["agent_a"].tool_errors == 1


def test_documented_reliability_is_read_without_anything_else(tmp_path):
    attempt = {
        "round": 0, "attempt": 1, "max_attempts": 3, "reason": "no_workflow_tool", "tool_calls": ["search", "read_file"],
        "error_message": "Must use workflow tools", "buffer_preview": "First 500 chars of lost content...", "buffer_chars": 1500,
        "timestamp": 1736683468.123,
    }  # fmt: skip
    reliability = {"enforcement_attempts": [attempt], "unknown_tools": ["execute_command"], "workflow_errors": [], "outcome": "ok"}
    files = {
        f"{LOG}/status.json": {"agents": {"agent_a": {"status": "voted", "reliability": reliability}}},
        f"{LOG}/coordination_table.txt": "E1",
    }

    run = one(put(tmp_path, files))

    record = records(run)["agent_a"]
    assert record.enforcement_attempts == [attempt]
    assert record.unknown_tools == ["execute_command"]
    assert record.total_buffer_chars_lost == 1500


def test_the_twelve_reasons_are_all_findings(tmp_path):
    reasons = (
        "no_workflow_tool", "no_tool_calls", "invalid_vote_id", "vote_no_answers", "vote_and_answer", "answer_limit", "answer_novelty",
        "answer_duplicate", "api_error", "fatal_api_error", "connection_recovery", "mcp_disconnected",
    )  # fmt: skip
    attempts = [{"round": n, "attempt": 1, "reason": reason, "timestamp": 1736683468.0 + n} for n, reason in enumerate(reasons)]
    status = {"agents": {"a": {"reliability": {"enforcement_attempts": attempts}}}, "coordination": {"completion_percentage": 100}}

    run = one(put(tmp_path, {"log_20261120_140133_562139/turn_1/attempt_1/status.json": status}))

    assert sorted(f.reason or "" for f in run.findings if f.code == "flow.workflow_violation") == sorted(reasons)


def test_turns_and_attempts_are_runs_of_their_own(tmp_path):
    log = tmp_path / "log_20261120_140133_562139"
    for place in ("turn_1/attempt_1", "turn_1/attempt_2", "turn_2/attempt_1"):
        put(log / place, {"status.json": (ATTEMPT / "status.json").read_text()})

    judged, _ = scanned(tmp_path)

    assert len({run.judgement.run.trace_id for run in judged}) == 3
    assert {
        step.conversation for run in judged for step in run.judgement.run.steps.values() if step.kind == "workflow" and step.conversation
    } == {"log_20261120_140133_562139"}


def test_a_run_is_the_same_wherever_its_folder_was_moved_to(tmp_path):
    moved = copied("massgen/run1", tmp_path)

    assert [f.finding_id for f in one(next(moved.glob("log_*"))).findings] == [f.finding_id for f in one(ATTEMPT).findings]


@pytest.mark.parametrize("left", ["events.jsonl", "coordination_events.json", "metrics_events.json", "execution_metadata.yaml"])
def test_any_file_may_be_missing(tmp_path, left):
    folder = copied("massgen/run1", tmp_path)
    next(folder.rglob(left)).unlink()

    run = one(next(folder.glob("log_*")))

    assert sum(record.input_tokens or 0 for record in records(run).values()) == 44_894
    assert [each for each in loud(run) if each[1] != "tool.unknown"] == [each for each in loud(one(ATTEMPT)) if each[1] != "tool.unknown"]


def test_without_a_status_the_events_tell_who_answered_and_voted(tmp_path):
    folder = copied("massgen/run1", tmp_path)
    for path in folder.rglob("status.json"):
        path.unlink()

    run = one(next(folder.glob("log_*")))

    taken = [
        (s.agent, (s.note or {})["event_type"])
        for s in run.judgement.settled.sequence
        if s.kind == "event" and "event_type" in (s.note or {})
    ]
    assert ("agent_a", "vote_cast") in taken
    assert ("agent_b", "new_answer") in taken


def test_half_a_status_is_named_and_the_rest_is_read(tmp_path):
    folder = copied("massgen/run1", tmp_path)
    status = next(folder.rglob("status.json"))
    status.write_bytes(status.read_bytes()[:4_000])

    judged, replay = scanned(next(folder.glob("log_*")))

    assert len(judged) == 1
    assert [(skip.path, skip.line) for skip in replay.skips] == [(str(status), 0)]
    assert replay.skips[0].reason.startswith("not JSON")


def test_tools_are_read_from_traces_where_there_are_no_events(tmp_path):
    trace = (
        "# Execution Trace: agent_a\n**Model**: m\n\n### Tool Call: search\n**Args**:\n```json\n{\n  \"q\": 1\n}\n```\n\n"
        "### Tool Result: search\n```\n3 hits\n```\n\n### Tool Call: fetch\n**Args**:\n```json\n{}\n```\n\n"
        "### Tool Error: fetch\n```\nHTTP 500\n```\n"
    )  # fmt: skip
    files = {f"{LOG}/status.json": {"agents": {"agent_a": {}}}, f"{LOG}/agent_a/20261120_140136_717252/execution_trace.md": trace}

    run = one(put(tmp_path, files))

    tools = [step for step in run.judgement.settled.sequence if step.kind == "tool"]
    assert [(t.tool, t.arguments, t.result, t.failed) for t in tools] == [
        ("search", '{\n  "q": 1\n}', "3 hits", False), ("fetch", "{}", "HTTP 500", True),
    ]  # fmt: skip


def test_the_commands_of_a_debug_stream_are_counted(tmp_path):
    stream = 'chunk {"command": "npm install"}\nchunk {"command": "npm install"} {"command": "ls -R"}\n'
    run = one(put(tmp_path, {f"{LOG}/status.json": {"agents": {"a": {}}}, f"{LOG}/streaming_debug.log": stream}))

    root = run.judgement.settled.root
    assert root is not None
    assert (root.note or {})["commands"] == {"npm install": 2, "ls -R": 1}


def test_the_agents_models_come_from_the_configuration():
    run = one(ATTEMPT)

    assert {step.model for step in run.judgement.settled.sequence if step.kind == "model" and step.agent == "agent_b"} == {"mock-b"}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {k: 1}\n" + "".join(f"{b}: &{b}\n  <<: [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize("text", [BOMB, MERGED, "config: &a [*a]", "config: !!python/object/apply:os.system ['touch /tmp/owned']",
                                  "[" * 5_000, "\0", "a: b: c", "config: {agents: [{id: [1], backend: 5}]}"])  # fmt: skip
def test_yaml_that_is_after_us_is_inert(tmp_path, text):
    folder = copied("massgen/run1", tmp_path)
    next(folder.rglob("execution_metadata.yaml")).write_text(text)

    judged, _ = scanned(next(folder.glob("log_*")))

    assert [sum(record.input_tokens or 0 for record in records(run).values()) for run in judged] == [44_894]
    assert not os.path.exists("/tmp/owned")


def test_too_many_aliases_are_refused(tmp_path):
    folder = copied("massgen/run1", tmp_path)
    next(folder.rglob("execution_metadata.yaml")).write_text("a: &a 1\nb: [" + ",".join(["*a"] * 1_500) + "]\n")

    _, replay = scanned(next(folder.glob("log_*")))

    assert [skip.reason for skip in replay.skips] == ["not YAML: more than 1000 aliases"]
    assert yaml.safe_load("a: &a 1\nb: *a") == {"a": 1, "b": 1}


def test_names_of_agents_lead_nowhere(tmp_path):
    secret = tmp_path / "secret" / "20261120_140136_717252"
    put(secret, {"execution_trace.md": "### Tool Call: stolen\n"})
    status = {"agents": {"../../../../secret": {}, "/etc": {}, "..": {}, "link": {}}, "coordination": {"completion_percentage": 1}}
    put(tmp_path / "runs", {f"{LOG}/status.json": status})
    (tmp_path / "runs" / LOG / "link").symlink_to(tmp_path / "secret")

    run = one(tmp_path / "runs")

    assert [step for step in run.judgement.settled.sequence if step.kind == "tool"] == []


def test_answers_and_votes_are_read_from_the_agents_folders_where_there_are_no_events(tmp_path):
    folder = copied("massgen/run1", tmp_path)
    for name in ("coordination_events.json", "events.jsonl"):
        next(folder.rglob(name)).unlink()

    run = one(next(folder.glob("log_*")))

    notes = [(s.agent, s.note) for s in run.judgement.settled.sequence if "event_type" in (s.note or {})]
    votes = {agent: (note["voted_for"], note["reason"]) for agent, note in notes if note["event_type"] == "vote_cast"}
    assert votes == {
        "agent_a": ("agent_a", "agent1 shows the derivation and the check step clearly."),
        "agent_b": ("agent_a", "agent1 is more complete."),
    }
    answers = [note["answer_preview"] for agent, note in notes if (agent, note["event_type"]) == ("agent_a", "new_answer")]
    assert answers == ["Answer from A: 2+2=4 because addition of two pairs gives four."]
    assert ("agent_b", "tool.unknown", "execute_command") in loud(run)


def test_a_folder_that_is_named_by_a_link_is_read(tmp_path):
    (tmp_path / "attempt_1").symlink_to(ATTEMPT)

    assert len(one(tmp_path / "attempt_1").findings) == len(one(ATTEMPT).findings)


def test_without_a_yaml_library_only_the_models_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "spantriage.plain_yaml", raising=False)

    judged, replay = scanned(ATTEMPT)

    assert len(judged) == 1
    assert [skip.reason for skip in replay.skips] == ['Reading YAML needs an extra: pip install "spantriage[cli]"']


TABLE = """
+--------------------------------------------------+
|   Event  |  Agent 1 (agent_a)  |  Agent 2 (agent_b)  |
|   USER   |         What is 2+2?                      |
|     E1   |   📋 Context: []    |    ⏳ (waiting)     |
|     E3   |   🔄 (streaming)    | ✨ NEW ANSWER: agent2.1 |
|          |                     |👁️  Preview: VOTE: agent9.9 of old |
|     E7   |   🗳️  VOTE: agent2.1 |   🔄 (streaming)    |
|    E17   |   ✅ (completed)    | 🎯 FINAL ANSWER: agent2.final |
"""


def test_the_table_for_people_is_read_where_there_is_nothing_else(tmp_path):
    run = one(put(tmp_path, {f"{LOG}/coordination_table.txt": TABLE}))

    notes = [(s.agent, (s.note or {})) for s in run.judgement.settled.sequence if "event_type" in (s.note or {})]
    assert [(agent, note["event_type"], note.get("answer_label") or note.get("voted_for_label")) for agent, note in notes] == [
        ("agent_b", "new_answer", "agent2.1"),
        ("agent_a", "vote_cast", "agent2.1"),
        ("agent_b", "final_answer", "agent2.final"),
    ]


def test_a_log_with_a_great_many_of_everything_is_read_in_its_time(tmp_path):
    number = 20_000
    agents = {f"agent_{n}": {"reliability": {"enforcement_attempts": []}} for n in range(400)}
    attempt = {"round": 0, "attempt": 1, "reason": "no_tool_calls", "timestamp": BEGAN}
    agents["agent_0"] = {
        "round_history": [{"round_number": n, "start_time": BEGAN + n, "end_time": BEGAN + n} for n in range(number)],
        "reliability": {"enforcement_attempts": [attempt] * number},
    }
    events = [
        {"timestamp": BEGAN + n / 7, "event_type": kind, "agent_id": "agent_0", "context": {"round": n}}
        for n in range(number // 2)
        for kind in ("context_received", "new_answer")
    ]
    calls = [
        {"timestamp": "2026-11-20T14:05:00", "event_type": kind, "agent_id": "agent_0", "data": {"tool_id": str(n), "tool_name": "t"}}
        for n in range(number // 2)
        for kind in ("tool_start", "tool_complete")
    ]
    tools = [{"tool_name": "t", "call_id": f"x{n}", "agent_id": "agent_0", "end_time": BEGAN} for n in range(number)]
    put(tmp_path, {
        f"{LOG}/status.json": {"agents": agents}, f"{LOG}/coordination_events.json": {"events": events},
        f"{LOG}/events.jsonl": "\n".join(map(json.dumps, calls)), f"{LOG}/metrics_events.json": {"tool_executions": tools},
    })  # fmt: skip

    started = time.process_time()
    pieces = list(open_source(tmp_path / LOG))

    assert len(pieces) > number
    assert time.process_time() - started < 20
    assert [piece.reason for piece in pieces if isinstance(piece, Skip)] == ["400 agents; only the first 256 were looked at"]
