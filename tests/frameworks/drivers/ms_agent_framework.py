"""Microsoft's Agent Framework with its own instrumentation."""

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from scene import KEY, NAME, PROMPT, QUESTION, Scene, plain_provider, play


async def run(scene: Scene) -> object:
    client = OpenAIChatCompletionClient(model=scene.model, base_url=scene.base_url, api_key=KEY)
    return (await Agent(client=client, name=NAME, instructions=PROMPT, tools=[scene.get_weather]).run(QUESTION)).text


def own() -> object:
    from agent_framework.observability import enable_instrumentation

    provider = plain_provider()
    enable_instrumentation(enable_sensitive_data=True)
    return provider


play(run, {"own": own})
