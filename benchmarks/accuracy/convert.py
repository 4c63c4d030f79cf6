"""Turn transcripts into labelled recordings that the scoreboard reads.

    python benchmarks/accuracy/convert.py TRANSCRIPTS.jsonl FOLDER/NAME

writes `NAME.jsonl` (one run a line, OTLP/JSON with GenAI attributes) and `NAME.labels.jsonl`. A line of transcripts:

    {"id": "...", "task": "...", "agent": "boss", "outcome": "pass" | "fail" | null, "group": "...", "subset": "...",
     "turns": [{"agent": "...", "role": "agent" | "model" | "tool", "text": "...", "calls": [{"name", "arguments"}],
                "tool": "...", "arguments": "..."}],
     "errors": [{"turn": 3, "agent": "...", "category": "...", "primary": true}]}

`role` says what the transcript holds of a turn: "agent" where only what an agent said is known (its span is then the
turn), "model" for a call of the one agent's model, "tool" for a call's result in `text`. Clocks are made up, a second a
turn; ids follow from the run's id and the turn's number, so that the same transcript gives the same recording.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

EPOCH_NS: Final = 1_700_000_000_000_000_000
SECOND_NS: Final = 1_000_000_000
OPERATIONS: Final = {"agent": "invoke_agent", "model": "chat", "tool": "execute_tool"}
Json = dict[str, Any]


def convert(row: Json) -> tuple[Json, Json]:
    """The recording and the labels of one transcript."""
    trace_id = hashlib.sha256(str(row["id"]).encode()).hexdigest()[:32]
    ids = [_span_id(trace_id, number) for number in range(len(row["turns"]))]
    root = _span_id(trace_id, -1)
    leader = row.get("agent") or "agent"
    spans = [_root(row, trace_id, root, leader)]
    for number, turn in enumerate(row["turns"]):
        kind = turn["role"]
        agent = turn.get("agent") or leader
        before = row["turns"][number - 1].get("text") if number else row.get("task")
        given = {"gen_ai.operation.name": OPERATIONS[kind], "gen_ai.agent.name": agent, **dict(_said(turn, before))}
        name = f"{OPERATIONS[kind]} {turn.get('tool') or agent}"
        spans.append(_span(trace_id, ids[number], root, name, number + 1, number + 2, given))
    labels = {
        "trace_id": trace_id,
        "outcome": row.get("outcome"),
        "group": str(row.get("group") or row["id"]),
        "subset": row.get("subset") or "",
        "steps": ids,
        "step_agents": [turn.get("agent") or leader for turn in row["turns"]],
        "errors": [_error(error, ids) for error in row.get("errors") or ()],
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "transcript"}, "spans": spans}]}]}, labels


def _root(row: Json, trace_id: str, root: str, leader: str) -> Json:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": leader}
    if row.get("task"):
        attributes["gen_ai.input.messages"] = _message("user", row["task"])
    return _span(trace_id, root, None, f"invoke_agent {leader}", 0, len(row["turns"]) + 2, attributes)


def _said(turn: Json, before: str | None) -> Iterator[tuple[str, str]]:
    if turn["role"] == "tool":
        yield "gen_ai.tool.name", str(turn.get("tool") or "tool")
        yield "gen_ai.tool.call.arguments", str(turn.get("arguments") or "")
        yield "gen_ai.tool.call.result", str(turn.get("text") or "")
        return
    if before:
        yield "gen_ai.input.messages", _message("user", before)
    yield "gen_ai.output.messages", _message("assistant", turn.get("text") or "", turn.get("calls") or ())


def _message(role: str, text: str, calls: Any = ()) -> str:
    parts: list[Json] = [{"type": "text", "content": text}] if text else []
    parts += [{"type": "tool_call", "name": call.get("name"), "arguments": call.get("arguments")} for call in calls]
    return json.dumps([{"role": role, "parts": parts}])


def _error(error: Json, ids: list[str]) -> Json:
    number = error.get("turn")
    return {
        "span_id": ids[number] if isinstance(number, int) and 0 <= number < len(ids) else None,
        "agent": error.get("agent"),
        "category": error.get("category"),
        "primary": bool(error.get("primary")),
    }


def _span(trace_id: str, span_id: str, parent: str | None, name: str, first: int, last: int, attributes: dict[str, str]) -> Json:
    return {
        "traceId": trace_id,
        "spanId": span_id,
        **({} if parent is None else {"parentSpanId": parent}),
        "name": name,
        "startTimeUnixNano": str(EPOCH_NS + first * SECOND_NS),
        "endTimeUnixNano": str(EPOCH_NS + last * SECOND_NS - 1),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }


def _span_id(trace_id: str, number: int) -> str:
    return hashlib.sha256(f"{trace_id}/{number}".encode()).hexdigest()[:16]


def main() -> None:
    """Convert a file; a line that cannot be read is told with its number, and nothing is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("target", type=Path, help="folder and name of the set, without an ending")
    asked = parser.parse_args()
    recordings: list[str] = []
    labels: list[str] = []
    for number, line in enumerate(asked.transcripts.read_text(encoding="utf-8").splitlines(), 1):
        try:
            recording, told = convert(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{asked.transcripts}:{number}: not a transcript: {type(error).__name__}: {error}") from error
        recordings.append(json.dumps(recording))
        labels.append(json.dumps(told))
    asked.target.parent.mkdir(parents=True, exist_ok=True)
    asked.target.with_name(f"{asked.target.name}.jsonl").write_text("\n".join(recordings) + "\n", encoding="utf-8")
    asked.target.with_name(f"{asked.target.name}.labels.jsonl").write_text("\n".join(labels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
