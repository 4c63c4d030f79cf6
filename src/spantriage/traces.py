"""Execution traces: everything that is known of one agent on one task, as one JSON object, and those of a whole job together.

The fields and their meaning are those of the job reports that people keep (`task_id`, `agent_response`, `test_reward`,
`status`, ...); behind them stand those that such reports promise and leave empty: duration, cost, cached tokens, tools, findings.
Every text is redacted; a whole trace is for local use, `sanitise.py` makes it fit to be shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spantriage import text
from spantriage.config import configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.engine import Engine
from spantriage.files import Skip, walk
from spantriage.folder import Folder
from spantriage.redact import redact
from spantriage.replay import Judged, Replay
from spantriage.sources import claimant
from spantriage.sources.grading import reward_of
from spantriage.sources.harbor_causes import INFRASTRUCTURE
from spantriage.sources.talk import listed, mapping
from spantriage.summary import summarise

__all__ = ["Job", "stamp", "summary_of"]

FORMS: Final = frozenset({"harbor", "terminal-bench"})
RESPONSES: Final = ("claude.txt", "claude-code.txt", "claude-code.jsonl")
TEXT_CAP: Final = 1 << 20
OUTPUT_CAP: Final = 2_000  # characters of test output, as in the reports
MANIFEST: Final = ("timestamp", "harness")
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]{0,120}(?:Error|Exception|Timeout|Interrupt|Exit)\b")
# What a failure says that the machines, and not the agent, have had.
_MACHINES: Final = re.compile(
    r"docker|RPC failed|curl \d+|GnuTLS|TLS packet|ECONN|Connection (?:refused|reset)|could not resolve|no space left|image pull",
    re.IGNORECASE,
)


class Job:
    """The trials below a folder. `skips` says what could not be read."""

    def __init__(self, folder: str | Path, *, task: str | None = None, tasks: str | Path | None = None) -> None:
        self.folder = str(folder)
        self.skips: list[Skip] = []
        self._task = task
        self._tasks = None if tasks is None else Folder(tasks)  # where tasks lie, for their instructions
        self._engine = Engine(configure_detectors(load_settings(), all_detectors()))

    def traces(self) -> Iterator[dict[str, object]]:
        """One trace for each trial, by name."""
        for found in walk(self.folder, _is_trial):
            if isinstance(found, Skip):
                self.skips.append(found)
            elif _is_trial(found) and self._wants(Folder(found).name):
                yield from self._trace(Folder(found, skip=self.skips.append))

    def _wants(self, name: str) -> bool:
        return self._task is None or name == self._task or re.split(r"__|\.\d+-of-", name)[0] == self._task

    def _trace(self, folder: Folder) -> Iterator[dict[str, object]]:
        replay = Replay(self._engine)
        judged = [*replay.scan([folder.path])]
        self.skips += replay.skips
        if judged:
            told = folder.json("result.json") or folder.json("results.json")
            yield _clean(_trace(folder, told, judged[0], self._instruction(folder, told)))

    def _instruction(self, folder: Folder, told: dict[str, object]) -> str:
        """The task's own words: out of the result, the folder of tasks that was named, else what the agent was told first."""
        task = mapping(mapping(told.get("config") or folder.json("config.json")).get("task"))
        path = task.get("path")
        parts = [part for part in path.split("/") if part not in ("", ".")] if type(path) is str else []
        at = self._tasks.sub(*parts) if self._tasks is not None and parts else None
        said = text.string(told.get("instruction")) or (at.text("instruction.md", TEXT_CAP) if at is not None else None)
        return said or _asked(folder)


def summary_of(traces: list[dict[str, object]]) -> dict[str, object]:
    """How the traces came out. Those with some reward but not the whole are `partial`, and neither passed nor failed."""
    by_status = [trace["status"] for trace in traces]
    total, passed = len(traces), by_status.count("pass")
    graded = passed + by_status.count("fail") + by_status.count("partial")
    costs = [cost for trace in traces if isinstance(cost := mapping(trace["metrics"]).get("cost_usd"), float)]
    return {
        "total": total,
        "passed": passed,
        "failed": by_status.count("fail"),
        "errors": by_status.count("error"),
        "success_rate": passed / total if total else 0.0,
        "partial": by_status.count("partial"),
        "clean_success_rate": passed / graded if graded else 0.0,  # without trials that ended in an error
        "infrastructure_errors": sum(trace.get("infrastructure") is True for trace in traces),
        "permission_denials": sum(len(listed(mapping(trace["agent_response"]).get("permission_denials"))) for trace in traces),
        "cost_usd": round(sum(costs), 6) if costs else None,
    }


def _is_trial(path: str) -> bool:
    source = claimant(path)
    return source is not None and source.name in FORMS


def _trace(folder: Folder, told: dict[str, object], judged: Judged, instruction: str) -> dict[str, object]:
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


def _asked(folder: Folder) -> str:
    """What the agent was told first."""
    at = folder.sub("agent")
    if at is not None and at.has("trajectory.json"):
        for step in map(mapping, listed(at.json("trajectory.json").get("steps"))):
            if step.get("source") == "user":
                return text.plain(step.get("message")) or ""
    return ""


def _first(folder: Folder, paths: tuple[str, ...]) -> str:
    """The first of these files that is there, as text; "" when none is."""
    for path in paths:
        head, _, name = path.rpartition("/")
        at = folder.sub(head) if head else folder
        if at is not None and at.has(name):
            return at.text(name) or ""
    return ""


def _clean(value: dict[str, object]) -> dict[str, object]:
    found = _cleaned(value, 0)
    assert isinstance(found, dict), "an object stays one"
    return found


def _cleaned(value: object, depth: int) -> object:
    if type(value) is str:
        return redact(value.encode("utf-8", "replace").decode() if not value.isascii() else value)
    if depth > 100:
        return None
    if isinstance(value, dict):
        return {str(key): _cleaned(inner, depth + 1) for key, inner in value.items()}
    return [_cleaned(inner, depth + 1) for inner in value] if isinstance(value, list) else value


def stamp() -> str:
    """Now, as traces carry it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
