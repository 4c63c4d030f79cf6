"""Google's Agent Development Kit with its own instrumentation, on a model behind LiteLLM."""

import os

from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from scene import KEY, NAME, PROMPT, QUESTION, Scene, plain_provider, play


async def run(scene: Scene) -> object:
    model = LiteLlm(model=f"openai/{scene.model}", api_base=scene.base_url, api_key=KEY)
    agent = LlmAgent(name=NAME, model=model, instruction=PROMPT, tools=[scene.get_weather])
    runner = InMemoryRunner(agent=agent, app_name="weather")
    conversation = await runner.session_service.create_session(app_name="weather", user_id="user")
    asked = types.Content(role="user", parts=[types.Part(text=QUESTION)])
    last = None
    async for event in runner.run_async(user_id="user", session_id=conversation.id, new_message=asked):
        if event.content and event.content.parts:
            last = event.content.parts[0].text
    return last


def with_content() -> object:
    os.environ.update(
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental", OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY"
    )
    return plain_provider()


play(run, {"own": plain_provider, "own-content": with_content})
