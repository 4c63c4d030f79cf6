"""LlamaIndex's FunctionAgent, through OpenInference and with LlamaIndex's own OpenTelemetry tracer."""

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from scene import KEY, NAME, PROMPT, QUESTION, Scene, instrumented, plain_provider, play


async def run(scene: Scene) -> object:
    model = OpenAILike(
        model=scene.model, api_base=scene.base_url, api_key=KEY, is_chat_model=True, is_function_calling_model=True, max_retries=0
    )
    tools = [FunctionTool.from_defaults(fn=scene.get_weather)]
    return str(await FunctionAgent(name=NAME, description=PROMPT, tools=tools, llm=model, system_prompt=PROMPT).run(QUESTION))


def own() -> object:
    from llama_index.observability.otel import LlamaIndexOpenTelemetry
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider = plain_provider()
    LlamaIndexOpenTelemetry(tracer_provider=provider, span_exporter=InMemorySpanExporter()).start_registering()
    return provider


play(
    run,
    {"openinference": instrumented("openinference.instrumentation.llama_index", "LlamaIndexInstrumentor"), "own": own},
)
