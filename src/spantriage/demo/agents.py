"""Six small agents for `spantriage demo`: one is healthy, five fail, each in a way that no exception report would show
or explain. Written by hand on plain OpenTelemetry spans with the GenAI conventions' attributes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

    from spantriage.demo.server import ModelServer

__all__ = ["AGENTS", "DemoAgent", "ModelError", "run_agents"]

Message = dict[str, Any]

MAX_TURNS: Final = 20
TIMEOUT_S: Final = 10.0


class ModelError(Exception):
    """The model server did not answer with a reply."""


@dataclass(frozen=True, slots=True)
class DemoAgent:
    """An agent with one tool; `model` names the scenario that the server plays for it."""

    name: str
    model: str
    question: str
    tool: str
    parameter: str
    run_tool: Callable[[str], str]


AGENTS: Final = (
    DemoAgent(
        "researcher", "ok", "When does the library open?", "search_library", "query", lambda query: f"2 pages on {query}: opens 9:00"
    ),
    DemoAgent("weather", "ok", "Do I need an umbrella?", "get_weather", "city", lambda _: "Error: weather service unavailable (503)"),
    DemoAgent("stock-keeper", "loop", "Are there enough bolts?", "read_stock", "article", lambda _: "41 boxes left"),
    DemoAgent("archivist", "unknowntool", "Find last year's minutes.", "search_web", "query", lambda _: "no page found"),
    DemoAgent("writer", "length", "Write the quarterly report.", "save_draft", "path", lambda _: "saved"),
    DemoAgent("translator", "http429", "Translate the manual.", "look_up", "query", lambda _: "found"),
)


def run_agents(server: ModelServer, tracer: Tracer, *, pace_s: float = 0.12) -> None:
    """Run all of `AGENTS` at the same time, each in a trace of its own; takes about two seconds.

    `pace_s` is how long each tool works. Starts an event loop, so it cannot be called from inside one.
    """
    asyncio.run(_run_all(server, tracer, pace_s))


async def _run_all(server: ModelServer, tracer: Tracer, pace_s: float) -> None:
    ends = await asyncio.gather(*(_run(agent, server, tracer, pace_s) for agent in AGENTS), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, ModelError):
            raise end


async def _run(agent: DemoAgent, server: ModelServer, tracer: Tracer, pace_s: float) -> None:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent.name, "gen_ai.provider.name": "openai"}
    with tracer.start_as_current_span(f"invoke_agent {agent.name}", attributes=attributes) as span:
        messages: list[Message] = [{"role": "user", "content": agent.question}]
        for _ in range(MAX_TURNS):
            message, finish = await _chat(agent, server, tracer, messages)
            messages.append(message)
            calls = message.get("tool_calls") or []
            if not calls:
                span.set_attribute("gen_ai.output.messages", json.dumps([_described(message, finish)]))
                return
            messages += [await _execute(agent, tracer, call, pace_s) for call in calls]


async def _chat(agent: DemoAgent, server: ModelServer, tracer: Tracer, messages: list[Message]) -> tuple[Message, str]:
    schema = {"type": "object", "properties": {agent.parameter: {"type": "string"}}, "required": [agent.parameter]}
    definition = {"name": agent.tool, "description": f"Calls {agent.tool}.", "parameters": schema}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": agent.model,
        "gen_ai.input.messages": json.dumps([_described(message) for message in messages]),
        "gen_ai.tool.definitions": json.dumps([{"type": "function", **definition}]),
    }
    with tracer.start_as_current_span(f"chat {agent.model}", attributes=attributes) as span:
        request = {"model": agent.model, "messages": messages, "tools": [{"type": "function", "function": definition}]}
        body = await asyncio.to_thread(_post, server.base_url, request)
        choice = body["choices"][0]
        _describe_reply(span, body)
        message: Message = choice["message"]
        return message, choice["finish_reason"]


async def _execute(agent: DemoAgent, tracer: Tracer, call: Message, pace_s: float) -> Message:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": call["id"],
        "gen_ai.tool.call.arguments": arguments,
    }
    with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes) as span:
        await asyncio.sleep(pace_s)  # the tool at work
        if name == agent.tool:
            result = agent.run_tool(json.loads(arguments)[agent.parameter])
        else:
            result = f"Unknown tool {name!r}. Available tools: {agent.tool}"
        span.set_attribute("gen_ai.tool.call.result", result)
    return {"role": "tool", "tool_call_id": call["id"], "content": result}


def _describe_reply(span: Span, body: Message) -> None:
    choice, usage = body["choices"][0], body["usage"]
    span.set_attributes(
        {
            "gen_ai.response.model": body["model"],
            "gen_ai.response.id": body["id"],
            "gen_ai.response.finish_reasons": [choice["finish_reason"]],
            "gen_ai.usage.input_tokens": usage["prompt_tokens"],
            "gen_ai.usage.output_tokens": usage["completion_tokens"],
            "gen_ai.usage.cache_read.input_tokens": usage["prompt_tokens_details"]["cached_tokens"],
            "gen_ai.output.messages": json.dumps([_described(choice["message"], choice["finish_reason"])]),
        }
    )


def _described(message: Message, finish: str | None = None) -> Message:
    """A chat message in the shape of the GenAI conventions."""
    parts: list[Message] = []
    if message["role"] == "tool":
        parts.append({"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]})
    elif message["content"]:
        parts.append({"type": "text", "content": message["content"]})
    parts += [{"type": "tool_call", "id": call["id"], **call["function"]} for call in message.get("tool_calls") or []]
    described: Message = {"role": message["role"], "parts": parts}
    return described if finish is None else {**described, "finish_reason": finish}


def _post(base_url: str, request: Message) -> Message:
    host, _, path = base_url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        connection.request("POST", f"/{path}/chat/completions", json.dumps(request), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        body: Message = json.loads(reply.read())
    finally:
        connection.close()
    if reply.status != 200:
        raise ModelError(f"{reply.status} {reply.reason}: {body['error']['message']}")
    return body
