"""Claude Code: stream-json output, the session files under `~/.claude/projects`, and the result object alone.

Several lines may be parts of one message, and repeat its usage; a stream's usage is what was known when the message
began, so that the totals of its last line are what counts. A run whose only write was refused says "success" all the same:
every entry of `permission_denials` is a refused call here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.model import Step
from spantriage.sources import Labels, Piece, Source, ids, times
from spantriage.sources.talk import Failure, Talk, Told, Usage, listed, mapping

__all__ = ["AGENT", "SOURCE", "Session", "begun", "read", "sniff"]

AGENT: Final = "claude-code"
MARKS: Final = (b'"parentUuid"', b'"permission_denials"', b'"parent_tool_use_id"', b'"claude_code_version"', b'"leafUuid"')
QUEUE: Final = (b'"queue-operation"', b'"file-history-snapshot"')
LIMITS_HIT: Final = {"error_max_turns": "MaxTurnsExceeded", "error_max_budget_usd": "UsageLimitExceeded"}
_TIME: Final = re.compile(rb'"timestamp"\s*:\s*"([^"]{10,40})"')
TASKS: Final = ("Task", "Agent")  # tools that start another agent


def sniff(head: bytes, name: str) -> bool:
    """Claims files that use Claude Code's own keys near their beginning."""
    begin = head.lstrip()[:1]
    if begin not in (b"{", b"["):
        return False
    if any(mark in head for mark in MARKS) and (b'"session_id"' in head or b'"sessionId"' in head):
        return True
    return b'"sessionId"' in head and any(mark in head for mark in QUEUE)


def read(file: TraceFile) -> Iterator[Piece]:
    """The sessions of a file, usually one."""
    session: Session | None = None
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        if not isinstance(found.value, dict):
            yield Skip(file.path, found.line, "not a JSON object")
            continue
        name = found.value.get("session_id") or found.value.get("sessionId")
        if session is None or (type(name) is str and session.name not in (None, name)):
            if session is not None:
                yield from session.close()
            session = Session(file.path, name if type(name) is str else None, start_ns=None if session is not None else begun(file.head))
        yield from session.add(found.value, found.line)
    if session is not None:
        yield from session.close()


def begun(head: bytes) -> int | None:
    """The first time that a file tells: replies in a stream have none of their own."""
    found = _TIME.search(head)
    return times.read(found[1].decode("utf-8", "replace")) if found is not None else None


def totals(usage: dict[str, object]) -> Usage:
    """Tokens as the API counts them, which leaves cached ones out of the input, as we count them."""
    cached, made = text.count(usage.get("cache_read_input_tokens")), text.count(usage.get("cache_creation_input_tokens"))
    fresh = text.count(usage.get("input_tokens"))
    return Usage(None if fresh is None else fresh + (cached or 0) + (made or 0), text.count(usage.get("output_tokens")), cached)


@dataclass(slots=True)
class Session:
    """One session: its main conversation, and one for each agent that it started."""

    path: str
    name: str | None
    trace_id: int = 0
    parent_id: int | None = None
    own_id: int | None = None  # the main agent's span, where it is made elsewhere
    start_ns: int | None = None
    agent: str = AGENT
    result: dict[str, object] = field(default_factory=dict)
    tools: list[str] = field(default_factory=list)
    model: str | None = None
    talks: dict[str, Talk] = field(default_factory=dict)
    calls: dict[str, Step] = field(default_factory=dict)  # tool calls by id, to be corrected by the last line
    _started: dict[str, str] = field(default_factory=dict)  # call that started an agent -> the agent's name
    _parts: list[dict[str, object]] = field(default_factory=list)  # lines of the message that is being read
    _told: Told = field(default_factory=Told)  # what the messages add up to

    def __post_init__(self) -> None:
        known = ids.from_uuid(self.name)
        if not self.trace_id:
            self.trace_id = known[0] if known is not None else ids.trace_id(AGENT, self.name or self.path)

    def add(self, line: dict[str, object], number: int) -> Iterator[Piece]:
        """One line."""
        kind = line.get("type")
        if kind == "assistant":
            if self._parts and self._id(self._parts[0]) != self._id(line):
                yield from self._flush(number)
            self._parts.append(line)
            return
        yield from self._flush(number)
        if kind == "user":
            yield from self._take(self._talk(line), mapping(line.get("message")), line, number)
        elif kind == "system" and line.get("subtype") == "init":
            self.tools = [tool for tool in listed(line.get("tools")) if type(tool) is str]
            self.model = text.name(line.get("model"))
        elif kind == "result":
            self.result = line
        elif type(kind) is not str:
            yield Skip(self.path, number, "a line without a type")

    def close(self) -> Iterator[Piece]:
        """What is left: the last message, refused calls, the agents, what the messages did not tell of the totals."""
        yield from self._flush(0)
        main = self._main()
        failure = self.failure
        yield from self._refused(main)
        said = self.result.get("result")
        duration = text.number(self.result.get("duration_ms"))
        end = None if duration is None else (main.start_ns or 0) + int(duration * 1e6)
        for talk in self.talks.values():
            own = talk is main
            if own and (self.own_id is not None or (talk.is_empty and not self.result)):
                continue  # it is made elsewhere, or its file holds only what agents said that it has started
            yield from talk.close(end if own else None, failure if own else None, said if own and type(said) is str else None)
        if self.result or not main.is_empty:
            yield self._rest(main)
        labels = {} if self.own_id is not None else {"form": AGENT}
        denied = len(listed(self.result.get("permission_denials")))
        if denied:
            labels["permission_denials"] = str(denied)
        yield Labels(self.trace_id, labels)

    def _main(self) -> Talk:
        return self.talks.get("") or self._make("", self.agent)

    def _make(self, key: str, agent: str) -> Talk:
        declared = dict.fromkeys(self.tools) if self.tools else None
        parent = self.talks[""].span_id if key and "" in self.talks else self.parent_id
        talk = Talk(self.trace_id, agent, self.path, AGENT, parent, None if key else self.start_ns, self.model, key, declared)
        talk.own_id = None if key else self.own_id
        self.talks[key] = talk
        return talk

    def _talk(self, line: dict[str, object]) -> Talk:
        """The conversation that a line belongs to: the main one, or that of an agent that a tool call started."""
        key = text.string(line.get("parent_tool_use_id"))
        if key is None and line.get("isSidechain") is True:
            key = text.string(line.get("agentId")) or "sidechain"
        if key is None:
            return self._main()
        if "" not in self.talks:
            self._main()
        return self.talks.get(key) or self._make(key, self._started.get(key) or text.name(line.get("agentId")) or "subagent")

    @staticmethod
    def _id(line: dict[str, object]) -> object:
        return mapping(line.get("message")).get("id") or line.get("uuid")

    def _flush(self, number: int) -> Iterator[Piece]:
        parts, self._parts = self._parts, []
        if not parts:
            return
        last = parts[-1]
        message = mapping(last.get("message"))
        content: list[object] = []
        for part in parts:
            said = mapping(part.get("message")).get("content")
            content += said if isinstance(said, list) else [{"type": "text", "text": said}] if type(said) is str else []
        yield from self._take(self._talk(last), {**message, "role": "assistant", "content": content}, last, number)

    def _take(self, talk: Talk, message: dict[str, object], line: dict[str, object], number: int) -> Iterator[Piece]:
        model, failure, usage = text.name(message.get("model")), None, None
        if message.get("role") == "assistant":
            usage = self._usage(message)
            if line.get("isApiErrorMessage") is True or line.get("error"):
                said = next((p.get("text") for p in map(mapping, listed(message.get("content"))) if p.get("text")), None)
                failure = Failure(text.string(line.get("error")) or "APIError", text.plain(said))
        for part in map(mapping, listed(message.get("content"))):
            call_id, given = text.string(part.get("id")), mapping(part.get("input"))
            if part.get("type") == "tool_use" and part.get("name") in TASKS and call_id is not None:
                self._started[call_id] = text.name(given.get("subagent_type")) or text.name(given.get("name")) or "subagent"
        when, finish = times.read(line.get("timestamp")), message.get("stop_reason")
        steps = talk.add(message, when, usage=usage, finish=finish, model=model, line=number, failure=failure)
        for step in steps:
            step.span_id = ids.span_id(self.trace_id, message.get("id") or step.call_id or line.get("uuid") or step.span_id, step.kind)
            self._told.take(step)
            if step.kind == "tool" and step.call_id is not None:
                self.calls[step.call_id] = step
            yield step

    def _usage(self, message: dict[str, object]) -> Usage:
        """One message's tokens. While a stream runs, the output is what had come when the message began: not a count."""
        usage = totals(mapping(message.get("usage")))
        if message.get("stop_reason") is None:
            usage.output_tokens = None
        return usage

    def _rest(self, main: Talk) -> Step:
        """The part of the result's totals that no message told; nothing where there is no result."""
        at = main.now_ns
        step = Step(self.trace_id, ids.span_id(self.trace_id, "usage"), main.span_id, at, at, "event", "usage of the session", AGENT)
        step.agent, step.source = main.agent, self.path
        total = totals(mapping(self.result.get("usage")))
        total.cost_usd = text.number(self.result.get("total_cost_usd"))
        return self._told.rest(step, total)

    @property
    def failure(self) -> Failure | None:
        """What the result says that the run failed with, if it does."""
        kind, status = text.string(self.result.get("subtype")), self.result.get("api_error_status")
        said = text.string(self.result.get("result"))
        if type(status) in (int, str) and status:
            return Failure("APIError", f"Error code: {status} - {said or ''}")
        if kind in LIMITS_HIT:
            return Failure(LIMITS_HIT[kind], said or f"the run ended with {kind}")
        if self.result.get("is_error") is True or (kind or "success").startswith("error"):
            errors = [each for each in listed(self.result.get("errors")) if type(each) is str]
            return Failure(kind if kind != "success" else "Error", said or "; ".join(errors) or None)
        return None

    def _refused(self, main: Talk) -> Iterator[Step]:
        for denial in map(mapping, listed(self.result.get("permission_denials"))):
            call_id, tool = text.name(denial.get("tool_use_id")), text.name(denial.get("tool_name"))
            step = self.calls.get(call_id or "")
            if step is None:
                at = main.now_ns
                span_id = ids.span_id(self.trace_id, call_id or text.plain(denial), "tool")
                step = Step(self.trace_id, span_id, main.span_id, at, at, "tool", tool or "tool", AGENT)
                step.agent, step.source, step.tool, step.call_id = main.agent, self.path, tool, call_id
                step.arguments = text.plain(denial.get("tool_input"))
                step.arguments_digest = text.digest(step.arguments)
                yield step
            step.failed, step.sign, step.error_type = True, "permission_denied", "PermissionDenied"
            step.error_message = step.error_message or "the user's settings do not allow it"


SOURCE: Final = Source("claude-code", sniff, read, rank=30, settles=True)
