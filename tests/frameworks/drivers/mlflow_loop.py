"""A tool loop written by hand, traced with MLflow's decorator and its automatic tracing of the OpenAI client."""

import json
import os

os.environ.update(
    MLFLOW_USE_DEFAULT_TRACER_PROVIDER="false",  # else its spans are in a provider of its own
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces",  # else it asks its server for an experiment
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="1",
)

import mlflow
import openai
from scene import KEY, NAME, QUESTION, TOOL, Scene, plain_provider, play

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": TOOL, "description": "The weather in a city.", "parameters": SCHEMA}}]


def run(scene: Scene) -> object:
    client = openai.OpenAI(base_url=scene.base_url, api_key=KEY)
    get_weather = mlflow.trace(scene.get_weather, name=TOOL, span_type="TOOL")

    def ask(messages: list[dict[str, object]], tools: list[dict[str, object]]) -> dict[str, object]:
        return client.chat.completions.create(model=scene.model, messages=messages, tools=tools).model_dump(exclude_none=True)

    chat = mlflow.trace(ask, name="chat", span_type="CHAT_MODEL")

    def call(name: str, arguments: str) -> str:
        if name != TOOL:
            return f"Unknown tool {name}"
        try:
            return get_weather(**json.loads(arguments))
        except Exception as error:
            return f"Error: {type(error).__name__}: {error}"

    @mlflow.trace(name=NAME, span_type="AGENT")
    def agent(question: str) -> str:
        messages: list[dict[str, object]] = [{"role": "user", "content": question}]
        while True:
            message = chat(messages, TOOLS)["choices"][0]["message"]
            if not message.get("tool_calls"):
                return message["content"]
            messages.append(message)
            for asked in message["tool_calls"]:
                result = call(asked["function"]["name"], asked["function"]["arguments"])
                messages.append({"role": "tool", "tool_call_id": asked["id"], "content": result})

    return agent(QUESTION)


def own() -> object:
    mlflow.set_tracking_uri("http://127.0.0.1:9")  # throws away the provider that there is, hence before ours
    return plain_provider()


play(run, {"own": own})
