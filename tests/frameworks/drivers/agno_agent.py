"""An agent of Agno through OpenInference."""

from agno.agent import Agent
from agno.models.openai.like import OpenAILike
from scene import KEY, NAME, PROMPT, QUESTION, Scene, instrumented, play


def run(scene: Scene) -> object:
    model = OpenAILike(id=scene.model, base_url=scene.base_url, api_key=KEY)
    agent = Agent(name=NAME, model=model, tools=[scene.get_weather], instructions=PROMPT, telemetry=False)
    return agent.run(QUESTION).content


play(run, {"openinference": instrumented("openinference.instrumentation.agno", "AgnoInstrumentor")})
