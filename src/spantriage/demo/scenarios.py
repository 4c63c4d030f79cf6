"""What the demo's models reply: one scenario for each model name, most of them a way to fail.

A reply follows from the conversation that was sent and from nothing else, so that agents that talk to the server at
the same time do not disturb each other. `flaky` alone counts its requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["SCENARIOS", "Call", "Conversation", "Reply", "Tool", "plausible"]

PATIENCE: Final = 12  # tool results after which `loop` and `poll` give up
ANSWER: Final = "I have checked it for you: everything is fine, and nothing more needs to be done."
REFUSAL: Final = "I'm sorry, but I can't help with that."
MISSING_TOOL: Final = "search_archive"
FINAL_TOOL: Final = "final_answer"  # where it is declared, an agent's answer is a call of it

# Arguments by the name of a parameter, then by its type.
BY_NAME: Final[dict[str, str]] = {
    "article": "M4 bolts",
    "city": "Paris",
    "location": "Paris",
    "query": "opening hours",
    "path": "notes.txt",
    "url": "https://example.org",
}
BY_TYPE: Final[dict[str, object]] = {
    "string": "example",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the request declared."""

    name: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request, as far as a scenario looks at it."""

    tools: tuple[Tool, ...] = ()
    results: tuple[str, ...] = ()  # tool results since the last user message
    number: int = 1  # which request of this model it is, from 1


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model asks for; `arguments` is JSON, or not quite."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says, or the HTTP error that comes instead."""

    text: str | None = None
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    refusal: str | None = None
    status: int = 200
    error: str | None = None
    code: str | None = None
    slow: bool = False  # answered after the server's delay
    dropped: bool = False  # the connection closes in the middle


def plausible(tool: Tool) -> str:
    """Arguments that fit the tool's schema, as JSON; always the same."""
    properties = tool.schema.get("properties")
    if not isinstance(properties, Mapping):
        return "{}"
    return json.dumps({str(name): _value(str(name), spec) for name, spec in properties.items()})


def _value(name: str, spec: object) -> object:
    if not isinstance(spec, Mapping):
        return BY_NAME.get(name, "example")
    choices = spec.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    if "default" in spec:
        return spec["default"]
    kind = spec.get("type", "string")
    return BY_NAME.get(name, "example") if kind == "string" else BY_TYPE.get(str(kind))


def _ask(*calls: Call) -> Reply:
    return Reply(calls=calls, finish="tool_calls")


def _answer(conversation: Conversation) -> Reply:
    """Say that all is well, in words or by the tool that is there for it."""
    if any(tool.name == FINAL_TOOL for tool in conversation.tools):
        return _ask(Call(FINAL_TOOL, json.dumps({"answer": ANSWER})))
    return Reply(ANSWER)


def _once(wanted: Callable[[Tool], tuple[Call, ...]]) -> Callable[[Conversation], Reply]:
    """Ask for something of the first declared tool, then answer; without tools, answer at once."""

    def reply(conversation: Conversation) -> Reply:
        if conversation.results or not conversation.tools:
            return _answer(conversation)
        return _ask(*wanted(conversation.tools[0]))

    return reply


def _always(reply: Reply) -> Callable[[Conversation], Reply]:
    return lambda _: reply


def _loop(conversation: Conversation) -> Reply:
    if len(conversation.results) >= PATIENCE or not conversation.tools:
        return _answer(conversation)
    tool = conversation.tools[0]
    return _ask(Call(tool.name, plausible(tool)))


def _parallel(conversation: Conversation) -> Reply:
    if conversation.results or not conversation.tools:
        return Reply(ANSWER)
    first, second = conversation.tools[0], conversation.tools[-1]
    return _ask(Call(first.name, plausible(first)), Call(second.name, plausible(second).replace("Paris", "Oslo")))


def _poll(conversation: Conversation) -> Reply:
    tools = conversation.tools
    if len(conversation.results) >= PATIENCE or not tools or any("done" in result.lower() for result in conversation.results):
        return Reply(ANSWER)
    tool = next((tool for tool in tools if "status" in tool.name), tools[0])
    return _ask(Call(tool.name, plausible(tool)))


def _flaky(conversation: Conversation) -> Reply:
    return HTTP_500 if conversation.number == 1 else OK(conversation)


OK: Final = _once(lambda tool: (Call(tool.name, plausible(tool)),))
HTTP_500: Final = Reply(status=500, error="The server had an error while processing your request.", code="server_error")
HTTP_429: Final = Reply(status=429, error="Rate limit reached: limit 3, used 3. Please try again later.", code="rate_limit_exceeded")
HTTP_401: Final = Reply(status=401, error="Incorrect API key provided.", code="invalid_api_key")

SCENARIOS: Final[dict[str, Callable[[Conversation], Reply]]] = {
    "ok": OK,
    "textonly": _always(Reply(ANSWER)),
    "loop": _loop,
    "unknowntool": _once(lambda _: (Call(MISSING_TOOL, '{"query": "opening hours"}'),)),
    "badjson": _once(lambda tool: (Call(tool.name, plausible(tool).rstrip("}")[:-1] or "{"),)),
    "wrongargs": _once(lambda tool: (Call(tool.name, '{"unexpected": [1, 2]}'),)),
    "length": _always(Reply("The report has three parts. The first part is about the", finish="length")),
    "empty": _always(Reply("")),
    "filter": _always(Reply("", finish="content_filter")),
    "refusal": _always(Reply(refusal=REFUSAL)),
    "http429": _always(HTTP_429),
    "http500": _always(HTTP_500),
    "http401": _always(HTTP_401),
    "slow": _always(Reply(ANSWER, slow=True)),
    "drop": _always(Reply(ANSWER, dropped=True)),
    "parallel": _parallel,
    "poll": _poll,
    "flaky": _flaky,
}  # fmt: skip
