"""The steps of a recorded conversation: each reply a model call, each answered request a tool call, an agent around them.

Logs of messages tell when a message was written, not when work on it began: a model call begins with the message
before it, a tool call with the request. Where they tell no times, messages follow each other by a microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from spantriage import text
from spantriage.failures import name_failure, read_result
from spantriage.history import Tail
from spantriage.messages import finish_reason, read_reply, read_tail
from spantriage.model import Content, Step, ToolCall, ToolResult
from spantriage.sources import ids

__all__ = ["Failure", "Talk", "Told", "Usage", "fail", "listed", "mapping"]

TICK_NS: Final = 1_000
ASSISTANT: Final = frozenset({"assistant", "ai", "model"})
# How Claude Code tells a model that it may not do what it asked for.
REFUSED: Final = re.compile(
    r"was blocked\. For security|requested permissions? to|haven't granted|requires approval|denied by your"
    r"|Permission to use \S+ (?:with|has)",
)
USED: Final = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
OPEN: Final = 256  # requests that wait for an answer; the oldest are given up
MESSAGES: Final = 100_000  # of one conversation; what comes later is counted and not read


@dataclass(slots=True)
class Usage:
    """Tokens and cost of one model call; input includes cached tokens, output includes reasoning."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(slots=True)
class Told(Usage):
    """What steps have told so far of a total that something else tells."""

    unpriced: list[Step] = field(default_factory=list)  # model calls that told no cost

    def take(self, step: Step) -> None:
        """Add a step's own."""
        if step.kind == "model" and step.cost_usd is None:
            self.unpriced.append(step)
        for name in USED:
            amount = getattr(step, name)
            if amount is not None:
                setattr(self, name, (getattr(self, name) or 0) + amount)

    def rest(self, step: Step, total: Usage) -> Step:
        """Let `step` tell what is missing to the total; nothing of what the total does not know.

        A cost that is known as a whole is shared out among the calls by their tokens, so that nobody prices them again.
        """
        for name in USED:
            whole = getattr(total, name)
            setattr(step, name, None if whole is None else max(0, whole - (getattr(self, name) or 0)))
        left = step.cost_usd
        if left is not None:
            left = max(0.0, left - sum(call.cost_usd or 0.0 for call in self.unpriced))  # what was shared out in the meantime
            calls = {id(call): (call.input_tokens or 0) + (call.output_tokens or 0) for call in self.unpriced if call.cost_usd is None}
            tokens = sum(calls.values())
            for call in self.unpriced if tokens else ():
                if call.cost_usd is None:
                    call.cost_usd = left * calls[id(call)] / tokens
            step.cost_usd = None if tokens else left
        return step


@dataclass(slots=True)
class Failure:
    """What a run, or a part of it, failed with."""

    kind: str | None
    message: str | None


@dataclass(slots=True)
class Talk:
    """One agent's conversation. Give it the messages as they come; what `add` and `close` yield are its steps."""

    trace_id: int
    agent: str
    source: str
    dialect: str
    parent_id: int | None = None
    start_ns: int | None = None  # when it began, where that is known
    model: str | None = None
    key: str = ""  # keeps apart several conversations of one trace
    declared: dict[str, Mapping[str, object] | None] | None = None
    own_id: int | None = None  # the agent's span, where it is made elsewhere
    truncated: int = 0  # messages beyond the cap
    now_ns: int = 0
    first_ns: int | None = None
    result: str | None = None  # its last word, as long as nothing was asked for with it
    _open: dict[str, tuple[ToolCall, int]] = field(default_factory=dict)  # requests without an answer, and when they were made
    _nameless: dict[str, tuple[ToolCall, int]] = field(default_factory=dict)  # the same, of logs that carry no ids
    _number: int = 0
    _task: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said yet."""
        return self._number == 0

    @property
    def span_id(self) -> int:
        """The agent's own span."""
        return self.own_id or ids.span_id(self.trace_id, self.key, "agent")

    def add(
        self,
        message: Mapping[str, object],
        when_ns: int | None = None,
        *,
        usage: Usage | None = None,
        finish: object = None,
        model: str | None = None,
        line: int = 0,
        failure: Failure | None = None,
    ) -> Iterator[Step]:
        """Take a message in the order in which they were written; `when_ns` is when that was."""
        if self._number >= MESSAGES:
            self.truncated += 1
            return
        begun = self._advance(when_ns)
        role = message.get("role")
        if type(role) is str and role in ASSISTANT:
            step = self._reply(message, begun, usage, finish, failure)
            step.model = text.name(model) or self.model
            step.note = {"line": line} if line else None
            yield step
            return
        content = Content()
        read_tail(content, Tail([message]))
        if content.task is not None and self._task is None:
            self._task = content.task
        for result in content.results:
            yield self._call(result, begun, line)

    def close(self, end_ns: int | None = None, failure: Failure | None = None, result: str | None = None) -> Iterator[Step]:
        """The agent's own step. Requests that nothing answered stay without."""
        start = self.start_ns if self.start_ns is not None else self.first_ns
        start = start if start is not None else self.now_ns
        end = max(start, self.now_ns, end_ns or 0)
        step = Step(self.trace_id, self.span_id, self.parent_id, start, end, "agent", self.agent, self.dialect)
        step.agent, step.source = self.agent, self.source
        step.result = result if result is not None else self.result
        if failure is not None:
            fail(step, failure)
        yield step

    def _advance(self, when_ns: int | None) -> int:
        """Move the clock to the message; returns when the one before it was written."""
        begun = self.now_ns or self.start_ns or when_ns or 0
        self.now_ns = max(begun, when_ns) if when_ns is not None else begun + TICK_NS
        if self.first_ns is None:
            self.first_ns = begun
        self._number += 1
        return begun

    def _step(self, kind: str, name: str, begun: int) -> Step:
        span_id = ids.span_id(self.trace_id, self.key, self._number, len(self._open) + len(self._nameless), name)
        step = Step(self.trace_id, span_id, self.span_id, begun, self.now_ns, "other", name, self.dialect)
        step.kind = "model" if kind == "model" else "tool"
        step.agent, step.source = self.agent, self.source
        return step

    def _reply(self, message: Mapping[str, object], begun: int, usage: Usage | None, finish: object, failure: Failure | None) -> Step:
        step = self._step("model", "chat", begun)
        content = Content(task=self._task, declared=self.declared)
        self.declared = None
        said = read_reply(content, message)
        step.content = content
        step.finish = finish_reason(finish) or finish_reason(said) or ("tool_calls" if content.requested else None)
        step.sign = step.finish or "ok"
        if usage is not None:
            step.input_tokens, step.output_tokens, step.cached_tokens = usage.input_tokens, usage.output_tokens, usage.cached_tokens
            step.reasoning_tokens, step.cost_usd = usage.reasoning_tokens, usage.cost_usd
        if failure is not None:
            fail(step, failure)
        for number, call in enumerate(content.requested):
            waiting = self._open if call.call_id is not None else self._nameless
            waiting[call.call_id or f"{self._number}:{number}"] = call, self.now_ns
            if len(waiting) > OPEN:
                del waiting[next(iter(waiting))]
        self.result = content.text if not content.requested else None
        return step

    def _call(self, result: ToolResult, begun: int, line: int) -> Step:
        call, asked_ns = self._asked(result) or (None, begun)
        name = (call.name if call is not None else None) or result.name
        step = self._step("tool", name or "tool", min(asked_ns, self.now_ns))
        self._number += 1
        step.tool, step.call_id = name, result.call_id or (call.call_id if call is not None else None)
        step.arguments = call.arguments if call is not None else None
        step.result = result.text
        step.note = {"line": line} if line else None
        if result.failed:
            fail(step, Failure(None, result.text))
            if REFUSED.search(result.text):
                step.sign, step.error_type = "permission_denied", "PermissionDenied"
        else:
            step.sign = read_result(result.text) or "ok"
        step.arguments_digest, step.result_digest = text.digest(step.arguments), text.digest(step.result)
        return step

    def _asked(self, result: ToolResult) -> tuple[ToolCall, int] | None:
        """The request that a result answers: by its id, else the oldest of that tool among those that may be meant."""
        if result.call_id in self._open:
            return self._open.pop(result.call_id)
        for waiting in (self._nameless,) if result.call_id is not None else (self._nameless, self._open):
            key = next((key for key, (call, _) in waiting.items() if result.name is None or call.name == result.name), None)
            if key is not None:
                return waiting.pop(key)
        return None


def fail(step: Step, failure: Failure) -> None:
    """Mark a step as failed, and name the failure."""
    step.failed = True
    step.error_type = text.name(failure.kind.rpartition(".")[2] or failure.kind) if failure.kind else None
    step.error_message = text.clip(failure.message, 500) if failure.message else None
    step.sign = name_failure(step.kind, step.error_type, step.error_message)


def mapping(value: object) -> dict[str, object]:
    """A JSON object, or {}."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[object]:
    """A JSON list, or []."""
    return value if isinstance(value, list) else []
