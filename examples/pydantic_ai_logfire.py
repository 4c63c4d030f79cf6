"""Three pydantic-ai agents under Logfire, each failing in a way that raises nothing.

One has a tool that returns its error as text, one asks for a tool that does not exist, one repeats the same call.
Needs `pip install spantriage[logfire] pydantic-ai-slim[openai]`, but no network and no key; run it with

    python examples/pydantic_ai_logfire.py
"""

import os

import logfire
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
logfire.configure(send_to_logfire=False, console=False)  # yours would send
logfire.instrument_pydantic_ai()
triage = spantriage.attach()  # `import spantriage.auto` does the same
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))  # what comes later under an id replaces it


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Error: no weather for {city}, service unavailable (503)"  # an error that is only text


def search_web(query: str) -> str:
    """Pages on a subject."""
    return f"2 pages on {query}"


def read_stock(article: str) -> str:
    """How much of an article there is."""
    return f"41 boxes of {article}"


# The offline server plays a scenario for each model name: "ok" works, the others misbehave as they are called.
AGENTS = {
    "weather": ("ok", get_weather, "Do I need an umbrella in Paris?"),
    "archivist": ("unknowntool", search_web, "Find last year's minutes."),
    "stock-keeper": ("loop", read_stock, "Are there enough bolts?"),
}

with ModelServer() as server:
    for name, (model, tool, question) in AGENTS.items():
        provider = OpenAIProvider(base_url=server.base_url, api_key="none")
        agent = Agent(OpenAIChatModel(model, provider=provider), name=name, tools=[tool])
        print(f"{name} says: {agent.run_sync(question).output}")

triage.flush(timeout_s=5)  # in a program that goes on, findings arrive by themselves
print("\nAll went well, it seems. Found:")
for finding in findings.values():
    print(f"  {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
