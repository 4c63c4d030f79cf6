"""The OpenAI Agents SDK on chat completions, through OpenInference and under Logfire."""

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from scene import KEY, NAME, PROMPT, QUESTION, Scene, instrumented, play, under_logfire


async def run(scene: Scene) -> object:
    model = OpenAIChatCompletionsModel(model=scene.model, openai_client=AsyncOpenAI(base_url=scene.base_url, api_key=KEY))
    agent = Agent(name=NAME, instructions=PROMPT, model=model, tools=[function_tool(scene.get_weather)])
    return (await Runner.run(agent, QUESTION)).final_output


play(
    run,
    {
        "openinference": instrumented("openinference.instrumentation.openai_agents", "OpenAIAgentsInstrumentor"),
        "logfire": under_logfire("openai_agents"),
    },
)
