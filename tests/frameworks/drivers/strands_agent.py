"""Strands Agents with its own instrumentation."""

from scene import KEY, NAME, PROMPT, QUESTION, Scene, plain_provider, play
from strands import Agent, ModelRetryStrategy, tool
from strands.models.openai import OpenAIModel


def run(scene: Scene) -> object:
    @tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return scene.get_weather(city)

    model = OpenAIModel(client_args={"base_url": scene.base_url, "api_key": KEY}, model_id=scene.model)
    patience = ModelRetryStrategy(max_attempts=1)  # by default it waits for minutes when it is rate-limited
    agent = Agent(model, tools=[get_weather], system_prompt=PROMPT, name=NAME, callback_handler=None, retry_strategy=patience)
    return str(agent(QUESTION))


play(run, {"own": plain_provider})
