"""LangChain's agent, which is a LangGraph graph, through OpenInference, OpenLLMetry and LangSmith's own OpenTelemetry export."""

import os

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_openai import ChatOpenAI
from scene import KEY, NAME, PROMPT, QUESTION, Scene, instrumented, plain_provider, play


def run(scene: Scene) -> object:
    model = ChatOpenAI(model=scene.model, base_url=scene.base_url, api_key=KEY)
    agent = create_agent(model, [tool(scene.get_weather)], system_prompt=PROMPT, name=NAME)
    try:
        return agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})["messages"][-1].content
    finally:
        if os.environ.get("LANGSMITH_TRACING"):
            wait_for_all_tracers()  # LangSmith makes its spans in a thread of its own


def langsmith() -> object:
    os.environ.update(LANGSMITH_TRACING="true", LANGSMITH_OTEL_ENABLED="true", LANGSMITH_OTEL_ONLY="true", LANGSMITH_API_KEY=KEY)
    return plain_provider()


play(
    run,
    {
        "openinference": instrumented("openinference.instrumentation.langchain", "LangChainInstrumentor"),
        "openllmetry": instrumented("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
        "langsmith": langsmith,
    },
)
