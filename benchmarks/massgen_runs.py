"""Made-up runs of two agents that answer and vote, as many spans as are wanted, always the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from spantriage.sources.spans import NO_STATUS, Event, Ids, RecordedSpan, Resource, Scope, Status

__all__ = ["runs"]

SECOND: Final = 1_000_000_000
BEGIN: Final = 1_795_000_000 * SECOND
STEPS: Final = 16  # model and tool calls of a round
RESOURCE: Final = Resource({"service.name": "massgen", "service.version": "0.1", "telemetry.sdk.language": "python", "process.pid": 42})
SCOPE: Final = Scope("logfire", "5.2.0")
MODELS: Final = ("gpt-5-mini", "claude-sonnet-5", "gemini-3-flash")
TOOLS: Final = ("filesystem.read_file", "filesystem.write_file", "command_line.execute_command", "web.search", "planning.update")
REASONS: Final = ("no_workflow_tool", "no_tool_calls", "invalid_vote_id", "api_error")
_TEXT: Final = "the agent reads a file and writes another one because tests fail in module parser after change of line while result is"
_WORDS: Final = _TEXT.split()


def runs(spans: int, seed: int = 7) -> Iterator[RecordedSpan]:
    """About so many spans, run after run, in the order in which they end."""
    choose = random.Random(seed)
    texts = [" ".join(choose.choices(_WORDS, k=choose.randint(30, 230))) for _ in range(4_000)]
    made = 0
    while made < spans:
        for span in _run(choose, texts, BEGIN + made * SECOND // 50):
            yield span
            made += 1


def _run(choose: random.Random, texts: list[str], begin: int) -> Iterator[RecordedSpan]:
    trace_id = choose.getrandbits(127) + 1
    root = choose.getrandbits(63) + 1
    clock = begin
    totals = {"agent_a": [0, 0], "agent_b": [0, 0]}
    yield _span(trace_id, root, "Coordination event: coordination_started", clock, 0, {"logfire.span_type": "log", "event_type": "started"})
    for number, agent in enumerate(("agent_a", "agent_b", "agent_a", "agent_b")):
        above = choose.getrandbits(63) + 1
        start, usage = clock, totals[agent]
        for step in range(STEPS):
            took = choose.randint(5, 900) * 1_000_000
            call = _tool(choose, texts, agent) if step % 2 else _model(choose, texts, agent, usage)
            failed = choose.random() < 0.035
            yield _span(trace_id, above, call[0], clock, took, call[1], failed=failed)
            clock += took
        kind = "initial_answer" if number < 2 else "voting"
        yield _span(
            trace_id, root, f"agent.{agent}.round_{number // 2}", start, clock - start,
            {
                "massgen.agent_id": agent, "massgen.round": number // 2, "massgen.round_type": kind, "massgen.iteration": number,
                "massgen.backend": "openai", "massgen.outcome": "answer" if number < 2 else "vote", "logfire.span_type": "span",
                "massgen.usage.input": usage[0], "massgen.usage.output": usage[1], "massgen.usage.reasoning": usage[1] // 3,
                "massgen.usage.cached_input": usage[0] // 2, "massgen.usage.cost": usage[0] * 1.3e-6,
                **({"massgen.enforcement.reason": choose.choice(REASONS)} if choose.random() < 0.2 else {}),
            },
            span_id=above,
        )  # fmt: skip
        name = f"Agent vote: {agent} -> agent1.1" if number > 1 else f"Agent answer: {agent}"
        yield _span(trace_id, root, name, clock, 0, {"logfire.span_type": "log", "logfire.msg": name, "agent_id": agent})
    yield _span(trace_id, root, "Winner selected: agent1.1", clock, 0, {"logfire.span_type": "log", "winner_agent_id": "agent_a"})
    yield _span(trace_id, None, "coordination.session", begin, clock - begin, {"massgen.num_agents": 2}, span_id=root)


def _model(choose: random.Random, texts: list[str], agent: str, usage: list[int]) -> tuple[str, dict[str, Any]]:
    model, came, went = choose.choice(MODELS), choose.randint(500, 9_000), choose.randint(20, 900)
    usage[0] += came
    usage[1] += went
    return "llm.openai.stream", {
        "massgen.agent_id": agent, "llm.provider": "openai", "llm.model": model, "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model, "gen_ai.response.model": model, "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": came, "gen_ai.usage.output_tokens": went, "gen_ai.usage.cache_read.input_tokens": came // 2,
        "gen_ai.response.id": f"resp_{choose.getrandbits(60):x}", "server.address": "api.openai.com", "logfire.span_type": "span",
        "gen_ai.input.messages": f'[{{"role":"user","content":"{choose.choice(texts)}"}}]',
        "gen_ai.output.messages": f'[{{"role":"assistant","content":"{choose.choice(texts)}"}}]',
    }  # fmt: skip


def _tool(choose: random.Random, texts: list[str], agent: str) -> tuple[str, dict[str, Any]]:
    tool = choose.choice(TOOLS)
    return f"mcp.{tool}", {
        "massgen.agent_id": agent, "tool.name": "mcp__" + tool.replace(".", "__"), "tool.success": True, "logfire.span_type": "span",
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool, "gen_ai.tool.call.id": f"call_{choose.getrandbits(60):x}",
        "gen_ai.tool.call.arguments": f'{{"path":"src/{choose.randint(0, 99)}.py"}}', "gen_ai.tool.call.result": choose.choice(texts),
    }  # fmt: skip


def _span(
    trace_id: int,
    parent: int | None,
    name: str,
    start: int,
    took: int,
    attributes: dict[str, Any],
    *,
    failed: bool = False,
    span_id: int = 0,
) -> RecordedSpan:
    ids = Ids(trace_id, span_id or hash((trace_id, name, start)) & (1 << 63) - 1 or 1)
    said = {"exception.type": "TimeoutError", "exception.message": "no answer in time", "exception.stacktrace": "Traceback ..."}
    events = [Event("exception", said, start + took)] if failed else []
    status = Status("TimeoutError: no answer in time") if failed else NO_STATUS
    above = None if parent is None else Ids(trace_id, parent)
    return RecordedSpan(name, ids, above, start, start + took, attributes, events, (), SCOPE, RESOURCE, status, failed)
