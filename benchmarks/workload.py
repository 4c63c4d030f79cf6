"""What the benchmarks run: spans as real instrumentations write them, some attributes at the start, the rest before the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Status, StatusCode, Tracer

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue

    Attributes = dict[str, AnyValue]

__all__ = ["FAILING", "GENAI", "INSIDE", "LONG", "OTHER", "Workload"]

WORDS: Final = "The forecast for the coming days shows mild weather with light wind from the west and little chance of rain. "
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Final = json.dumps(
    [
        {"type": "function", "name": name, "description": WORDS, "parameters": SCHEMA}
        for name in ("get_weather", "get_forecast", "get_warnings")
    ]
)
SYSTEM: Final = {"role": "system", "parts": [{"type": "text", "content": WORDS * 6}]}
ASKED: Final = {"role": "user", "parts": [{"type": "text", "content": WORDS * 3}]}
CALL: Final = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}
WANTS: Final = {"role": "assistant", "parts": [CALL], "finish_reason": "tool_call"}
RESULT: Final = json.dumps({"city": "Paris", "report": WORDS * 10})  # about 1 KB
TOLD: Final = {"role": "user", "parts": [{"type": "tool_call_response", "id": "call_1", "name": "get_weather", "response": RESULT}]}
REPLY: Final = {"role": "assistant", "parts": [{"type": "text", "content": WORDS * 10}], "finish_reason": "stop"}

AGENT: Final[Attributes] = {
    "gen_ai.agent.name": "forecaster",
    "gen_ai.agent.id": "a-17",
    "gen_ai.conversation.id": "c-1",
    "server.address": "127.0.0.1",
    "server.port": 443,
}
CHAT: Final[Attributes] = {
    "gen_ai.operation.name": "chat",
    **AGENT,
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-x",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.tool.definitions": TOOLS,
}
TOOL: Final[Attributes] = {
    "gen_ai.operation.name": "execute_tool",
    **AGENT,
    "gen_ai.tool.name": "get_weather",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.id": "call_1",
    "gen_ai.tool.call.arguments": '{"city": "Paris"}',
}
INVOKE: Final[Attributes] = {
    "gen_ai.operation.name": "invoke_agent",
    **AGENT,
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-x",
}
ASKS_FOR: Final[Attributes] = {
    "http.request.method": "GET",
    "http.route": "/v1/cities/{city}/weather",
    "url.full": "https://weather.example/v1/cities/paris/weather?units=metric",
    "url.path": "/v1/cities/paris/weather",
    "url.query": "units=metric",
    "url.scheme": "https",
    "server.address": "weather.example",
    "server.port": 443,
    "client.address": "10.0.0.7",
    "client.port": 51234,
    "user_agent.original": "python-httpx/0.28",
}
GETS: Final[Attributes] = {
    "http.response.status_code": 200,
    "http.response.body.size": 1024,
    "network.peer.address": "10.0.0.9",
    "network.protocol.version": "1.1",
}


def nothing(tracer: Tracer) -> AbstractContextManager[object]:
    """Nothing need be open around it."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Workload:
    """Something to repeat, and what must be open around it; only what is repeated is measured."""

    name: str
    spans: int  # of one repetition
    act: Callable[[Tracer], None]
    around: Callable[[Tracer], AbstractContextManager[object]] = nothing


def chat(tracer: Tracer, history: str, reply: str, finish: str) -> None:
    """A model call with its messages."""
    with tracer.start_as_current_span("chat gpt-x", attributes=CHAT) as span:
        span.set_attributes(
            {
                "gen_ai.input.messages": history,
                "gen_ai.output.messages": reply,
                "gen_ai.usage.input_tokens": 820,
                "gen_ai.usage.output_tokens": 96,
                "gen_ai.response.model": "gpt-x-2026",
                "gen_ai.response.id": "chatcmpl-1",
                "gen_ai.response.finish_reasons": [finish],
            }
        )


def tool(tracer: Tracer) -> None:
    """A tool call with its result."""
    with tracer.start_as_current_span("execute_tool get_weather", attributes=TOOL) as span:
        span.set_attribute("gen_ai.tool.call.result", RESULT)


FIRST: Final = json.dumps([SYSTEM, ASKED])
SECOND: Final = json.dumps([SYSTEM, ASKED, WANTS, TOLD])
ASKS: Final = json.dumps([WANTS])
ANSWERS: Final = json.dumps([REPLY])


def run_agent(tracer: Tracer) -> None:
    """A run of an agent: it asks for a tool, the tool answers, it answers."""
    with tracer.start_as_current_span("invoke_agent forecaster", attributes=INVOKE) as span:
        chat(tracer, FIRST, ASKS, "tool_call")
        tool(tracer)
        chat(tracer, SECOND, ANSWERS, "stop")
        span.set_attributes({"gen_ai.usage.input_tokens": 1640, "gen_ai.usage.output_tokens": 192, "gen_ai.output.messages": ANSWERS})


def run_failing(tracer: Tracer) -> None:
    """A run in which every span fails, each in its own way, and so each is given a verdict."""
    failures = (
        ("chat gpt-x", CHAT, "RateLimitError", "Rate limit reached for gpt-x"),
        ("execute_tool get_weather", TOOL, "ValueError", "no such city"),
        ("chat gpt-x", CHAT, "APITimeoutError", "Request timed out."),
    )
    with tracer.start_as_current_span("invoke_agent forecaster", attributes=INVOKE) as agent:
        for name, attributes, kind, message in failures:
            with tracer.start_as_current_span(name, attributes=attributes) as span:
                span.set_attribute("error.type", kind)
                span.set_status(Status(StatusCode.ERROR, message))
        agent.set_attribute("error.type", "KeyError")
        agent.set_status(Status(StatusCode.ERROR, "'answer'"))


def request(tracer: Tracer) -> None:
    """A span that is none of an agent's, with fifteen attributes."""
    with tracer.start_as_current_span("GET", attributes=ASKS_FOR) as span:
        span.set_attributes(GETS)


def turn(tracer: Tracer) -> None:
    """Two spans below an agent that is at work for long: a model call, and the tool call that it asked for."""
    chat(tracer, FIRST, ASKS, "tool_call")
    tool(tracer)


@contextmanager
def agents_trace(tracer: Tracer) -> Iterator[None]:
    """An agent at work, known as one by the call that it has made."""
    with tracer.start_as_current_span("invoke_agent forecaster", attributes=INVOKE):
        chat(tracer, FIRST, ASKS, "tool_call")
        yield


OTHER: Final = Workload("other spans, alone", 1, request)
INSIDE: Final = Workload("other spans, in an agent's trace", 1, request, agents_trace)
GENAI: Final = Workload("agents' spans", 4, run_agent)
FAILING: Final = Workload("agents' spans, all failing", 4, run_failing)
LONG: Final = Workload("one long run", 2, turn, agents_trace)
