"""Whatever a file holds: every reader goes on, says what it could not read, and never fails in a way that nobody foresaw."""

import copy
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import DATA, TRIAL, dead_agents, put, scanned, terminal_trial, trajectory

from spantriage.sources import kinds

CLAUDE = (DATA / "claude_code" / "claude-code.stream.jsonl").read_text()
JUNK = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    1 << 70,
    "",
    "x" * 300,
    "\ud800",
    "2026-13-45",
    [],
    {},
    [None],
    [[]],
    {"a": {}},
    "null",
    "../../x",
)
UNFORESEEN = ("could not be read on", "could not be judged")


def _log():
    files = {f"run/{name}": content for name, content in dead_agents().items()}
    folder = DATA / "massgen" / "run1"
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "spans.jsonl":
            files[f"real/{path.relative_to(folder)}"] = path.read_text()
    return files


IDS = {"trace_id": "a" * 32, "span_id": "b" * 16}
TIMES = {"start_time": "2026-11-20T14:00:00Z", "end_time": "2026-11-20T14:00:01Z"}
SPAN = {
    "context": {key: f"0x{value}" for key, value in IDS.items()}, "kind": "SpanKind.INTERNAL", "name": "chat", "parent_id": None, **TIMES,
    "status": {"status_code": "ERROR", "description": "x"}, "attributes": {"gen_ai.operation.name": "chat"}, "links": [],
    "events": [{"name": "exception", "attributes": {"exception.type": "E"}}], "resource": {"attributes": {}},
}  # fmt: skip
JAEGER_SPAN = {
    "traceID": "a" * 32, "spanID": "b" * 16, "operationName": "chat", "startTime": 1_700_000_000_000_000, "duration": 5, "processID": "p1",
    "references": [{"refType": "CHILD_OF", "traceID": "a" * 32, "spanID": "c" * 16}], "logs": [{"timestamp": 1, "fields": []}],
    "tags": [{"key": "gen_ai.operation.name", "type": "string", "value": "chat"}],
}  # fmt: skip
JAEGER = {"data": [{"traceID": "a" * 32, "processes": {"p1": {"serviceName": "s", "tags": []}}, "spans": [JAEGER_SPAN]}]}
PHOENIX = {
    "name": "llm", "span_kind": "LLM", "context": IDS, "parent_id": None, "status_code": "OK", "events": [], **TIMES,
    "attributes": {"llm": {"input_messages": [{"message": {"role": "user", "content": "hi"}}]}},
}  # fmt: skip
LOGFIRE = {
    "span_name": "chat", **IDS, "parent_span_id": None, "start_timestamp": TIMES["start_time"], "end_timestamp": TIMES["end_time"],
    "kind": "span", "attributes": {"gen_ai.operation.name": "chat"}, "is_exception": True, "exception_type": "E", "exception_message": "m",
    "otel_scope_name": "x", "otel_events": [], "otel_links": [],
}  # fmt: skip
SAMPLES = {
    "massgen": _log(),
    "harbor": {
        "serve-files__dg6SgTQ/result.json": {
            **TRIAL,
            "exception_info": {"exception_type": "E", "exception_message": "m", "occurred_at": 1},
        },
        "serve-files__dg6SgTQ/agent/trajectory.json": trajectory(subagent_trajectories=[trajectory(trajectory_id="t2")]),
        "serve-files__dg6SgTQ/agent/claude-code.txt": CLAUDE,
        "serve-files__dg6SgTQ/verifier/reward.json": {"reward": 0.5},
        "serve-files__dg6SgTQ/verifier/ctrf.json": {"results": {"tests": [{"name": "t", "status": "failed"}]}},
        "steps__dg6SgTQ/result.json": {**TRIAL, "step_results": [{"step_name": "one", "agent_result": {"n_input_tokens": 1}}]},
        "steps__dg6SgTQ/steps/one/agent/claude.txt": CLAUDE,
    },
    "terminal-bench": {
        "hello.1-of-1.run/results.json": terminal_trial(failure_mode="agent_timeout"),
        "hello.1-of-1.run/agent-logs/episode-0/response.txt": "ls",
        "results.json": {"results": [terminal_trial(id="x", trial_name="y")]},
    },
    "atif": {"t.json": trajectory(subagent_trajectories=[trajectory(trajectory_id="t2")])},
    "claude-code": {path.name: path.read_text() for path in sorted((DATA / "claude_code").iterdir())},
    "chat-jsonl": {path.name: path.read_text() for path in sorted((DATA / "chat_jsonl").iterdir())},
    "langsmith": {str(p.relative_to(DATA / "langsmith_runs")): p.read_text() for p in sorted((DATA / "langsmith_runs").rglob("*.json*"))},
    "weave": {path.name: path.read_text() for path in sorted((DATA / "weave").iterdir())},
    "otel-json": {"spans.jsonl": json.dumps(SPAN)},
    "jaeger": {"trace.json": JAEGER},
    "phoenix": {"spans.jsonl": json.dumps(PHOENIX)},
    "logfire": {"records.json": [LOGFIRE], "columns.json": {"columns": [{"name": k, "values": [v]} for k, v in LOGFIRE.items()]}},
}
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_every_source_has_a_sample():
    assert set(SAMPLES) | {"otlp"} == set(kinds())


@pytest.fixture
def fresh(tmp_path):
    """A function that gives an empty folder each time."""
    numbers = iter(range(1_000_000))
    return lambda: tmp_path / str(next(numbers))


def check(folder, kind):
    """Scan a folder both ways; nothing may go wrong that the readers did not foresee."""
    for named in ("auto", kind):
        _, replay = scanned(folder, kind=named)
        assert [skip for skip in replay.skips if skip.reason.startswith(UNFORESEEN) or " could not be judged" in skip.reason] == []


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_sample_is_read_whole(fresh, kind):
    runs, replay = scanned(put(fresh(), SAMPLES[kind]))

    assert runs
    assert replay.skips == []


@pytest.mark.parametrize("kind", SAMPLES)
@RELAXED
@given(seed=st.integers(0, 1 << 32))
def test_values_of_every_wrong_kind_are_no_surprise(fresh, kind, seed):
    dice = random.Random(seed)

    check(put(fresh(), {name: _bent(content, dice) for name, content in SAMPLES[kind].items()}), kind)


@pytest.mark.parametrize("kind", SAMPLES)
@RELAXED
@given(seed=st.integers(0, 1 << 32))
def test_torn_and_damaged_files_are_no_surprise(fresh, kind, seed):
    dice = random.Random(seed)
    files = {}
    for name, content in SAMPLES[kind].items():
        raw = bytearray((content if isinstance(content, str) else json.dumps(content)).encode())
        for _ in range(dice.randrange(4)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        del raw[dice.randrange(len(raw) + 1) if dice.random() < 0.5 else len(raw) :]
        if dice.random() < 0.9:
            files[name] = bytes(raw)

    check(put(fresh(), files or {"empty.json": b""}), kind)


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 99, b"\xff\xfe{\x00}\x00", b"[" * 99_999, b'{"a":' * 99_999, b"[1,2", b"null", b"[[]]", b"5\n6"], ids=range(9)
)
def test_files_that_are_nothing_of_the_kind(fresh, kind, raw):
    check(put(fresh(), dict.fromkeys(SAMPLES[kind], raw)), kind)


def _bent(content, dice):
    """The same JSON with some of its values replaced by others, or missing."""
    if isinstance(content, str) and not content.lstrip().startswith(("{", "[")):
        return content
    if isinstance(content, str):
        return "\n".join(json.dumps(_bent(json.loads(line), dice)) for line in content.splitlines() if line.strip() and _is_json(line))
    content = json.loads(json.dumps(content))
    for _ in range(dice.randint(1, 4)):
        at = content
        while isinstance(at, (dict, list)) and at:
            key = dice.choice(list(at)) if isinstance(at, dict) else dice.randrange(len(at))
            if not isinstance(at[key], (dict, list)) or not at[key] or dice.random() < 0.2:
                at[key] = copy.deepcopy(dice.choice(JUNK))
                break
            at = at[key]
    return content


def _is_json(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
