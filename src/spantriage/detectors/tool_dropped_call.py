"""tool.dropped_call"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.arguments import fault
from spantriage.detectors import Detector
from spantriage.detectors.example import agent as agent_span
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, ToolResult, Verdict
from spantriage.requested import Request, Requests, is_undeclared, runs_elsewhere
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


@dataclass(frozen=True, slots=True)
class DroppedCall(Detector):
    """A model asked for a tool as the last thing in an agent's work, and nothing ever answered it.

    ## Why it matters
    The agent ends in the middle of its work, with a healthy span and without an answer. Frameworks do this when they
    cannot read the call, when a turn limit stops them quietly, or when the loop around the model forgets to run tools.

    ## What to do
    Look at how the loop treats the last model call: an unreadable tool call should go back to the model as an error,
    and a limit should be an error of its own. Handle the finish reason `tool_calls` in hand-written loops.

    ## When it is wrong
    An application may end an agent on purpose to run the tool itself, after asking a person for approval. Where tool
    calls leave neither a span nor a message the run looks the same; the score is lower when the run shows no tool call
    at all. Model calls outside any agent span are left alone, as are agents that failed or were cancelled.
    """

    code = "tool.dropped_call"
    category = "tool_issue"
    subcategory = "environment_mismatch"
    score = 0.8
    actionable = "Answer every tool call, if only with an error, before the agent ends."
    tier = "run"

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of an agent whose last model call was left waiting."""
        requests: Requests | None = None
        shows_tools = any(step.kind == "tool" for step in settled.sequence)
        for agent in run.agents.values():
            model = agent.model
            if model is None or not _ended_without_answer(agent, model, settled):
                continue
            requests = requests or Requests.of(settled)
            waiting = list(_waiting(model, agent, requests))
            if waiting or (model.finish == "tool_calls" and model.content is not None and not model.content.requested):
                named = f"tool {' and '.join(waiting[:3])}" if waiting else "a tool in a call that could not be read"
                yield self.found(
                    model,
                    f"Agent {agent.name} ended after asking for {named}, and nothing answered",
                    reason=", ".join(waiting) or None,
                    score=None if shows_tools else 0.6,
                )

    fires_on = (
        (agent_span(), calls("search", '{"q": "a"}', "3 hits"), asks("fetch")),
        (agent_span(), answers(None, finish="tool_calls")),
    )
    quiet_on = (
        (agent_span(), asks("search"), calls("search", result="3 hits"), answers("done")),
        (agent_span(result="3 hits"), asks("search")),
        (agent_span(), asks("search", "fetch"), calls("search", result="3 hits"), calls("fetch", result="a page")),
        (agent_span(), asks("transfer_to_billing")),
        (fails(agent_span(), "CancelledError", ""), asks("search")),
        (agent_span(), answers(None, finish="tool_calls", captured=False)),
        (agent_span(), asks("search"), answers("done", results=[ToolResult("3 hits", "call_search")])),
        (agent_span("boss"), asks("researcher"), agent_span("researcher", parent_id=1, result="found")),
    )


def _ended_without_answer(agent: AgentState, model: Step, settled: Settled) -> bool:
    """The agent's span has ended well, its last model call said nothing, was seen whole, and no answer was recorded."""
    ended = agent.span
    if ended is None or ended.failed or (ended.result or "").strip(' "{}[]').lower() not in ("", "none", "null"):
        return False
    if any(above.failed for above in settled.above(ended)) or ended.end_ns < model.end_ns:
        return False
    content = model.content
    if content is None or not content.captured or content.truncated or model.failed or model.finish not in (None, "tool_calls", "unknown"):
        return False
    return not (ended.content is not None and ended.content.text)


def _waiting(model: Step, agent: AgentState, requests: Requests) -> Iterator[str]:
    """Tools that the model call asked for and that no step, agent or message answers."""
    for call in model.content.requested if model.content is not None else ():
        if call.name is None or runs_elsewhere(call.name) or is_undeclared(call.name, agent) or fault(call, agent.declared.get(call.name)):
            continue  # the last two have findings of their own
        asked = agent.requested.get(call.call_id) if call.call_id is not None else None
        if asked is not None and asked.step is model and asked.answered:
            continue
        if next(requests.answers(Request(call, model)), None) is None:
            yield call.name
