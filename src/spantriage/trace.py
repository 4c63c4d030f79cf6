"""One trial as one JSON object: the fields of the reports that people keep, and behind them what those leave empty."""

from __future__ import annotations

import re
from typing import Final

from spantriage import text
from spantriage.folder import Folder
from spantriage.replay import Judged
from spantriage.sources.grading import reward_of
from spantriage.sources.harbor_causes import INFRASTRUCTURE
from spantriage.sources.talk import listed, mapping
from spantriage.summary import summarise

__all__ = ["trace_of"]

RESPONSES: Final = ("claude.txt", "claude-code.txt", "claude-code.jsonl")
OUTPUT_CAP: Final = 2_000  # characters of test output, as in the reports
MANIFEST: Final = ("timestamp", "harness")
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]{0,120}(?:Error|Exception|Timeout|Interrupt|Exit)\b")
# What a failure says that the machines, and not the agent, have had.
_MACHINES: Final = re.compile(
    r"docker|RPC failed|curl \d+|GnuTLS|TLS packet|ECONN|Connection (?:refused|reset)|could not resolve|no space left|image pull",
    re.IGNORECASE,
)


def trace_of(folder: Folder, told: dict[str, object], judged: Judged, instruction: str) -> dict[str, object]:
    """The trace of a trial: its folder, the result in it, what was found in its run, and the task's own words."""
    summary = summarise(judged)
    labels = judged.judgement.run.labels
    config = mapping(told.get("config") or folder.json("config.json"))
    agent = mapping(config.get("agent"))
    verifier = folder.sub("verifier")
    reward = reward_of(told, verifier or folder) if "is_resolved" not in told else float(told["is_resolved"] is True)
    response = _response(folder, summary)
    trace: dict[str, object] = {
        "task_id": folder.name,
        "task_instruction": instruction,
        "agent_config": {
            "agent": agent or mapping(told.get("agent_info")),
            "model": agent.get("model_name") or labels.get("model"),
            "timestamp": told.get("trial_name") or folder.name,
        },
        "agent_request": None,
        "agent_response": response,
        "code_changes": _first(folder, ("agent/patch.diff", "patch.diff")),
        "test_reward": 0.0 if reward is None else reward,
        "test_output": _first(folder, ("verifier/test-stdout.txt", "panes/post-test.txt"))[:OUTPUT_CAP],
        "metrics": _metrics(folder, summary, judged, response),
        "status": _status(labels.get("outcome"), reward),
    }
    if trace["status"] == "error":
        trace |= _error(folder, told, labels)
    return trace | {
        "task_name": labels.get("task_name"),
        "tests": labels.get("tests"),
        "findings": [
            {"code": f.code, "category": f.category, "agent": f.agent, "summary": f.summary, "primary": f.primary} for f in judged.findings
        ],
    }


def _status(outcome: str | None, reward: float | None) -> str:
    if outcome == "error":
        return "error"
    return "pass" if (reward or 0) >= 1 else "partial" if (reward or 0) > 0 else "fail"


def _error(folder: Folder, told: dict[str, object], labels: dict[str, str]) -> dict[str, object]:
    info = mapping(told.get("exception_info"))
    said = f"{info.get('exception_type')}: {info.get('exception_message')}" if info else _first(folder, ("exception.txt",)).strip()
    lines = [line for line in said.splitlines() if line.strip()]
    heads = [number for number, line in enumerate(lines) if _RAISED.match(line)]
    at = heads[-1] if heads else 0
    head, rest = lines[at] if lines else "", "\n".join(lines[at + 1 :])
    cause = labels.get("cause") or "unclassified"
    is_machine = cause in INFRASTRUCTURE or (cause == "unclassified" and _MACHINES.search(said) is not None)
    error = head or str(told.get("failure_mode") or "unknown")
    return {"error": text.clip(error, 500), "details": text.clip(rest or said, 4_000), "cause": cause, "infrastructure": is_machine}


def _response(folder: Folder, summary: dict[str, object]) -> dict[str, object] | None:
    """The agent's last word: Claude Code's result object where there is one, else the same put together from what was read."""
    at = folder.sub("agent")
    for name in RESPONSES if at is not None else ():
        for _, value in at.objects(name) if at is not None else ():
            if value.get("type") == "result":
                return value
    result = next((said for said in (_last_word(summary, folder),) if said), None)
    if result is None and summary["input_tokens"] is None:
        return None
    cached = _sum(summary, "cached_tokens")
    fresh = summary["input_tokens"]
    return {
        "type": "result",
        "subtype": "success" if summary["outcome"] in ("passed", "failed", "ok") else "error_during_execution",
        "result": result,
        "usage": {
            "input_tokens": fresh - (cached or 0) if isinstance(fresh, int) else None,
            "output_tokens": summary["output_tokens"],
            "cache_creation_input_tokens": None,
            "cache_read_input_tokens": cached,
        },
        "permission_denials": [],
    }


def _last_word(summary: dict[str, object], folder: Folder) -> str | None:
    at = folder.sub("agent")
    steps = listed(at.json("trajectory.json").get("steps")) if at is not None and at.has("trajectory.json") else []
    said = next((mapping(step).get("message") for step in reversed(steps) if mapping(step).get("source") == "agent"), None)
    return text.plain(said)


def _sum(summary: dict[str, object], name: str) -> int | None:
    amounts = [mapping(record).get(name) for record in mapping(summary["agents"]).values()]
    known = [amount for amount in amounts if isinstance(amount, int)]
    return sum(known) if known else None


def _metrics(folder: Folder, summary: dict[str, object], judged: Judged, response: dict[str, object] | None) -> dict[str, object]:
    usage = mapping((response or {}).get("usage"))
    given, made = text.count(usage.get("input_tokens")), text.count(usage.get("output_tokens"))
    manifest = folder.json("run_manifest.json") if folder.has("run_manifest.json") else {}
    tools: dict[str, dict[str, int]] = {}
    for step in judged.judgement.settled.sequence:
        if step.kind == "tool" and step.tool is not None:
            counts = tools.setdefault(step.tool, {"calls": 0, "errors": 0})
            counts["calls"] += 1
            counts["errors"] += step.sign != "ok"
    return {
        "tokens": {
            "input": given,
            "output": made,
            "total": None if given is None and made is None else (given or 0) + (made or 0),
            "cache_creation": text.count(usage.get("cache_creation_input_tokens")),
            "cache_read": text.count(usage.get("cache_read_input_tokens")),
        },
        "manifest": {key: manifest[key] for key in MANIFEST if key in manifest},
        "duration_s": summary["duration_s"],
        "cost_usd": summary["cost_usd"],
        "model": judged.judgement.run.labels.get("model"),
        "tools": tools,
    }


def _first(folder: Folder, paths: tuple[str, ...]) -> str:
    """The first of these files that is there, as text; "" when none is."""
    for path in paths:
        head, _, name = path.rpartition("/")
        at = folder.sub(head) if head else folder
        if at is not None and at.has(name):
            return at.text(name) or ""
    return ""
