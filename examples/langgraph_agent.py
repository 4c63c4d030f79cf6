"""Two LangGraph agents, through OpenInference, that end without an error: one answers nothing at all, the other a fragment.

The first asked for a tool with arguments that are no JSON: LangChain drops such a call, and the graph ends as if the
empty message were the answer. The second ran into the token limit. Needs the framework and its instrumentation,

    pip install spantriage langchain langchain-openai openinference-instrumentation-langchain

(from a checkout `pip install . --group fw-langgraph`), but no network and no key; run it with

    python examples/langgraph_agent.py
"""

import os

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
provider = TracerProvider()  # yours would export
LangChainInstrumentor().instrument(tracer_provider=provider)
triage = spantriage.attach(provider=provider)
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))  # what comes later under an id replaces it


@tool
def book_room(city: str) -> str:
    """Book a room in a city."""
    return f"Booked in {city}"


# The offline server plays a scenario for each model name.
AGENTS = {"booker": ("badjson", "Book a room in Paris."), "writer": ("length", "Write the report on the journey.")}

with ModelServer() as server:
    for name, (scenario, question) in AGENTS.items():
        model = ChatOpenAI(model=scenario, base_url=server.base_url, api_key="none")
        agent = create_agent(model, [book_room], name=name)
        answer = agent.invoke({"messages": [{"role": "user", "content": question}]})["messages"][-1].content
        print(f"{name} says: {answer!r}")

triage.flush(timeout_s=5)  # in a program that goes on, findings arrive by themselves
print("\nFound:")
for finding in findings.values():
    print(f"  {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
