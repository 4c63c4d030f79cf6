"""Two Strands agents with Strands' own instrumentation: one keeps asking for what it knows, the other trusts a broken tool.

Neither raises anything. Needs the framework,

    pip install spantriage strands-agents[openai,otel]

(from a checkout `pip install . --group fw-strands`), but no network and no key; run it with

    python examples/strands_agent.py
"""

import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from strands import Agent, tool
from strands.models.openai import OpenAIModel

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
trace.set_tracer_provider(TracerProvider())  # yours would export
triage = spantriage.attach()  # `import spantriage.auto` does the same
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))  # what comes later under an id replaces it


@tool
def read_stock(article: str) -> str:
    """How much of an article there is."""
    return f"41 boxes of {article}"


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Error: no weather for {city}, service unavailable (503)"  # an error that is only text


# The offline server plays a scenario for each model name.
AGENTS = {
    "stock-keeper": ("loop", read_stock, "Are there enough bolts?"),
    "weather": ("ok", get_weather, "Do I need an umbrella in Paris?"),
}

with ModelServer() as server:
    for name, (scenario, tool_of_agent, question) in AGENTS.items():
        model = OpenAIModel(client_args={"base_url": server.base_url, "api_key": "none"}, model_id=scenario)
        agent = Agent(model=model, name=name, tools=[tool_of_agent], callback_handler=None)
        print(f"{name} says: {agent(question)}".strip())

triage.flush(timeout_s=5)  # in a program that goes on, findings arrive by themselves
print("\nFound:")
for finding in findings.values():
    print(f"  {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
