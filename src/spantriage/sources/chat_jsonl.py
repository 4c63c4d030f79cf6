"""Chat messages, one a line, one file a conversation: `{"ts", "role", "content", "tool_calls", "tool_call_id", "usage", ...}`.

Results of tools are JSON inside JSON (`{"success", "output", "error"}`) or Python's spelling of it, often cut; whether a
call failed is read from that, and every failure counts, not only a file's first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson

from spantriage import text, values
from spantriage.failures import read_result
from spantriage.files import Skip, TraceFile
from spantriage.sources import Labels, Piece, Source, ids, times
from spantriage.sources.talk import Talk, Usage, mapping

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_ROLE: Final = re.compile(rb'"role"\s*:\s*"(?:system|developer|user|assistant|tool|function)"')
_OTHERS: Final = (b'"parentUuid"', b'"session_id"', b'"dotted_order"', b'"messages"', b'"traceId"')
_FAILED: Final = re.compile(r"""['"]success['"]\s*:\s*(?:false|False)\b""")
_ERROR: Final = re.compile(r"""['"]error['"]\s*:\s*(?:"((?:[^"\\]|\\.)+)|'((?:[^'\\]|\\.)+))""")
CURRENCIES: Final = ("USD", "usd", "$")


def sniff(head: bytes, name: str) -> bool:
    """Claims lines of which the first is an object with a role and a content, and none of the formats that have more."""
    first = head.lstrip().partition(b"\n")[0]
    if not first.startswith(b"{") or _ROLE.search(first) is None or any(mark in first for mark in _OTHERS):
        return False
    return b'"content"' in first or b'"tool_calls"' in first


def read(file: TraceFile) -> Iterator[Piece]:
    """One run for each file; its name is the trial's."""
    trial = Path(file.path).name.partition(".")[0]
    trace_id = ids.trace_id("chat-jsonl", trial, file.head[:4_096].hex())
    talk = Talk(trace_id, "agent", file.path, "chat-jsonl")
    yield Labels(trace_id, {"form": "chat-jsonl", "trial_name": trial})
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
        elif not isinstance(found.value, dict) or found.value.get("role") not in ROLES:
            yield Skip(file.path, found.line, "no message with a role")
        else:
            message = found.value
            if message["role"] in ("tool", "function"):
                message = {**message, "content": tell_failure(message.get("content"))}
            when = times.read(message.get("ts") or message.get("timestamp") or message.get("created_at"))
            model = text.name(message.get("model"))
            yield from talk.add(message, when, usage=usage_of(message), model=model, finish=message.get("finish_reason"), line=found.line)
    if talk.now_ns:
        yield from talk.close()
    if talk.truncated:
        yield Skip(file.path, 0, f"{talk.truncated} messages beyond the limit were not read")


def usage_of(message: Mapping[str, object]) -> Usage:
    """A message's own tokens and cost. A cost in another currency than dollars is not a cost that we can add up."""
    usage, cost = mapping(message.get("usage")), mapping(message.get("cost"))
    cached = next((usage[key] for key in ("input_cache_hit_tokens", "cached_tokens", "prompt_cache_hit_tokens") if key in usage), None)
    return Usage(
        text.count(usage.get("input_tokens", usage.get("prompt_tokens"))),
        text.count(usage.get("output_tokens", usage.get("completion_tokens"))),
        text.count(cached),
        text.count(usage.get("reasoning_tokens")),
        text.number(cost.get("total")) if cost.get("currency", "USD") in CURRENCIES else None,
    )


def tell_failure(content: object) -> object:
    """A tool's result with its failure, if it tells of one, at the beginning, where it is looked for."""
    if type(content) is not str or read_result(content) is not None:
        return content
    payload = text.load(content)
    if isinstance(payload, Mapping):
        error = text.plain(payload.get("error")) or ""
        failed = payload.get("success") is False or (bool(error) and error != "null" and payload.get("success") is not True)
    else:
        head = content.lstrip()[:1]
        found = _ERROR.search(content) if head == "{" else None
        error = (found[1] or found[2]) if found is not None else ""
        failed = head == "{" and (_FAILED.search(content) is not None or bool(error))
    if not failed:
        return content
    return orjson.dumps({"success": False, "error": error, "output": content}, option=orjson.OPT_NON_STR_KEYS).decode()


SOURCE: Final = Source("chat-jsonl", sniff, read, rank=80)
