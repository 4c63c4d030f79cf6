"""A corpus of made-up recorded runs: OTLP/JSON lines, about twenty spans a trace, each model call with the whole history again.

`python benchmarks/corpus.py FOLDER [TRACES]` writes it.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["write_corpus"]

TRACES_A_FILE: Final = 50
TURNS: Final = (6, 12)  # tool calls of one agent
SECOND_NS: Final = 1_000_000_000
EPOCH_NS: Final = 1_760_000_000 * SECOND_NS
TOOLS: Final = ("search", "read_file", "write_file", "run_tests", "fetch_page")
SENTENCES: Final = (
    "the agent looks at files and pages for what the task asks about then writes a short report of all that was found there "
    "while tests run again after each edit so that nothing breaks between one step and the next one"
)
WORDS: Final = SENTENCES.split()
SCHEMA: Final = {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]}
DEFINITIONS: Final = json.dumps([{"type": "function", "name": name, "description": name, "parameters": SCHEMA} for name in TOOLS])
Json = dict[str, Any]


def write_corpus(folder: Path, traces: int, seed: int = 1) -> None:
    """Write so many traces; the same seed gives the same bytes."""
    chance = random.Random(seed)
    for first in range(0, traces, TRACES_A_FILE):
        with (folder / f"runs-{first // TRACES_A_FILE:03d}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(first, min(first + TRACES_A_FILE, traces)):
                for span in Trace(chance, number).spans():
                    scopes = [{"scope": {"name": "benchmark"}, "spans": [span]}]
                    file.write(json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]}) + "\n")


class Trace:
    """One run of one agent; in one of ten something goes wrong."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self._chance = chance
        self._trace_id = f"{chance.getrandbits(128) | 1:032x}"
        self._now = EPOCH_NS + number * 3_600 * SECOND_NS
        self._agent = {"gen_ai.agent.name": f"worker-{number % 7}", "gen_ai.conversation.id": f"c-{number}"}
        self._fate = chance.choice(("raises", "admits", "repeats", "limited")) if number % 10 == 3 else "fine"

    def spans(self) -> Iterator[Json]:
        """The spans in the order they end."""
        began, root = self._now, self._id()
        history: list[Json] = [self._said("system", 900), self._said("user", 400)]
        turns = self._chance.randint(*TURNS)
        for turn in range(turns):
            name, call_id = self._chance.choice(TOOLS), f"call_{turn}"
            target = "again" if self._fate == "repeats" else self._text(40)
            call = {"type": "tool_call", "id": call_id, "name": name, "arguments": {"target": target}}
            asks = {"role": "assistant", "parts": [{"type": "text", "content": self._text(120)}, call]}
            yield self._chat(root, history, {**asks, "finish_reason": "tool_call"})
            span, result = self._tool(root, name, call_id, target, turn)
            yield span
            answer = {"type": "tool_call_response", "id": call_id, "name": name, "response": result}
            history += [asks, {"role": "user", "parts": [answer]}]
        yield self._chat(root, history, {**self._said("assistant", 600), "finish_reason": "stop"}, failed=self._fate == "limited")
        yield self._span(root, None, began, "invoke_agent", self._agent | {"gen_ai.operation.name": "invoke_agent"})

    def _chat(self, parent: str, history: list[Json], reply: Json, *, failed: bool = False) -> Json:
        began = self._pass(0.8, 4.0)
        attributes: Json = {
            "gen_ai.operation.name": "chat",
            **self._agent,
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-x",
            "gen_ai.tool.definitions": DEFINITIONS,
            "gen_ai.input.messages": json.dumps(history),
        }
        if failed:
            attributes["error.type"] = "RateLimitError"
            return self._span(self._id(), parent, began, "chat gpt-x", attributes, "Rate limit reached for gpt-x")
        attributes |= {
            "gen_ai.output.messages": json.dumps([reply]),
            "gen_ai.usage.input_tokens": sum(len(str(message)) for message in history) // 4,
            "gen_ai.usage.output_tokens": 90,
            "gen_ai.response.model": "gpt-x-2026",
            "gen_ai.response.id": f"chatcmpl-{self._id()}",
            "gen_ai.response.finish_reasons": [reply["finish_reason"]],
        }
        return self._span(self._id(), parent, began, "chat gpt-x", attributes)

    def _tool(self, parent: str, name: str, call_id: str, target: str, turn: int) -> tuple[Json, str]:
        began = self._pass(0.05, 1.5)
        result = "nothing new" if self._fate == "repeats" else self._text(self._chance.randint(200, 1_600))
        attributes: Json = {
            "gen_ai.operation.name": "execute_tool",
            **self._agent,
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.call.arguments": json.dumps({"target": target}),
        }
        if turn == 3 and self._fate == "raises":
            attributes["error.type"] = "ConnectionError"
            return self._span(self._id(), parent, began, f"execute_tool {name}", attributes, "connection refused"), "connection refused"
        if turn == 3 and self._fate == "admits":
            result = "Error: the service is unavailable"
        attributes["gen_ai.tool.call.result"] = result
        return self._span(self._id(), parent, began, f"execute_tool {name}", attributes), result

    def _span(self, span_id: str, parent: str | None, began: int, name: str, attributes: Json, error: str | None = None) -> Json:
        span: Json = {
            "traceId": self._trace_id,
            "spanId": span_id,
            "name": name,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(self._now),
            "attributes": [{"key": key, "value": _value(value)} for key, value in attributes.items()],
            "status": {} if error is None else {"code": 2, "message": error},
        }
        return span if parent is None else {**span, "parentSpanId": parent}

    def _pass(self, least_s: float, most_s: float) -> int:
        began = self._now
        self._now += int(self._chance.uniform(least_s, most_s) * SECOND_NS)
        return began

    def _id(self) -> str:
        return f"{self._chance.getrandbits(64) | 1:016x}"

    def _said(self, role: str, size: int) -> Json:
        return {"role": role, "parts": [{"type": "text", "content": self._text(size)}]}

    def _text(self, size: int) -> str:
        return " ".join(self._chance.choices(WORDS, k=max(1, size // 5)))


def _value(value: object) -> Json:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)
