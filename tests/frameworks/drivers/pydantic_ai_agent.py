"""pydantic-ai with its own instrumentation, under Logfire and on the plain SDK."""

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from scene import KEY, NAME, PROMPT, QUESTION, Scene, plain_provider, play, under_logfire


def run(scene: Scene) -> object:
    model = OpenAIChatModel(scene.model, provider=OpenAIProvider(base_url=scene.base_url, api_key=KEY))
    return Agent(model, name=NAME, instructions=PROMPT, tools=[scene.get_weather]).run_sync(QUESTION).output


def native() -> object:
    provider = plain_provider()
    Agent.instrument_all()
    return provider


play(run, {"logfire": under_logfire("pydantic_ai"), "own": native})
