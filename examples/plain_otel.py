"""An agent loop written by hand on the plain OpenTelemetry SDK, watched by spantriage.

Its weather tool fails and says so only in its text: no exception, span status OK, and the agent answers as if all were
well. `import spantriage.auto` is all it takes to see that. Needs no network; run it with `python examples/plain_otel.py`.
"""

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import spantriage.auto  # noqa: F401  # this line is the whole installation
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
provider, exporter = TracerProvider(), InMemorySpanExporter()  # yours would be an OTLP exporter
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("weather-app")
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"properties": {"city": {"type": "string"}}}}}
Message = dict[str, Any]


def get_weather(city: str) -> str:
    return f"Error: no weather for {city}, service unavailable (503)"  # an error that is only text


def chat(base_url: str, messages: list[Message]) -> Message:
    with tracer.start_as_current_span("chat ok", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "ok"}) as span:
        body = json.dumps({"model": "ok", "messages": messages, "tools": [TOOL]}).encode()
        with urllib.request.urlopen(f"{base_url}/chat/completions", body, timeout=10) as response:
            reply = json.load(response)
        message: Message = reply["choices"][0]["message"]
        span.set_attribute("gen_ai.response.finish_reasons", [reply["choices"][0]["finish_reason"]])
        span.set_attribute("gen_ai.usage.input_tokens", reply["usage"]["prompt_tokens"])
        span.set_attribute("gen_ai.usage.output_tokens", reply["usage"]["completion_tokens"])
        span.set_attribute("gen_ai.input.messages", json.dumps([genai(earlier) for earlier in messages]))
        span.set_attribute("gen_ai.output.messages", json.dumps([genai(message)]))
        return message


def genai(message: Message) -> Message:
    """A chat message in the shape of OpenTelemetry's GenAI conventions."""
    if message["role"] == "tool":
        return {"role": "tool", "parts": [{"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}]}
    said = [{"type": "text", "content": message["content"]}] if message["content"] else []
    calls = [{"type": "tool_call", "id": call["id"], **call["function"]} for call in message.get("tool_calls", [])]
    return {"role": message["role"], "parts": [*said, *calls]}


def execute(call: Message) -> Message:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name, "gen_ai.tool.call.id": call["id"]}
    with tracer.start_as_current_span(f"execute_tool {name}", attributes=attributes) as span:
        result = get_weather(**json.loads(arguments))
        span.set_attributes({"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": result})
        return {"role": "tool", "tool_call_id": call["id"], "content": result}


agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "weather"}
with ModelServer() as server, tracer.start_as_current_span("invoke_agent weather", attributes=agent) as root:
    messages: list[Message] = [{"role": "user", "content": "Do I need an umbrella in Paris?"}]
    while (message := chat(server.base_url, messages)).get("tool_calls"):
        messages += [message, *(execute(call) for call in message["tool_calls"])]
print("The agent says:", message["content"])

provider.force_flush()  # in a program that goes on, findings arrive by themselves
lines = map(json.loads, Path(".spantriage/findings.jsonl").read_text().splitlines())
ours = {line["finding_id"]: line for line in lines if int(line["trace_id"], 16) == root.get_span_context().trace_id}
for finding in ours.values():  # of a finding that was amended, the last line counts
    print(f"Found: {finding['code']} at {finding['agent']} ({finding['severity']}): {finding['summary']}")
exported = next(attributes for span in exporter.get_finished_spans() if "triage.codes" in (attributes := span.attributes or {}))
print("Exported:", {key: value for key, value in exported.items() if key.startswith(("triage.", "gen_ai.tool.name"))})
