"""Chat lines, Claude Code, LangSmith, Weave, ATIF: each sample reproduces its tool's own totals."""

import json

import pytest
from samples import DATA, one, put, records, scanned, trajectory

from spantriage.files import Skip
from spantriage.sources import open_source

STREAM, SESSION, RESULT = (DATA / "claude_code" / name for name in ("claude-code.stream.jsonl", "session.jsonl", "result.json"))


def tools(run):
    return [step for step in run.judgement.settled.sequence if step.kind == "tool"]


def total(run):
    told = records(run).values()
    return tuple(sum(getattr(record, name) or 0 for record in told) for name in ("input_tokens", "output_tokens", "cached_tokens"))


def lines(*messages):
    return "\n".join(map(json.dumps, messages)) + "\n"


# --- chat lines


def test_every_failed_execution_of_a_file_counts_and_not_only_the_first(tmp_path):
    failed = json.dumps({"success": False, "output": None, "error": "KeyError: 'ts_code'\nTraceback (most recent call last):\n  ..."})
    messages = [{"ts": 1_795_184_002.0, "role": "user", "content": "go"}]
    for number in range(3):
        call = {"name": "tool_execute_python", "args": {"code": f"x = {number}"}, "id": f"c{number}"}
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": failed},
        ]

    run = one(put(tmp_path, {"20261120_run.jsonl": lines(*messages)}))

    assert [f.reason for f in run.findings if f.code == "python.error"] == ["missing_column"] * 3
    assert [(step.arguments, (step.note or {})["line"]) for step in tools(run)] == [(f'{{"code":"x = {n}"}}', 3 + 2 * n) for n in range(3)]


def test_the_samples_of_chat_lines():
    judged, replay = scanned(DATA / "chat_jsonl")

    assert replay.skips == []
    assert [[f.reason for f in run.findings if f.code == "python.error"] for run in judged] == [
        ["dtype_mismatch"], ["missing_column"], ["missing_dependency"],
    ]  # fmt: skip
    assert [total(run)[:2] for run in judged] == [(2_900, 140), (2_902, 140), (2_904, 140)]
    list_prices = [0.000937, 0.00093754, 0.00093808]  # the file's own figures are in another currency
    assert [run.judgement.state.records["agent"].cost_usd for run in judged] == pytest.approx(list_prices)
    assert judged[0].judgement.run.labels["trial_name"] == "20261120_141322_run-001"


@pytest.mark.parametrize(
    ("content", "fails"),
    [
        ('{"success": false, "output": null, "error": "TypeError: x"}', True),
        ('{"output": "' + "x" * 900 + '", "error": "TypeError: x"}', True),
        ('{"success": false, "output": "' + "x" * 3_960 + "...(truncated)", True),
        ('{"output": "' + "x" * 900 + '", "error": "KeyError: 1\\nTraceback ...(truncated)', True),
        ("{'success': False, 'output': None, 'error': \"NameError: name 'df' is not defined\"}", True),
        ('{"success": true, "output": "error: none", "error": null}', False),
        ('{"success": true, "output": null, "error": null, "result": "Traceback is a word"}', False),
        ("plain text about success: false", False),
        ('{"success": true, "error": "DeprecationWarning"}', True),
    ],
)
def test_payloads_within_payloads_cut_or_in_pythons_spelling(tmp_path, content, fails):
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "tool_execute_python", "args": {}, "id": "c"}]}
    run = one(
        put(
            tmp_path,
            {"a.jsonl": lines(call, {"role": "tool", "tool_call_id": "c", "content": content}, {"role": "assistant", "content": "ok"})},
        )
    )

    assert [step.sign != "ok" for step in tools(run)] == [fails]


def test_torn_lines_are_named_and_the_others_read(tmp_path):
    path = (
        put(tmp_path, {"a.jsonl": '{"role": "user", "content": "hi"}\n{"role": "assist\n\xff\n{"role": "assistant", "content": "ho"}\n5\n'})
        / "a.jsonl"
    )
    skips = [piece for piece in open_source(path) if isinstance(piece, Skip)]

    assert [skip.line for skip in skips] == [2, 3, 5]
    assert all(skip.path == str(path) for skip in skips)


# --- Claude Code


@pytest.mark.parametrize("path", [STREAM, SESSION, RESULT], ids=lambda path: path.stem)
def test_each_form_of_a_claude_code_session_has_its_totals(path):
    run = one(path)

    assert total(run) == (36 + 9_600 + 29_400, 126, 29_400)
    assert run.judgement.run.trace_id == 0x0C3DBFE86C91441BA16CA3E8583228B3
    assert [f.code for f in run.findings] == ["tool.permission_denied"]
    if path is not SESSION:
        assert sum(r.cost_usd or 0 for r in records(run).values()) == pytest.approx(0.07803)
        assert run.judgement.run.labels["permission_denials"] == "1"


def test_the_forms_of_one_session_are_one_run():
    run = one(DATA / "claude_code")

    assert total(run) == (39_036, 126, 29_400)
    assert [f.code for f in run.findings] == ["tool.permission_denied"]


def test_lines_that_are_parts_of_one_message_are_one_call(tmp_path):
    usage = {"input_tokens": 5, "output_tokens": 7}
    parts = [{"type": "text", "text": "I will"}, {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]
    said = [
        {"type": "assistant", "sessionId": "s", "uuid": str(n), "parentUuid": None,
         "message": {"id": "m", "role": "assistant", "content": [part], "stop_reason": "tool_use", "usage": usage}}
        for n, part in enumerate(parts)
    ]  # fmt: skip

    run = one(put(tmp_path, {"s.jsonl": lines(*said)}))

    (call,) = [step for step in run.judgement.settled.sequence if step.kind == "model"]
    assert (call.input_tokens, call.output_tokens) == (5, 7)
    assert call.content is not None
    assert (call.content.text, [c.name for c in call.content.requested]) == ("I will", ["Bash"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"subtype": "error_max_turns", "is_error": True}, "flow.step_limit"),
        ({"subtype": "success", "is_error": True, "api_error_status": 529, "result": "Overloaded"}, "model.provider_error"),
        ({"subtype": "error_during_execution", "is_error": True, "errors": ["it broke"]}, "flow.error"),
    ],
)
def test_how_a_session_failed(tmp_path, fields, code):
    result = {"type": "result", "session_id": "s", "permission_denials": [], "num_turns": 1, **fields}
    run = one(put(tmp_path, {"r.json": result}))

    assert run.judgement.outcome == "error"
    assert run.primary is not None
    assert run.primary.code == code


def test_agents_that_were_started_talk_for_themselves(tmp_path):
    def said(**fields):
        return {"type": "assistant", "session_id": "s", **fields}

    call = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "Explore"}}
    run = one(put(tmp_path, {"s.jsonl": lines(
        {"type": "system", "subtype": "init", "session_id": "s", "tools": ["Task"], "claude_code_version": "2"},
        said(parent_tool_use_id=None, message={"id": "m1", "role": "assistant", "content": [call]}),
        said(parent_tool_use_id="t1", message={"id": "m2", "role": "assistant", "content": [{"type": "text", "text": "found"}]}),
    )}))  # fmt: skip

    assert {step.agent for step in run.judgement.settled.sequence if step.kind == "model"} == {"claude-code", "Explore"}


def test_an_agents_own_file_belongs_to_the_session_that_started_it(tmp_path):
    def said(agent, text, **fields):
        message = {"id": f"m-{text}", "role": "assistant", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
        return {"type": "assistant", "sessionId": "0c3dbfe8-6c91-441b-a16c-a3e8583228b3", "parentUuid": None, "message": message, **fields}

    put(tmp_path, {
        "agent-a1.jsonl": lines(said("a1", "found", isSidechain=True, agentId="a1", timestamp="2026-11-20T14:07:13.5Z")),
        "session.jsonl": lines(said("", "done", isSidechain=False, timestamp="2026-11-20T14:07:14Z")),
    })  # fmt: skip

    run = one(tmp_path)

    agents = {step.agent: step for step in run.judgement.settled.sequence if step.kind == "agent"}
    assert {name: step.result for name, step in agents.items()} == {"claude-code": "done", "a1": "found"}
    assert agents["a1"].parent_id == agents["claude-code"].span_id


# --- LangSmith


def test_run_trees_and_message_files_of_one_trace_are_one_run():
    judged, replay = scanned(DATA / "langsmith_runs")

    assert replay.skips == []
    assert {run.judgement.run.labels["trial_name"]: (run.judgement.outcome, total(run)[:2]) for run in judged} == {
        "crack-7z-hash__Lu7oSkD": ("passed", (120, 8)), "crack-7z-hash__Zk3pQ1a": ("error", (120, 8)),
    }  # fmt: skip
    failed = next(run for run in judged if run.judgement.outcome == "error")
    assert {f.code for f in failed.findings} >= {"flow.step_limit", "tool.error"}
    assert {f.task_name for run in judged for f in run.findings} == {"crack-7z-hash"}
    assert failed.judgement.run.labels["cause"] == "GraphRecursionError"


def test_run_trees_alone_have_their_own_totals():
    judged, _ = scanned(DATA / "langsmith_runs" / "runs_export.jsonl")

    assert [total(run)[:2] for run in judged] == [(120, 8)] * 2
    assert {run.judgement.outcome for run in judged} == {"ok", "error"}


@pytest.mark.parametrize(
    ("folder", "outcome"), [("passed", "passed"), ("failed", "failed"), ("errors/AgentTimeoutError", "error"), ("unknown", "ok")]
)
def test_the_folder_tells_the_outcome(tmp_path, folder, outcome):
    calls = [{"name": "ls", "args": {}, "id": "c"}]
    messages = [{"type": "human", "content": "crack it"}, {"type": "ai", "content": "", "tool_calls": calls},
                {"type": "tool", "content": "a.txt", "tool_call_id": "c"}, {"type": "ai", "content": "done"}]  # fmt: skip
    run = one(put(tmp_path, {f"by-outcome/{folder}/crack__Ab12.json": messages}))

    assert run.judgement.outcome == outcome
    assert run.judgement.run.labels["task_name"] == "crack"
    assert [step.tool for step in tools(run)] == ["ls"]
    assert run.judgement.failure_score >= 0.95 if outcome in ("failed", "error") else run.judgement.failure_score < 0.5


def test_children_inside_a_run_and_lists_of_runs_are_the_same_as_lines(tmp_path):
    runs = [json.loads(line) for line in (DATA / "langsmith_runs" / "runs_export.jsonl").read_text().splitlines()]
    roots = [{**run, "child_runs": [r for r in runs if r["parent_run_id"] == run["id"]]} for run in runs if run["parent_run_id"] is None]
    put(tmp_path, {"a/runs.json": roots, "b/runs.json": {"runs": runs}, "c/runs.json": json.dumps(runs, indent=1)})

    found = [sorted(f.finding_id for run in scanned(tmp_path / name)[0] for f in run.findings) for name in "abc"]

    assert found[0] == found[1] == found[2] != []


# --- Weave


def test_weave_usage_counts_once_and_a_root_that_swallowed_the_error_has_failed():
    run = one(DATA / "weave")

    assert total(run)[:2] == (50, 7)
    assert run.judgement.outcome == "failed"
    assert run.primary is not None
    assert (run.primary.code, run.primary.root_cause) == ("python.error", "INVALID_PATCH: SyntaxError unexpected token")
    assert {step.name: step.kind for step in run.judgement.run.steps.values()} == {
        "chat": "model", "generate_patch": "workflow", "orchestrator_run": "workflow",
    }  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda calls: {"batch": calls}, lambda calls: calls, lambda calls: "\n".join(map(json.dumps, calls))])
def test_weave_calls_in_every_wrapping(tmp_path, wrap):
    calls = [json.loads(line) for line in next((DATA / "weave").iterdir()).read_text().splitlines()]

    assert total(one(put(tmp_path, {"calls.json": wrap(calls)})))[:2] == (50, 7)


def test_an_older_clients_traceback_tells_the_exception(tmp_path):
    call = json.loads(next((DATA / "weave").iterdir()).read_text().splitlines()[1])
    call |= {
        "parent_id": None,
        "summary": {},
        "exception": 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no patch\n',
    }

    run = one(put(tmp_path, {"calls.jsonl": json.dumps(call)}))

    assert [f.root_cause for f in run.findings if f.primary] == ["no patch"]


# --- ATIF


@pytest.mark.parametrize("version", [f"1.{n}" for n in range(9)])
def test_trajectories_of_every_version(tmp_path, version):
    run = one(put(tmp_path, {"trajectory.json": json.dumps(trajectory(version), indent=2)}))

    assert total(run) == (200, 20, 80)
    assert records(run)["coder"].cost_usd == pytest.approx(0.02)
    assert [(step.tool, step.sign) for step in tools(run)] == [("bash", "silent_failure")]
    assert run.judgement.settled.root is not None
    assert run.judgement.settled.root.result == "It is served."


def test_copied_steps_count_once_and_dispatches_without_a_model_are_no_calls(tmp_path):
    told = trajectory("1.8")
    told["steps"][2]["is_copied_context"] = True
    told["steps"][1] |= {"llm_call_count": 0, "metrics": None}

    run = one(put(tmp_path, {"t.json": {**told, "final_metrics": None}}))

    assert records(run)["coder"].model_calls == 0
    assert len(tools(run)) == 1


def test_agents_inside_a_trajectory_are_agents_of_the_run(tmp_path):
    inner = trajectory("1.8", trajectory_id="t2", session_id=None, agent={"name": "scout", "version": "1"})

    run = one(put(tmp_path, {"t.json": trajectory("1.8", subagent_trajectories=[inner], final_metrics=None)}))

    assert {name: record.input_tokens for name, record in records(run).items()} == {"coder": 200, "scout": 200}


def test_a_tool_marked_as_failed_by_the_converter_has_failed(tmp_path):
    told = trajectory()
    result = told["steps"][1]["observation"]["results"][0]
    result |= {"content": "it did not work\n\n[error] tool reported failure", "extra": {"tool_result_is_error": True}}

    assert [step.failed for step in tools(one(put(tmp_path, {"t.json": told})))] == [True]


# --- what was paid


def test_a_cost_that_is_known_as_a_whole_is_not_added_to_list_prices(tmp_path):
    run = one(STREAM)
    told = trajectory(agent={"name": "coder", "version": "1", "model_name": "gpt-4o"})
    for step in told["steps"]:
        step.pop("metrics", None) if step["source"] != "agent" else step["metrics"].pop("cost_usd", None)
    atif = one(put(tmp_path, {"t.json": told}))

    assert sum(record.cost_usd or 0 for record in records(run).values()) == pytest.approx(0.07803)
    assert records(atif)["coder"].cost_usd == pytest.approx(0.02)
    assert [step.cost_usd for step in atif.judgement.settled.sequence if step.kind == "model"] == [pytest.approx(0.01)] * 2


def test_words_of_other_formats_inside_spans_do_not_make_them_another(tmp_path):
    words = (
        "run_type",
        "dotted_order",
        "op_name",
        "project_id",
        "session_id",
        "permission_denials",
        "schema_version",
        "span_name",
        "trace_id",
    )
    attributes = [{"key": word, "value": {"stringValue": '"ATIF-v1.7" "SpanKind."'}} for word in (*words, "gen_ai.operation.name")]
    span = {
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "name": "chat",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        "attributes": attributes,
    }
    attributes[-1]["value"] = {"stringValue": "chat"}
    document = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "x"}, "spans": [span]}]}]}

    for content in (document, json.dumps(document, indent=4), lines(document, document)):
        run = one(put(tmp_path, {"run.json": content}))
        assert (run.spans, run.judgement.run.labels) == (1, {})


@pytest.mark.parametrize("path", [STREAM, DATA / "weave" / "calls_complete.jsonl"], ids=["claude", "weave"])
def test_steps_are_handed_on_when_nothing_will_change_them(path):
    def told(piece):
        return type(piece), *(getattr(piece, name, None) for name in ("kind", "sign", "input_tokens", "cost_usd"))

    at_once = [told(piece) for piece in open_source(path)]

    assert at_once == [told(piece) for piece in list(open_source(path))]
