"""Six agents at the same time in one trace, three of them failing: each failure is found at the agent that had it.

Plain OpenTelemetry and asyncio; `Triage.status()` holds each agent's reliability record. Needs no network; run it with
`python examples/concurrent_agents.py`.
"""

import asyncio
import json
import os
import urllib.request
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
provider = TracerProvider()
tracer = provider.get_tracer("six-agents")
# The scenario that the offline model server plays for each agent, and what the agent's only tool returns.
AGENTS = {
    "librarian": ("ok", "opens at 9:00"),
    "porter": ("poll", "done"),
    "guide": ("ok", "3 tours today"),
    "weather": ("ok", "Error: weather service unavailable (503)"),
    "stock-keeper": ("loop", "41 boxes"),
    "translator": ("http429", "never called"),
}


def span(operation: str, name: str, **attributes: str) -> AbstractContextManager[Span]:
    """A span with attributes of OpenTelemetry's GenAI conventions."""
    given = {f"gen_ai.{key.replace('_', '.')}": value for key, value in attributes.items()}
    return tracer.start_as_current_span(f"{operation} {name}", attributes={"gen_ai.operation.name": operation, **given})


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/chat/completions", json.dumps(body).encode(), timeout=10) as response:
        choice: dict[str, Any] = json.load(response)["choices"][0]
        return choice


async def work(agent: str, model: str, result: str, url: str) -> None:
    tool = {"name": f"ask_{agent}", "parameters": {"properties": {"query": {"type": "string"}}}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Please help."}]
    with span("invoke_agent", agent, agent_name=agent):
        while True:
            with span("chat", model, request_model=model) as current:
                body = {"model": model, "messages": messages, "tools": [{"type": "function", "function": tool}]}
                choice = await asyncio.to_thread(ask, url, body)
                message = choice["message"]
                calls = [{"type": "tool_call", "id": call["id"], **call["function"]} for call in message.get("tool_calls", [])]
                parts = calls or [{"type": "text", "content": message["content"]}]
                current.set_attribute("gen_ai.output.messages", json.dumps([{"role": "assistant", "parts": parts}]))
                current.set_attribute("gen_ai.response.finish_reasons", [choice["finish_reason"]])
            if not calls:
                return
            messages.append(message)
            for call in calls:
                name, arguments = call["name"], call["arguments"]
                with span("execute_tool", name, tool_name=name, tool_call_arguments=arguments, tool_call_result=result):
                    messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


async def main(url: str) -> None:
    with span("invoke_workflow", "six agents"):
        jobs = [work(agent, model, result, url) for agent, (model, result) in AGENTS.items()]
        await asyncio.gather(*jobs, return_exceptions=True)


triage = spantriage.attach(provider=provider, sinks=[])
with ModelServer() as server:
    asyncio.run(main(server.base_url))
triage.flush(timeout_s=5)  # do not wait for late spans
for agent in AGENTS:
    record = triage.status()["agents"][agent]
    print(f"{agent:13} {record['outcome']:6} {record['model_calls']:2} model calls, found: {', '.join(record['findings']) or 'nothing'}")
