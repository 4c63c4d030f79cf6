"""Tool calls of an attempt, as steps: from the log of events and the metrics, else the traces, else bare counts.

MassGen counts a call as a success unless it raised; whether its result admits failure is read from the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.failures import read_result
from spantriage.model import Step
from spantriage.sources import times
from spantriage.sources.massgen_kept import stamp
from spantriage.sources.massgen_log import Log
from spantriage.sources.massgen_replies import WORKFLOW
from spantriage.sources.talk import Failure, fail, listed, mapping

__all__ = ["steps_of_tools"]

CALLS: Final = 100_000
COUNTED: Final = 1_000  # of one tool, where there are only counts
TRACES: Final = 1_000  # folders of one agent
TRACE_CAP: Final = 16 << 20
ARGUMENTS: Final = ("arguments", "args", "input", "tool_args", "arguments_preview")
_SECTION: Final = re.compile(r"^### Tool (Call|Result|Error): (.*)$", re.MULTILINE)
_FENCE: Final = re.compile(r"```\w*\n(.*?)\n```(?:\n|$)", re.DOTALL)


@dataclass(slots=True)
class _Call:
    """One call, put together from what several files say of it."""

    agent: str | None
    tool: str | None
    call_id: str | None
    start_ns: int
    end_ns: int
    arguments: str | None = None
    result: str | None = None
    failure: str | None = None
    failed: bool = False


def steps_of_tools(log: Log, root: Step) -> Iterator[Step]:
    """One step for each call of a tool that is none of the workflow's own."""
    calls = list(_from_events(log))
    calls = _with_metrics(log, calls) if calls else list(_metrics(log))
    if not calls and not log.alone:
        calls = list(_from_traces(log))
    for number, call in enumerate(calls[:CALLS]):
        if call.tool not in WORKFLOW:
            yield _step(log, root, call, number)
    if not calls:
        yield from _from_counts(log, root)


def _step(log: Log, root: Step, call: _Call, number: int) -> Step:
    name = call.tool or "tool"
    step = log.step("tool", name, call.start_ns or root.start_ns, call.end_ns or root.start_ns, call.agent, root, number, call.call_id)
    step.tool, step.call_id, step.arguments, step.result = call.tool, call.call_id, call.arguments, call.result
    if call.failed:
        fail(step, Failure(None, call.failure or call.result))
    else:
        step.sign = read_result(call.result or "") or "ok"
    step.arguments_digest, step.result_digest = text.digest(step.arguments), text.digest(step.result)
    return step


def _from_events(log: Log) -> Iterator[_Call]:
    """Starts and ends of calls, matched by id, else by agent and name."""
    open_calls: dict[tuple[str | None, object], _Call] = {}
    for event in log.told:
        if event.kind not in ("tool_start", "tool_complete"):
            continue
        told = event.context
        tool, call_id = text.name(told.get("tool_name")), text.name(told.get("tool_id"))
        key = (event.agent, call_id or tool)
        if event.kind == "tool_start":
            given = next((told[name] for name in ARGUMENTS if told.get(name) is not None), None)
            open_calls[key] = _Call(event.agent, tool, call_id, event.when_ns, event.when_ns, text.plain(given))
            continue
        seconds = text.number(told.get("elapsed_seconds")) or 0
        began = event.when_ns - int(seconds * times.NS)
        call = open_calls.pop(key, None) or _Call(event.agent, tool, call_id, began, event.when_ns)
        call.end_ns, call.tool = event.when_ns, call.tool or tool
        call.result = text.plain(told.get("result"))
        call.failed = told.get("is_error") is True or told.get("status") in ("error", "failed")
        yield call
    yield from open_calls.values()


def _metrics(log: Log) -> Iterator[_Call]:
    for told in map(mapping, listed(log.metrics.get("tool_executions"))):
        start, end = times.read(told.get("start_time")) or 0, times.read(told.get("end_time")) or 0
        call = _Call(text.name(told.get("agent_id")), text.name(told.get("tool_name")), text.name(told.get("call_id")), start, end)
        call.failed, call.failure = told.get("success") is False, text.string(told.get("error_message"))
        yield call


def _with_metrics(log: Log, calls: list[_Call]) -> list[_Call]:
    """The metrics tell exact times, and failures that the events do not; calls that only they know are added."""
    known = {call.call_id: call for call in calls if call.call_id is not None}
    ended = {(call.agent, call.tool, call.end_ns // times.NS): call for call in calls}
    more: list[_Call] = []
    for told in _metrics(log):
        call = known.get(told.call_id or "")
        second = told.end_ns // times.NS
        for near in (second, second - 1, second + 1) if call is None else ():
            call = call or ended.get((told.agent, told.tool, near))
        if call is None:
            more.append(told)
            continue
        call.start_ns, call.end_ns = told.start_ns or call.start_ns, told.end_ns or call.end_ns
        call.failed, call.failure = call.failed or told.failed, told.failure
    return calls + more


def _from_traces(log: Log) -> Iterator[_Call]:
    """The calls in each agent's `execution_trace.md`; only of what was accepted, as later traces repeat nothing."""
    for agent in log.agents:
        folder = log.folder.sub(agent)
        for snapshot in list(folder.subs())[:TRACES] if folder is not None else ():
            when = stamp(snapshot.name)
            yield from _of_trace(snapshot.text("execution_trace.md", TRACE_CAP) or "", agent, when)


def _of_trace(trace: str, agent: str, when: int) -> Iterator[_Call]:
    """The calls of one trace; a result belongs to the first call of its name that has none."""
    waiting: list[_Call] = []
    heads = list(_SECTION.finditer(trace))
    for head, following in zip(heads, [*heads[1:], None], strict=False):
        body = trace[head.end() : len(trace) if following is None else following.start()]
        found = _FENCE.search(body)
        said, tool = found[1] if found is not None else None, text.name(head[2].strip())
        if head[1] == "Call":
            at = when + len(waiting) * 1_000  # their order is all that is known
            waiting.append(_Call(agent, tool, None, at, at, said))
            continue
        call = next((each for each in waiting if each.tool == tool and each.result is None), None)
        if call is not None:
            call.result, call.failed = said or "", head[1] == "Error"
    yield from waiting


def _from_counts(log: Log, root: Step) -> Iterator[Step]:
    """So many calls of each tool, so many of them failed; nothing else is known."""
    for agent, told in log.agents.items():
        for tool, counts in mapping(mapping(told.get("tool_metrics")).get("by_tool")).items():
            name, failed = text.name(tool), text.count(mapping(counts).get("failure_count")) or 0
            for number in range(min(text.count(mapping(counts).get("call_count")) or 0, COUNTED) if name not in WORKFLOW else 0):
                step = log.step("tool", name or "tool", root.end_ns, root.end_ns, agent, root, "counted", tool, number)
                step.tool, step.implied = name, True
                if number < failed:
                    fail(step, Failure(None, None))
                yield step
