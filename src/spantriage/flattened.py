"""Messages spread over numbered attributes, as older instrumentations wrote them, put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from spantriage import text
from spantriage.history import History, Tail
from spantriage.messages import read_definitions, read_reply, read_tail
from spantriage.model import Content

__all__ = ["is_number", "read_flattened", "tail_of"]

PROMPTS: Final = ("gen_ai.prompt.", "llm.prompts.")
COMPLETIONS: Final = ("gen_ai.completion.", "llm.completions.")
FUNCTIONS: Final = "llm.request.functions."
FIRST: Final = (
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.role",
    "gen_ai.completion.0.content",
    "llm.prompts.0.role",
)


def read_flattened(content: Content, attributes: Mapping[str, object], history: History) -> str | None:
    """Read `gen_ai.prompt.N.*`, `gen_ai.completion.N.*` and tool definitions; returns the finish reason, if one is there."""
    prompt: dict[int, object] = {}
    reply: dict[int, object] = {}
    tools: dict[int, object] = {}
    for key, value in attributes.items():
        if key.startswith(PROMPTS):
            _place(prompt, key.removeprefix(PROMPTS[0]).removeprefix(PROMPTS[1]), value)
        elif key.startswith(COMPLETIONS):
            _place(reply, key.removeprefix(COMPLETIONS[0]).removeprefix(COMPLETIONS[1]), value)
        elif key.startswith(FUNCTIONS):
            _place(tools, key[len(FUNCTIONS) :], value)
    if tools and content.declared is None:
        content.declared = read_definitions([tools[i] for i in sorted(tools)])
    if prompt:
        content.captured = True
        read_tail(content, tail_of(prompt, history))
    return read_reply(content, [reply[i] for i in sorted(reply)]) if reply else None


def is_number(text: str) -> bool:
    """Say whether a part of an attribute's name is the number of a message."""
    return text.isascii() and text.isdecimal() and len(text) <= 6


def tail_of(prompt: Mapping[int, object], history: History) -> Tail:
    """The messages that the call before had not: a history only ever grows at its end."""
    order = sorted(prompt)
    start = history.grown(repr([prompt[i] for i in order[:2]])[:1_000], len(order))
    return Tail([prompt[i] for i in order[start:]], start)


def _place(messages: dict[int, object], path: str, value: object) -> None:
    """Put one attribute where it belongs: `3.content`, `3.tool_calls.0.arguments`, `3.function_call.name`."""
    number, _, rest = path.partition(".")
    if not rest or not is_number(number):
        return
    message = messages.setdefault(int(number), {})
    assert isinstance(message, dict)
    head, _, tail = rest.partition(".")
    if head not in ("tool_calls", "function_call"):
        message[rest] = _parsed(rest, value)
        return
    index, _, field = tail.partition(".") if head == "tool_calls" else ("", "", tail)
    calls = message.setdefault("_calls", {})
    calls.setdefault(index, {})[field.removeprefix("function.")] = value
    message["tool_calls"] = list(calls.values())


def _parsed(field: str, value: object) -> object:
    """Message parts and schemas were written as JSON; a plain text that looks like JSON stays text."""
    if type(value) is not str or (field == "content" and not value.startswith('[{"')):
        return value
    loaded = text.load(value) if field in ("content", "parameters") else None
    return loaded if isinstance(loaded, (Mapping, Sequence)) and not isinstance(loaded, str) else value
