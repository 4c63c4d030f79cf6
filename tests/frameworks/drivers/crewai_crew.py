"""A crew of one agent with one task, through OpenInference's instrumentations of CrewAI and of the OpenAI client below it."""

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from scene import KEY, NAME, PROMPT, QUESTION, TOOL, Scene, plain_provider, play


def run(scene: Scene) -> object:
    get_weather = tool(TOOL)(scene.get_weather)
    llm = LLM(model=f"openai/{scene.model}", base_url=scene.base_url, api_key=KEY)
    agent = Agent(role=NAME, goal=PROMPT, backstory="Knows the weather.", llm=llm, tools=[get_weather], max_iter=8)
    task = Task(description=QUESTION, expected_output="Yes or no.", agent=agent)
    return Crew(agents=[agent], tasks=[task]).kickoff().raw


def instrument() -> object:
    from openinference.instrumentation.crewai import CrewAIInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor

    provider = plain_provider()
    CrewAIInstrumentor().instrument(tracer_provider=provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    return provider


play(run, {"openinference": instrument})
