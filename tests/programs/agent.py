"""An agent written by hand: one tool fails silently, one is called three times for the same result."""

from opentelemetry import trace


def run(tracer: trace.Tracer, name: str = "bot") -> None:
    def span(operation: str, title: str, **more: object):  # type: ignore[no-untyped-def]  # a context manager of the tracer
        attributes = {"gen_ai.operation.name": operation, "gen_ai.agent.name": name, **more}
        return tracer.start_as_current_span(title, attributes={key.replace("__", "."): value for key, value in attributes.items()})

    with span("invoke_agent", f"invoke_agent {name}"):
        with span("chat", "chat small", gen_ai__request__model="small") as chat:
            chat.set_attribute("gen_ai.usage.input_tokens", 100)
            chat.set_attribute("gen_ai.usage.output_tokens", 10)
        asked = {"gen_ai__tool__name": "weather", "gen_ai__tool__call__arguments": '{"city": "Paris"}'}
        with span("execute_tool", "execute_tool weather", **asked) as tool:
            tool.set_attribute("gen_ai.tool.call.result", "Error: weather service unavailable (503)")
        for _ in range(3):
            with span("execute_tool", "execute_tool stock", gen_ai__tool__name="stock", gen_ai__tool__call__arguments="{}") as tool:
                tool.set_attribute("gen_ai.tool.call.result", "41 boxes")
