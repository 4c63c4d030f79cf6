"""Two agents of the OpenAI Agents SDK, through OpenInference: one repeats a call, the other asks for a tool that does not exist.

The SDK ends the second with an exception, but no span says that its run failed. Needs the framework and its instrumentation,

    pip install spantriage openai-agents openinference-instrumentation-openai-agents

(from a checkout `pip install . --group fw-openai-agents`), but no network and no key; run it with

    python examples/openai_agents.py
"""

import asyncio
import os

from agents import Agent, AgentsException, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
provider = TracerProvider()  # yours would export
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
triage = spantriage.attach(provider=provider)
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))  # what comes later under an id replaces it


@function_tool
def read_stock(article: str) -> str:
    """How much of an article there is."""
    return f"41 boxes of {article}"


@function_tool
def search_web(query: str) -> str:
    """Pages on a subject."""
    return f"2 pages on {query}"


async def main(base_url: str) -> None:
    client = AsyncOpenAI(base_url=base_url, api_key="none")
    # The offline server plays a scenario for each model name.
    keeper = Agent(name="stock-keeper", model=OpenAIChatCompletionsModel("loop", client), tools=[read_stock])
    archivist = Agent(name="archivist", model=OpenAIChatCompletionsModel("unknowntool", client), tools=[search_web])
    for agent, question in ((keeper, "Are there enough bolts?"), (archivist, "Find last year's minutes.")):
        try:
            print(f"{agent.name} says: {(await Runner.run(agent, question, max_turns=20)).final_output}")
        except AgentsException as error:
            print(f"{agent.name} raises: {error}")


with ModelServer() as server:
    asyncio.run(main(server.base_url))
triage.flush(timeout_s=5)  # in a program that goes on, findings arrive by themselves
print("\nFound:")
for finding in findings.values():
    print(f"  {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
