"""What a model asks its tools for: who asked for a call, what answered it, whether the tool exists.

In doubt all is well: a name that something else in the run may stand for does not count as unknown.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from spantriage.arguments import blame, fault
from spantriage.failures import name_failure, read_result
from spantriage.model import Step, ToolCall
from spantriage.settled import Settled
from spantriage.state import AgentState

__all__ = ["Request", "Requests", "asked_by", "is_explained", "is_undeclared", "runs_elsewhere", "succeeded", "unknown_tool", "was_refused"]

LOOK_BACK: Final = 64  # requests that are searched for the one that a tool step answers
PLACEHOLDER: Final = "unknown_tool"  # what several instrumentations write when they cannot read a tool's name

# Requests that no tool span has to answer, and that need not be declared as tools: the provider runs them itself,
# they hand over to another agent, or they are the answer.
_ELSEWHERE: Final = re.compile(
    r"^(web_search|web_fetch|google_search|x_search|url_context|file_search|code_interpreter|code_execution|image_generation"
    r"|computer|local_shell|apply_patch|tool_search|retrieval|mcp|bash_code_execution|text_editor_code_execution)"
    r"(_(use|preview|tool|call|retrieval|regex|bm25|\d{8}))*$"
    r"|^(transfer|hand_?off|delegate|route|switch)(_\w+)?_to(_|$)|^(transfer|hand)_?(back|off)\b|^handoff"
    r"|^final_(result|answer|response|output)|^(submit|attempt_completion|structured_output|respond|new_answer|vote|stop)$",
    re.IGNORECASE,
)
_NAME: Final = r"['\"`(\[]{0,2}([\w.:/-]{1,100}?)['\"`)\]]{0,2}"
_NAMED: Final = re.compile(
    rf"(?:unknown|hallucinated) (?:tool|function)(?: name| call)?:? {_NAME}(?=[\s.,;<]|$)"
    rf"|(?:tool|function|action) {_NAME} (?:not found|does not exist|don'?t exist|is not|was not)"
    rf"|no (?:such )?(?:tool|function)(?: named| called| with name| available)?:? {_NAME}(?=[\s.,;<]|$)"
    rf"|{_NAME} (?:is )?not a valid tool",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(r"[.:/]|__")


class Request(NamedTuple):
    """A tool call, and the model call that asked for it."""

    call: ToolCall
    step: Step


def runs_elsewhere(name: str) -> bool:
    """Say whether a request of this name is answered without a tool: by the provider, another agent, or the end."""
    return _ELSEWHERE.search(name) is not None


def is_undeclared(name: str | None, agent: AgentState) -> bool:
    """Say whether the tools that the agent was given are known and none of them, nor another agent, has this name."""
    declared = agent.declared
    if name is None or not declared or name in declared or name == PLACEHOLDER or runs_elsewhere(name):
        return False
    last = _last(name)
    if any(_last(known) == last for known in declared):
        return False
    return not any(_last(other) == last for other, _ in agent.run.agents)


def unknown_tool(step: Step, agent: AgentState) -> str | None:
    """The tool that does not exist, as this failed step says; "" when it names none, None when it speaks of something else."""
    if step.sign != PLACEHOLDER:
        return None
    said = (step.error_message if step.failed else step.result) or ""
    match = _NAMED.search(said[:500])
    named = next((group for group in match.groups() if group), None) if match else None
    own = step.tool if step.tool != PLACEHOLDER else None
    if own is None:
        return named or ""
    if own in agent.declared or (named is not None and _last(named) not in _last(own) and _last(own) not in _last(named)):
        return None
    return own


def succeeded(step: Step) -> bool:
    """Say whether a tool step did its work, so that its tool exists."""
    return step.sign == "ok" and _reads_well(step.result or "")


def was_refused(request: Request, step: Step) -> bool:
    """Say whether the history of the model call `step` answers the request, and not with a success."""
    call_id = request.call.call_id
    answers = [r for r in step.content.results if r.call_id == call_id] if step.content is not None and call_id is not None else []
    return any(r.failed or read_result(r.text) is not None or not _reads_well(r.text) for r in answers)


def _reads_well(result: str) -> bool:
    return name_failure("tool", None, result[:200]) != PLACEHOLDER


def asked_by(step: Step, agent: AgentState) -> Request | None:
    """The latest request that this tool step, or a model call inside this workflow step, stands for."""
    found = agent.requested.get(step.call_id) if step.call_id is not None else None
    if found is not None and found.step.start_ns <= step.start_ns:
        return Request(found.call, found.step)
    for found in islice(reversed(agent.requested.values()), LOOK_BACK):
        if _stands_for(step, found.call, found.step):
            return Request(found.call, found.step)
    return None


def is_explained(step: Step, agent: AgentState) -> bool:
    """Say whether the failure of a tool step began with the request: an unknown tool, or arguments that cannot fit."""
    if unknown_tool(step, agent) is not None or blame(step) is not None:
        return True
    asked = asked_by(step, agent)
    if asked is None:
        return False
    name = asked.call.name
    said = (step.error_message if step.failed else step.result) or ""
    if is_undeclared(name, agent) and name is not None and name in said[:500]:
        return True
    return asked.step.sign != "length" and fault(asked.call, agent.declared.get(name or "")) is not None


@dataclass(slots=True)
class Requests:
    """All requests of a complete run, each with the tool steps that may answer it."""

    by_call_id: dict[str, list[Request]] = field(default_factory=dict)
    by_agent: dict[tuple[str | None, int | None], list[Request]] = field(default_factory=dict)
    _answers: dict[tuple[str, str], list[Step]] = field(default_factory=dict)

    @classmethod
    def of(cls, settled: Settled) -> Requests:
        """Match what was asked with what was done; worked out once, so nobody may change it."""
        known = settled.memo.get("requests")
        if isinstance(known, cls):
            return known
        found = settled.memo["requests"] = cls()
        for step in settled.sequence:
            if step.kind == "model" and step.content is not None:
                for call in step.content.requested:
                    request = Request(call, step)
                    found.by_agent.setdefault((step.agent, step.agent_span_id), []).append(request)
                    if call.call_id is not None:
                        found.by_call_id.setdefault(call.call_id, []).append(request)
            elif step.kind in ("tool", "agent"):
                name = step.tool if step.kind == "tool" else step.agent
                for key in (("id", step.call_id), ("name", name)):
                    if key[1] is not None:
                        found._answers.setdefault((key[0], key[1]), []).append(step)
        for steps in found._answers.values():
            steps.sort(key=_start)
        return found

    def behind(self, step: Step) -> Request | None:
        """The request that this tool step answers, or the last one made inside this workflow step."""
        for request in reversed(_before(self.by_call_id.get(step.call_id or "", []), step.start_ns)):
            return request
        until_ns = step.start_ns if step.kind == "tool" else step.end_ns
        for request in reversed(_before(self.by_agent.get((step.agent, step.agent_span_id), []), until_ns)):
            if _stands_for(step, request.call, request.step):
                return request
        return None

    def answers(self, request: Request) -> Iterator[Step]:
        """Tool steps, and agents called like tools, that came after the request and carry its id or, without ids, its name."""
        call, asked = request
        matched = False
        for step in _after(self._answers.get(("id", call.call_id or ""), []), asked.start_ns):
            if step.tool is None or call.name is None or step.tool == call.name:
                matched = True
                yield step
        for step in () if matched else _after(self._answers.get(("name", call.name or ""), []), asked.start_ns):
            if step.call_id is None or call.call_id is None or step.kind == "agent":
                yield step

    def works(self, name: str) -> bool:
        """Say whether a tool or agent of this name ever did its work in the run."""
        return any(step.kind == "agent" or succeeded(step) for step in self._answers.get(("name", name), ()))


def _start(step: Step) -> int:
    return step.start_ns


def _before(requests: list[Request], until_ns: int) -> list[Request]:
    """The last few requests made by then; those of one list are in order of time."""
    behind = bisect_right(requests, until_ns, key=lambda request: request.step.start_ns)
    return requests[max(0, behind - LOOK_BACK) : behind]


def _after(steps: list[Step], from_ns: int) -> Iterator[Step]:
    for index in range(bisect_left(steps, from_ns, key=_start), len(steps)):
        yield steps[index]


def _stands_for(step: Step, call: ToolCall, asked: Step) -> bool:
    if step.kind == "tool":
        if step.call_id is not None and call.call_id is not None:
            return False  # both have ids, and they differ
        return call.name is not None and call.name == step.tool and asked.start_ns <= step.start_ns
    return step.start_ns <= asked.start_ns and asked.end_ns <= step.end_ns


def _last(name: str) -> str:
    """The part that is the same with and without a namespace: "mcp__files__read" and "files.read" are "read"."""
    return _TAIL.split(name)[-1].lower().replace("-", "_") or name
