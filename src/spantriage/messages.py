"""Chat messages in the two shapes that everybody uses: GenAI `parts`, and OpenAI's `content` with `tool_calls`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from spantriage import text
from spantriage.history import Tail
from spantriage.model import Content, FinishReason, ToolCall, ToolResult

__all__ = ["FINISH", "finish_reason", "read_definitions", "read_reply", "read_tail"]

TEXT_CAP: Final = 20_000  # characters of an answer that are kept until the worker has looked at it
RESULT_CAP: Final = 4_000
ARGUMENTS_CAP: Final = 20_000
MESSAGES_CAP: Final = 4_000  # messages of one history that are looked at
KNOWN_CAP: Final = 1 << 16  # characters of tool definitions that are remembered
MAPPINGS: Final = (dict, Mapping)  # the first is nearly always right, and the cheaper one to ask
Definitions = dict[str, Mapping[str, object] | None]

FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "completed": "stop", "complete": "stop", "eos": "stop",
    "length": "length", "max_tokens": "length", "max_output_tokens": "length", "incomplete": "length",
    "model_length": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls", "tool_call": "tool_calls", "tool_use": "tool_calls", "function_call": "tool_calls",
    "content_filter": "content_filter", "content_filtered": "content_filter", "safety": "content_filter",
    "guardrail_intervened": "content_filter", "prohibited_content": "content_filter", "blocklist": "content_filter",
    "recitation": "content_filter", "spii": "content_filter", "refusal": "content_filter",
    "malformed_function_call": "malformed_tool_call", "malformed_tool_call": "malformed_tool_call",
    "unexpected_tool_call": "malformed_tool_call", "error": "error",
}  # fmt: skip
_TEXT_PARTS: Final = frozenset({"text", "output_text", "input_text"})
_CALL_PARTS: Final = frozenset({"tool_call", "tool_use", "function_call"})
_SEEN_PARTS: Final = _TEXT_PARTS | _CALL_PARTS | {"reasoning", "thinking", "redacted_thinking", "refusal", "tool_call_response"}
# OpenAI's Responses API has items where others have messages: a call, its output and a thought each stand alone.
_CALL_ITEMS: Final = frozenset({"function_call", "custom_tool_call"})
_OUTPUT_ITEMS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_SCHEMAS: Final = ("parameters", "input_schema", "parameters_json_schema", "inputSchema")
_ASSISTANT: Final = frozenset({"assistant", "model", "ai", "tool-call"})


def finish_reason(value: object) -> FinishReason | None:
    """Normalise a finish reason, given as a list, a JSON list, or a plain word. None: not captured."""
    if type(value) is str and value[:1] == "[":
        value = text.load(value)
    if isinstance(value, (list, tuple)):
        value = value[-1] if value else None
    if type(value) is not str or not value:
        return None
    return FINISH.get(value) or FINISH.get(value.lower().rpartition(".")[2], "unknown")


def read_reply(content: Content, messages: object) -> str | None:
    """Read what the model answered into `content`; returns the finish reason that a message carries, if one does."""
    finish: str | None = None
    loaded = text.load(messages)
    if isinstance(loaded, MAPPINGS):
        loaded = [loaded]
    if not isinstance(loaded, (list, tuple)):
        content.truncated = content.truncated or (type(messages) is str and len(messages) > text.LOAD_CAP)
        return None
    content.captured = True
    for item in loaded[:MESSAGES_CAP]:
        message = _as_message(item)
        if message is None:
            continue
        finish = text.string(message.get("finish_reason")) or finish
        content.refusal = _refusal(message) or content.refusal
        content.requested.extend(_calls(message))
        content.replied = content.replied or not _is_withheld(message)
        said = _text(message)
        if said:
            content.text = text.clip(f"{content.text}\n{said}" if content.text else said, TEXT_CAP)
    return finish


def read_tail(content: Content, tail: Tail) -> None:
    """Read tool results, with the calls they answer, out of messages that were not seen before."""
    calls: dict[str, ToolCall] = {}
    unanswered: list[ToolCall] = []
    content.truncated = content.truncated or tail.truncated
    for index, item in enumerate(tail.messages[:MESSAGES_CAP], tail.start):
        message = _as_message(item)
        if message is None:
            continue
        role = message.get("role")
        if type(role) is str and role in _ASSISTANT:
            unanswered = list(_calls(message))
            calls.update((call.call_id, call) for call in unanswered if call.call_id)
        elif role == "user" and content.task is None and (said := _text(message)):
            content.task = said[:200]
        for result in _results(message):
            result.position = index
            if result.call_id is not None:
                result.call = calls.get(result.call_id)
            elif unanswered:  # no ids: answers come in the order of the calls
                result.call = unanswered.pop(0)
            content.results.append(result)


def read_definitions(value: object) -> Definitions | None:
    """Tool definitions in any of the usual shapes, as name -> JSON Schema; None when there is nothing to read.

    Every model call of an agent tells them again, so those of the last few agents are remembered; do not change them.
    """
    return _known_definitions(value) if type(value) is str and len(value) <= KNOWN_CAP else _read_definitions(value)


def _read_definitions(value: object) -> Definitions | None:
    loaded = text.load(value)
    if not isinstance(loaded, (list, tuple)):
        return None
    declared: Definitions = {}
    for tool in loaded[:1_000]:
        tool = text.load(tool) if type(tool) is str and tool[:1] == "{" else tool
        if type(tool) is str:
            declared[tool] = None
        elif isinstance(tool, MAPPINGS):
            inner = tool.get("function")
            spec = inner if isinstance(inner, MAPPINGS) else tool
            name = text.name(spec.get("name"))
            schema = next((spec[key] for key in _SCHEMAS if spec.get(key)), None)
            if isinstance(schema, MAPPINGS) and isinstance(schema.get("json"), MAPPINGS):
                schema = schema["json"]  # Bedrock's wrapper
            if name is not None:
                declared[name] = schema if isinstance(schema, MAPPINGS) else None
    return declared or None


_known_definitions = lru_cache(maxsize=32)(_read_definitions)


def _as_message(item: object) -> Mapping[str, object] | None:
    """A message as it is; a Responses item as the message that it stands for, or None where it says nothing that we read."""
    if not isinstance(item, MAPPINGS):
        return None
    kind = item.get("type")
    if type(kind) is not str or "role" in item or "parts" in item or "content" in item:
        return item
    if kind in _CALL_ITEMS:
        free = {"input": item.get("input")} if kind == "custom_tool_call" else None  # its input is any text
        call = {"id": item.get("call_id"), "name": item.get("name"), "arguments": free or item.get("arguments")}
        return {"role": "assistant", "tool_calls": [call]}
    if kind in _OUTPUT_ITEMS:
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    return None if kind == "reasoning" or kind.endswith(("_call", "_output", "_reference")) else item


def _refusal(message: Mapping[str, object]) -> str | None:
    said = text.string(message.get("refusal"))
    return said or next((text.string(part.get("refusal")) for part in _parts(message) if part.get("type") == "refusal"), None)


def _calls(message: Mapping[str, object]) -> Iterator[ToolCall]:
    for part in _parts(message):
        if part.get("type") in _CALL_PARTS:
            yield _call(part.get("name"), part.get("id") or part.get("call_id"), part.get("arguments", part.get("input")))
    flat = message.get("tool_calls")
    for call in flat if isinstance(flat, (list, tuple)) else ():
        if isinstance(call, MAPPINGS):
            inner = call.get("function")
            spec = inner if isinstance(inner, MAPPINGS) else call
            yield _call(spec.get("name"), call.get("id"), spec.get("arguments", spec.get("args")))


def _call(name: object, call_id: object, arguments: object) -> ToolCall:
    said = text.plain(arguments)
    valid: bool | None = None
    if said is not None:
        valid = not said.strip() or isinstance(text.load(said), MAPPINGS) or len(said) > text.LOAD_CAP
        if isinstance(arguments, MAPPINGS) and "INVALID_JSON" in arguments:  # pydantic-ai's mark
            valid = False
        said = text.clip(said, ARGUMENTS_CAP)
    return ToolCall(text.name(name), text.name(call_id), said, valid)


def _results(message: Mapping[str, object]) -> Iterator[ToolResult]:
    for part in _parts(message):
        if part.get("type") in ("tool_call_response", "tool_result", "function_call_output"):
            keys = ("response", "result", "content", "output")
            found = next((part[key] for key in keys if part.get(key) is not None), None)
            yield _result(found, part.get("id") or part.get("tool_use_id") or part.get("call_id"), part.get("name"), part.get("is_error"))
    if message.get("role") in ("tool", "function", "tool-response"):
        call_id, name = message.get("tool_call_id"), message.get("name")
        if call_id or not any(True for _ in _parts(message)):
            yield _result(_text(message) or message.get("content"), call_id, name, message.get("is_error"))
        elif not any(part.get("type") in ("tool_call_response", "tool_result") for part in _parts(message)):
            yield _result(_text(message), None, name, None)


def _result(found: object, call_id: object, name: object, failed: object) -> ToolResult:
    if isinstance(found, (list, tuple)) and all(isinstance(p, MAPPINGS) and "text" in p for p in found):
        found = "\n".join(str(p["text"]) for p in found)
    said = text.plain(found) or ""
    return ToolResult(text.clip(said, RESULT_CAP), text.name(call_id), text.name(name), failed=failed if type(failed) is bool else None)


def _is_withheld(message: Mapping[str, object]) -> bool:
    """Say whether a message holds more than we see: text that was left out (content capture off), an image, a sound."""
    return any(
        part.get("type") not in _SEEN_PARTS or (part.get("type") in _TEXT_PARTS and "content" not in part and "text" not in part)
        for part in _parts(message)
    )


def _parts(message: Mapping[str, object]) -> Iterable[Mapping[str, object]]:
    for key in ("parts", "content"):
        parts = message.get(key)
        if isinstance(parts, (list, tuple)):
            return [part for part in parts if isinstance(part, MAPPINGS) and (part.get("type") is None or type(part["type"]) is str)]
    return []


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if type(content) is str:
        return content[:TEXT_CAP]
    said = []
    for part in _parts(message):
        if part.get("type") in _TEXT_PARTS:
            found = part.get("content", part.get("text"))
            if type(found) is str:
                said.append(found)
    return "\n".join(said)[:TEXT_CAP]
