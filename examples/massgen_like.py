"""Three agents that answer in one round and vote in the next, watched over by an orchestrator, as MassGen does it.

The orchestrator is written by hand on plain OpenTelemetry with MassGen's attributes. It turns replies down that neither
answer nor vote, and asks again, three times at most; no span says so. `bob` never learns it and is out, under a healthy
span; `carol` needs a second try because her provider fails. Needs no network; run it with `python examples/massgen_like.py`.
"""

import json
import os
import urllib.request
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import spantriage
from spantriage.demo.server import ModelServer

os.environ["NO_PROXY"] = "127.0.0.1"  # the model server is on this machine
trace.set_tracer_provider(TracerProvider())  # yours would export
tracer = trace.get_tracer("orchestrator")
triage = spantriage.attach()
findings: dict[str, spantriage.Finding] = {}
triage.on_finding(lambda finding: findings.update({finding.finding_id: finding}))  # what comes later under an id replaces it
AGENTS = {"ann": "ok", "bob": "unknowntool", "carol": "flaky"}  # the scenario that the offline server plays for each
NOTICE = "You must use workflow tools"
Json = dict[str, Any]


def tool(name: str, parameter: str, **schema: object) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": {"properties": {parameter: {"type": "string", **schema}}}}}


def ask(agent: str, url: str, messages: list[Json], tools: list[Json]) -> Json:
    known: Json = {"massgen.agent_id": agent, "gen_ai.operation.name": "chat", "gen_ai.request.model": AGENTS[agent]}
    with tracer.start_as_current_span("llm.chatcompletion.stream", attributes=known) as span:
        span.set_attribute("gen_ai.tool.definitions", json.dumps(tools))
        body = json.dumps({"model": AGENTS[agent], "messages": messages, "tools": tools}).encode()
        with urllib.request.urlopen(f"{url}/chat/completions", body, timeout=10) as response:
            message: Json = json.load(response)["choices"][0]["message"]
        said = [{"type": "text", "content": message["content"]}] if message["content"] else []
        calls = [{"type": "tool_call", "id": call["id"], **call["function"]} for call in message.get("tool_calls", [])]
        span.set_attribute("gen_ai.output.messages", json.dumps([{"role": "assistant", "parts": [*said, *calls]}]))
        return message


def take_part(agent: str, number: int, url: str, *tools: Json) -> Json | None:
    """One round of an agent: what it calls the first of `tools` with, or None when it never does."""
    known: Json = {"massgen.agent_id": agent, "massgen.round": number, "massgen.round_type": "voting" if number else "initial_answer"}
    messages: list[Json] = [{"role": "user", "content": "Which library opens first? Answer, then vote."}]
    with tracer.start_as_current_span(f"agent.{agent}.round_{number}", attributes=known) as span:
        for _ in range(3):
            try:
                message = ask(agent, url, messages, list(tools))
            except OSError:
                continue
            calls = message.get("tool_calls", [])
            if calls and calls[0]["function"]["name"] == tools[0]["function"]["name"]:
                span.set_attribute("massgen.outcome", "vote" if number else "answer")
                return dict(json.loads(calls[0]["function"]["arguments"]))
            refused = [{"role": "tool", "tool_call_id": call["id"], "content": NOTICE} for call in calls]
            messages += [message, *(refused or [{"role": "user", "content": NOTICE}])]
    return None


session: Json = {"massgen.task": "opening hours", "massgen.num_agents": len(AGENTS), "massgen.log_path": "."}
with ModelServer() as server, tracer.start_as_current_span("coordination.session", attributes=session):
    answers: dict[str, str] = {}
    for index, agent in enumerate(AGENTS, 1):
        if answer := take_part(agent, 0, server.base_url, tool("new_answer", "content"), tool("vote", "agent_id")):
            answers[agent] = answer["content"]
            known = {"event_type": "new_answer", "agent_id": agent, "answer_label": f"agent{index}.1", "answer_preview": answers[agent]}
            tracer.start_span(f"Agent answer: agent{index}.1", attributes=known).end()
    ballot = tool("vote", "agent_id", enum=list(answers))
    votes = [vote["agent_id"] for agent in answers if (vote := take_part(agent, 1, server.base_url, ballot))]
print(f"{len(answers)} answers of {len(AGENTS)}, {len(votes)} votes, the winner is {max(votes, key=votes.count)}")
triage.flush(timeout_s=5)  # in a program that goes on, findings arrive by themselves
for finding in findings.values():
    print(f"  {finding.code} at {finding.agent} ({finding.severity}): {finding.summary}")
