"""OpenAI's JSON, as much of it as the demo needs: requests in, replies out, whole or as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage.demo.scenarios import Conversation, Reply, Tool

__all__ = ["completion", "completion_chunks", "error", "models", "read_conversation", "response"]

Json = dict[str, object]

CREATED: Final = 1_750_000_000  # one fixed moment: the server is deterministic
INPUT, OUTPUT, CACHED, REASONING = 120, 30, 64, 16
CHAT_USAGE: Final[Json] = {
    "prompt_tokens": INPUT,
    "completion_tokens": OUTPUT,
    "total_tokens": INPUT + OUTPUT,
    "prompt_tokens_details": {"cached_tokens": CACHED},
    "completion_tokens_details": {"reasoning_tokens": REASONING},
}
RESPONSE_USAGE: Final[Json] = {
    "input_tokens": INPUT,
    "output_tokens": OUTPUT,
    "total_tokens": INPUT + OUTPUT,
    "input_tokens_details": {"cached_tokens": CACHED},
    "output_tokens_details": {"reasoning_tokens": REASONING},
}
INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_WORDS = 4  # words in a streamed piece of text


def read_conversation(request: Mapping[str, object], number: int) -> Conversation:
    """What a chat or Responses request declares and holds; anything odd in it is passed over."""
    tools = []
    for declared in _mappings(request.get("tools")):
        inner = declared.get("function")
        spec = inner if isinstance(inner, Mapping) else declared
        name, schema = spec.get("name"), spec.get("parameters")
        if isinstance(name, str):
            tools.append(Tool(name, schema if isinstance(schema, Mapping) else {}))
    results: list[str] = []
    for message in _mappings(request.get("messages", request.get("input"))):
        if message.get("role") == "user":
            results.clear()
        elif message.get("role") == "tool":
            results.append(str(message.get("content")))
        elif message.get("type") == "function_call_output":
            results.append(str(message.get("output")))
    return Conversation(tuple(tools), tuple(results), number)


def completion(reply: Reply, *, model: str, number: int) -> Json:
    """A whole `chat.completion`."""
    message: Json = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    if reply.calls:
        message["tool_calls"] = _calls(reply, number)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    return {**_head("chat.completion", model, number), "choices": [choice], "usage": CHAT_USAGE}


def completion_chunks(reply: Reply, *, model: str, number: int, usage: bool) -> Iterator[Json]:
    """The same as `chat.completion.chunk`s; `usage` asks for the closing chunk that holds it."""
    head = _head("chat.completion.chunk", model, number)
    if usage:
        head["usage"] = None
    for delta in _deltas(reply, number):
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]}
    if usage:
        yield {**head, "choices": [], "usage": CHAT_USAGE}


def response(reply: Reply, *, model: str, number: int) -> Json:
    """A whole object of the Responses API."""
    output: list[Json] = []
    if reply.text is not None or reply.refusal is not None:
        part: Json = {"type": "output_text", "text": reply.text, "annotations": []}
        if reply.refusal is not None:
            part = {"type": "refusal", "refusal": reply.refusal}
        output.append({"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]})
    for index, call in enumerate(reply.calls):
        ids = {"id": f"fc_{number}_{index}", "call_id": _call_id(number, index)}
        output.append({"type": "function_call", **ids, "name": call.name, "arguments": call.arguments, "status": "completed"})
    reason = INCOMPLETE.get(reply.finish)
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "model": model,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "error": None,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE,
    }


def error(message: str, *, code: str | None, kind: str) -> Json:
    """The body of an HTTP error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def models(names: tuple[str, ...]) -> Json:
    """The list of models."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": CREATED, "owned_by": "spantriage"} for name in names]}


def _head(kind: str, model: str, number: int) -> Json:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED, "model": model, "system_fingerprint": "fp_demo"}


def _call_id(number: int, index: int) -> str:
    return f"call_{number}_{index}"


def _calls(reply: Reply, number: int) -> list[Json]:
    return [
        {"id": _call_id(number, index), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for index, call in enumerate(reply.calls)
    ]


def _deltas(reply: Reply, number: int) -> Iterator[Json]:
    yield {"role": "assistant", "content": None if reply.calls else "", "refusal": None}
    words = (reply.text or "").split(" ") if reply.text else []
    for start in range(0, len(words), _WORDS):
        piece = " ".join(words[start : start + _WORDS])
        yield {"content": piece if start + _WORDS >= len(words) else f"{piece} "}
    if reply.refusal is not None:
        yield {"refusal": reply.refusal}
    for index, call in enumerate(reply.calls):
        opening = {"index": index, "id": _call_id(number, index), "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [opening]}
        middle = len(call.arguments) // 2
        for piece in (call.arguments[:middle], call.arguments[middle:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
