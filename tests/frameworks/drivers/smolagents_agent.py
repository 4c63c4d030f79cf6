"""A tool-calling agent of smolagents through OpenInference."""

from scene import KEY, NAME, QUESTION, Scene, instrumented, play
from smolagents import OpenAIModel, ToolCallingAgent, tool

# By default smolagents tells the model what a tool said as the user's words.
ROLES = {"tool-call": "assistant", "tool-response": "tool"}


def run(scene: Scene) -> object:
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: Name of the city.
        """
        return scene.get_weather(city)

    model = OpenAIModel(scene.model, api_base=scene.base_url, api_key=KEY, custom_role_conversions=ROLES, retry=False)
    return ToolCallingAgent(tools=[tool(get_weather)], model=model, name=NAME, max_steps=6, verbosity_level=0).run(QUESTION)


play(run, {"openinference": instrumented("openinference.instrumentation.smolagents", "SmolagentsInstrumentor")})
