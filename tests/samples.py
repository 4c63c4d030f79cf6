"""Recorded runs of other systems as they lie on disk: those in tests/data, and some that are put together here."""

import json
import shutil
from pathlib import Path

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.replay import Judged, Replay

DATA = Path(__file__).parent / "data"
ENGINE = select(all_detectors())


def scanned(*paths, kind="auto"):
    """The runs below these paths by what they are called, else by source, and what read them."""
    replay = Replay(Engine(ENGINE))
    judged = list(replay.scan(paths, kind))
    return judged, replay


def one(*paths, kind="auto") -> Judged:
    """The only run below these paths, of which every piece could be read."""
    judged, replay = scanned(*paths, kind=kind)
    assert replay.skips == []
    (run,) = judged
    return run


def loud(run):
    """(agent, code, reason) of the findings that are more than notes, in order."""
    return sorted((f.agent or "", f.code, f.reason or "") for f in run.findings if f.severity != "info")


def records(run):
    """The reliability records by agent."""
    return run.judgement.state.records


def put(folder, files):
    """Write files, given by relative path; what is no text is written as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def copied(name, folder):
    """A copy of a sample in tests/data, to be changed."""
    return shutil.copytree(DATA / name, folder / name)


TRIAL = {
    "id": "182a24d7-82d0-4b85-8028-f52f4ce17070",
    "task_name": "bench/serve-files",
    "trial_name": "serve-files__dg6SgTQ",
    "trial_uri": "file:///jobs/1/serve-files__dg6SgTQ",
    "task_id": {"org": "bench", "name": "serve-files", "ref": "sha256:0"},
    "source": "bench/one",
    "task_checksum": "84d7",
    "config": {"task": {"path": None}, "agent": {"name": "smoke", "model_name": "openai/gpt-5.6-sol"}},
    "agent_info": {"name": "smoke", "version": "1", "model_info": {"name": "gpt-5.6-sol", "provider": "openai"}},
    "agent_result": {"n_input_tokens": 2700, "n_cache_tokens": 768, "n_output_tokens": 160, "cost_usd": None},
    "verifier_result": {"rewards": {"reward": 0.0}},
    "exception_info": None,
    "started_at": "2026-08-25T03:42:29.858048Z",
    "finished_at": "2026-08-25T03:44:03.331471Z",
    "environment_setup": {"started_at": "2026-08-25T03:42:29.951218Z", "finished_at": "2026-08-25T03:42:30.963830Z"},
    "agent_setup": {"started_at": "2026-08-25T03:42:30.963916Z", "finished_at": "2026-08-25T03:43:36.759617Z"},
    "agent_execution": {"started_at": "2026-08-25T03:43:36.759835Z", "finished_at": "2026-08-25T03:43:39.705912Z"},
    "verifier": {"started_at": "2026-08-25T03:43:40.117693Z", "finished_at": "2026-08-25T03:43:52.462381Z"},
    "step_results": None,
}


def trajectory(version="1.7", **fields):
    """A trajectory of one question, a command that fails, and an answer."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "cached_tokens": 40, "cost_usd": 0.01}
    return {
        "schema_version": f"ATIF-v{version}",
        "session_id": "s1",
        "agent": {"name": "coder", "version": "2", "model_name": "small"},
        "steps": [
            {"step_id": 1, "timestamp": "2026-08-25T03:43:37Z", "source": "user", "message": "Serve the files."},
            {
                "step_id": 2,
                "timestamp": "2026-08-25T03:43:38Z",
                "source": "agent",
                "message": "",
                "tool_calls": [{"tool_call_id": "c1", "function_name": "bash", "arguments": {"command": "nginx"}}],
                "observation": {"results": [{"source_call_id": "c1", "content": "bash: nginx: command not found"}]},
                "metrics": usage,
            },
            {"step_id": 3, "timestamp": "2026-08-25T03:43:39Z", "source": "agent", "message": "It is served.", "metrics": usage},
        ],
        "final_metrics": {"total_prompt_tokens": 200, "total_completion_tokens": 20, "total_cached_tokens": 80, "total_cost_usd": 0.02},
        **fields,
    }


def terminal_trial(**fields):
    """The result of a trial of Terminal-Bench 1.x."""
    return {
        "id": "a1f34136-1523-429b-894e-ef34c154ea78",
        "trial_name": "hello.1-of-1.run",
        "task_id": "hello",
        "instruction": "Write hello.txt.",
        "is_resolved": False,
        "failure_mode": "unset",
        "parser_results": {"test_exists": "passed", "test_content": "failed"},
        "recording_path": None,
        "total_input_tokens": 900,
        "total_output_tokens": 90,
        "trial_started_at": "2025-09-05T23:33:51.941797+00:00",
        "trial_ended_at": "2025-09-05T23:34:33.629488+00:00",
        "agent_started_at": "2025-09-05T23:34:12.098404+00:00",
        "agent_ended_at": "2025-09-05T23:34:13.771600+00:00",
        "test_started_at": "2025-09-05T23:34:16.362829+00:00",
        "test_ended_at": "2025-09-05T23:34:22.194844+00:00",
        **fields,
    }


LOG = "log_20261120_140500_000001/turn_1/attempt_1"
BEGAN = 1_795_183_500.0


def _agent(status, *, attempts=(), error=None, tokens=(0, 0), rounds=(), tools=None):
    return {
        "status": status,
        "error": error and {"type": "error", "message": error, "timestamp": BEGAN + 9},
        "token_usage": {"input_tokens": tokens[0], "output_tokens": tokens[1], "estimated_cost": 0.0},
        "tool_metrics": {"total_calls": len(tools or {}), "by_tool": tools or {}},
        "round_history": [
            {"round_number": n, "round_type": kind, "outcome": outcome, "start_time": BEGAN + 3 * n, "end_time": BEGAN + 3 * n + 2}
            for n, kind, outcome in rounds
        ],
        "reliability": attempts
        and {
            "enforcement_attempts": [
                {
                    "round": 0,
                    "attempt": n,
                    "max_attempts": 3,
                    "reason": reason,
                    "tool_calls": [],
                    "error_message": said,
                    "timestamp": BEGAN + t,
                }
                for n, reason, said, t in attempts
            ],
            "unknown_tools": [],
            "outcome": "ok",
        },
    }


BAD_KEY = "Error code: 401 - {'error': {'message': 'Incorrect API key provided', 'type': 'invalid_request_error'}}"
MUST = "You must use workflow tools (vote or new_answer) to complete the task."


def dead_agents():
    """A MassGen run of three agents that says it went well: one had no valid key, one answered in words only, one tool failed."""
    refused = [(n, reason, said, n) for n in (1, 2, 3) for reason, said in (("api_error", BAD_KEY), ("no_tool_calls", MUST))][:-1]
    gave_up = "Agent failed to use workflow tools after 3 attempts"
    tool = {"call_count": 1, "success_count": 1, "failure_count": 0, "total_execution_time_ms": 12.0}
    status = {
        "finish_reason": "completed",
        "is_complete": True,
        "meta": {"start_time": BEGAN, "elapsed_seconds": 12.0, "question": "6 / 0?", "log_dir": f".massgen/massgen_logs/{LOG}"},
        "costs": {"total_input_tokens": 3000, "total_output_tokens": 30, "total_estimated_cost": 0.0},
        "coordination": {"phase": "presentation", "completion_percentage": 100},
        "agents": {
            "agent_a": _agent("voted", tokens=(3000, 30), rounds=[(0, "initial_answer", "answer")], tools={"mcp__math__divide": tool}),
            "agent_b": _agent("error", attempts=refused, error=gave_up, rounds=[(0, "initial_answer", "error")]),
            "agent_c": _agent(
                "error",
                attempts=[(1, "no_tool_calls", MUST, 2), (2, "no_tool_calls", MUST, 4)],
                error=gave_up,
                rounds=[(0, "initial_answer", "error")],
            ),
        },
        "results": {"winner": "agent_a", "votes": {"agent1.1": 1}},
    }
    events = [
        ("tool_start", {"tool_id": "t1", "tool_name": "mcp__math__divide", "args": {"a": 6, "b": 0}, "server_name": "mcp"}),
        (
            "tool_complete",
            {
                "tool_id": "t1",
                "tool_name": "mcp__math__divide",
                "result": "Error calling tool 'divide': division by zero",
                "elapsed_seconds": 0.012,
                "status": "success",
                "is_error": False,
            },
        ),
    ]
    lines = [
        {"timestamp": f"2026-11-20T15:05:0{n + 1}.500000", "event_type": kind, "agent_id": "agent_a", "round_number": 0, "data": data}
        for n, (kind, data) in enumerate(events)
    ]
    execution = {
        "tool_name": "mcp__math__divide",
        "tool_type": "mcp",
        "call_id": "t1",
        "agent_id": "agent_a",
        "start_time": BEGAN + 1.5,
        "end_time": BEGAN + 1.512,
        "success": True,
        "error_message": None,
    }
    return {
        f"{LOG}/status.json": status,
        f"{LOG}/events.jsonl": "\n".join(map(json.dumps, lines)) + "\n",
        f"{LOG}/metrics_events.json": {"tool_executions": [execution], "round_completions": []},
        f"{LOG}/coordination_events.json": {"session_metadata": {"start_time": BEGAN}, "events": []},
    }
