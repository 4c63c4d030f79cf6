"""An agent that pauses itself when its budget is used up: before each turn its loop asks `triage.should_stop`.

Its model asks for the same tool over and over. Nothing is raised into the agent; it keeps its messages, and could go on
from them once somebody has looked. Needs no network; run it with `python examples/budget_guard.py`.
"""

import json
import os
import urllib.request
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
provider = TracerProvider()
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("stock-app")
TOOL = {"type": "function", "function": {"name": "read_stock", "parameters": {"properties": {"article": {"type": "string"}}}}}
AGENT = "stock-keeper"
Message = dict[str, Any]

triage = spantriage.attach(provider=provider, sinks=[])
triage.budget(
    usd=0.50,
    tokens=200_000,
    repeats=4,  # the same call four times in a row, with the same result
    wall_s=60,
    on_exceeded=lambda agent, what, used, limit: print(f"Budget: {agent} has used {used:g} of {limit:g} {what}"),
)
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))


def chat(base_url: str, messages: list[Message]) -> Message:
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.agent.name": AGENT, "gen_ai.request.model": "loop"}
    with tracer.start_as_current_span("chat loop", attributes=attributes) as span:
        body = json.dumps({"model": "loop", "messages": messages, "tools": [TOOL]}).encode()
        with urllib.request.urlopen(f"{base_url}/chat/completions", body, timeout=10) as response:
            reply = json.load(response)
        span.set_attribute("gen_ai.usage.input_tokens", reply["usage"]["prompt_tokens"])
        span.set_attribute("gen_ai.usage.output_tokens", reply["usage"]["completion_tokens"])
        message: Message = reply["choices"][0]["message"]
        return message


def execute(call: Message) -> Message:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": AGENT, "gen_ai.tool.name": name}
    with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes) as span:
        result = f"41 boxes of {json.loads(arguments)['article']}"
        span.set_attributes({"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": result})
        return {"role": "tool", "tool_call_id": call["id"], "content": result}


def work(base_url: str, messages: list[Message]) -> str:
    """The agent's own loop; ends with an answer, or as soon as a budget is used up."""
    while not triage.should_stop(AGENT):
        message = chat(base_url, messages)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        messages += [execute(call) for call in message["tool_calls"]]
    return f"paused after {sum(message['role'] == 'assistant' for message in messages)} turns"


attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": AGENT}
with ModelServer() as server, tracer.start_as_current_span(f"invoke_agent {AGENT}", attributes=attributes):
    answer = work(server.base_url, [{"role": "user", "content": "Are there enough bolts?"}])
    print(f"The agent says: {answer}")

triage.flush()  # in a program that goes on, findings and callbacks arrive by themselves
for finding in (finding for finding in findings.values() if finding.severity != "info"):
    print(f"Found: {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
