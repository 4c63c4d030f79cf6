"""AutoGen's AssistantAgent with its own instrumentation."""

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from scene import KEY, NAME, PROMPT, QUESTION, Scene, plain_provider, play

ABLE = {"vision": False, "function_calling": True, "json_output": False, "structured_output": False, "family": "unknown"}


async def run(scene: Scene) -> object:
    client = OpenAIChatCompletionClient(model=scene.model, base_url=scene.base_url, api_key=KEY, model_info=ABLE)
    agent = AssistantAgent(
        NAME, client, tools=[scene.get_weather], system_message=PROMPT, max_tool_iterations=10, reflect_on_tool_use=False
    )
    return (await agent.run(task=QUESTION)).messages[-1].to_text()


play(run, {"own": plain_provider})
