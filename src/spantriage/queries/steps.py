"""What a span is about, whatever library wrote it: columns that queries may name besides Logfire's, worked out from attributes.

Each is one expression over `records` in PostgreSQL's words. They follow OpenTelemetry's GenAI conventions, OpenInference
and MassGen, in that order; a null says that the span does not tell.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MEANINGS", "STEPS"]

_MEANT: Final = {
    "step_kind": (
        "agent, model, tool or null",
        """case
             when attributes->>'gen_ai.operation.name' in ('chat', 'text_completion', 'generate_content') then 'model'
             when attributes->>'gen_ai.operation.name' = 'execute_tool' then 'tool'
             when attributes->>'gen_ai.operation.name' = 'invoke_agent' then 'agent'
             when attributes->>'openinference.span.kind' = 'LLM' then 'model'
             when attributes->>'openinference.span.kind' = 'TOOL' then 'tool'
             when attributes->>'openinference.span.kind' = 'AGENT' then 'agent'
             when kind = 'span' and attributes->>'massgen.agent_id' is not null and span_name like 'agent.%' then 'agent'
             when kind = 'span' and span_name like 'llm.%' then 'model'
             when kind = 'span' and span_name like 'mcp.%' then 'tool'
           end""",
    ),
    "step_agent": ("the agent that a span names", "coalesce(attributes->>'gen_ai.agent.name', attributes->>'massgen.agent_id')"),
    "step_tool": (
        "the tool that a span names",
        """coalesce(attributes->>'gen_ai.tool.name', attributes->>'tool.name',
             case when kind = 'span' and span_name like 'mcp.%' then span_name end)""",
    ),
    "step_model": (
        "the model that answered, else the one that was asked",
        """coalesce(attributes->>'gen_ai.response.model', attributes->>'gen_ai.request.model', attributes->>'llm.model_name',
             attributes->>'llm.model')""",
    ),
    "step_failed": (
        "whether the span recorded an exception, has an error status, or MassGen says that it failed",
        """coalesce(is_exception or otel_status_code = 'ERROR' or attributes->>'error.type' is not null
             or attributes->>'massgen.outcome' = 'error', is_exception)""",
    ),
    "step_input_tokens": (
        "tokens of a model call that went in",
        "coalesce((attributes->'gen_ai.usage.input_tokens')::bigint, (attributes->'llm.token_count.prompt')::bigint)",
    ),
    "step_output_tokens": (
        "tokens of a model call that came out",
        "coalesce((attributes->'gen_ai.usage.output_tokens')::bigint, (attributes->'llm.token_count.completion')::bigint)",
    ),
    "step_cost_usd": (
        "what a call cost, in US dollars, where its span says so",
        "coalesce((attributes->'operation.cost')::double precision, (attributes->'llm.cost_usd')::double precision)",
    ),
}
MEANINGS: Final = {name: meaning for name, (meaning, _) in _MEANT.items()}
STEPS: Final = {name: " ".join(sql.split()) for name, (_, sql) in _MEANT.items()}
