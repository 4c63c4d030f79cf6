"""The OpenAI client with a tool loop written by hand: only the client is instrumented, the loop is not."""

import json
import os

import openai
from scene import KEY, QUESTION, TOOL, Scene, instrumented, play, under_logfire

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": TOOL, "description": "The weather in a city.", "parameters": SCHEMA}}]


def call(scene: Scene, name: str, arguments: str) -> str:
    if name != TOOL:
        return f"Unknown tool {name}"
    try:
        return scene.get_weather(**json.loads(arguments))
    except Exception as error:
        return f"Error: {type(error).__name__}: {error}"


def run(scene: Scene) -> object:
    client = openai.OpenAI(base_url=scene.base_url, api_key=KEY)
    messages = [{"role": "user", "content": QUESTION}]
    while True:
        message = client.chat.completions.create(model=scene.model, messages=messages, tools=TOOLS).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for asked in message.tool_calls:
            result = call(scene, asked.function.name, asked.function.arguments)
            messages.append({"role": "tool", "tool_call_id": asked.id, "content": result})


def contrib() -> object:
    os.environ.update(
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental", OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY"
    )
    return instrumented("opentelemetry.instrumentation.openai_v2", "OpenAIInstrumentor")()


play(
    run,
    {
        "openinference": instrumented("openinference.instrumentation.openai", "OpenAIInstrumentor"),
        "logfire": under_logfire("openai"),
        "openllmetry": instrumented("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
        "contrib": contrib,
    },
)
