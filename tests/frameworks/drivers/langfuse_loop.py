"""A tool loop written by hand, observed with Langfuse: its OpenAI client and its decorator."""

import json
import os

from scene import KEY, NAME, QUESTION, TOOL, Scene, plain_provider, play

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": TOOL, "description": "The weather in a city.", "parameters": SCHEMA}}]


def run(scene: Scene) -> object:
    from langfuse import observe
    from langfuse.openai import OpenAI

    client = OpenAI(base_url=scene.base_url, api_key=KEY)
    get_weather = observe(name=TOOL, as_type="tool")(scene.get_weather)

    def call(name: str, arguments: str) -> str:
        if name != TOOL:
            return f"Unknown tool {name}"
        try:
            return get_weather(**json.loads(arguments))
        except Exception as error:
            return f"Error: {type(error).__name__}: {error}"

    @observe(name=NAME, as_type="agent")
    def agent(question: str) -> str:
        messages = [{"role": "user", "content": question}]
        while True:
            message = client.chat.completions.create(model=scene.model, messages=messages, tools=TOOLS).choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True))
            for asked in message.tool_calls:
                result = call(asked.function.name, asked.function.arguments)
                messages.append({"role": "tool", "tool_call_id": asked.id, "content": result})

    return agent(QUESTION)


def own() -> object:
    from langfuse import Langfuse

    provider = plain_provider()
    os.environ.update(LANGFUSE_TRACING_ENABLED="true")
    Langfuse(public_key="pk-none", secret_key=KEY, base_url="http://127.0.0.1:9", tracer_provider=provider)
    return provider


play(run, {"own": own})
