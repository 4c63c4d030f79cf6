"""How each library spells the same facts. One file each: a table, a function for the scalars, one for the messages.

A dialect is recognised by instrumentation scope first, by attributes second; one dialect speaks per span.
`read` looks at scalars only; `read_content` may parse JSON, within caps.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from spantriage import text
from spantriage.failures import is_failure, name_failure, read_result
from spantriage.history import History
from spantriage.model import Content, Span, Step

__all__ = ["DIALECTS", "Attributes", "Dialect", "find", "read", "read_content", "settle", "speaks_agent"]

Attributes = Mapping[str, object]
ERROR_CAP: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One library's spelling. Give it a file here and a `DIALECT`; nothing else has to be edited."""

    name: str
    scopes: tuple[str, ...]  # instrumentation scope names; one ending in "*" is a prefix
    speaks: Callable[[Attributes, str], bool]  # (attributes, span name): for spans of scopes that nobody claims
    fill: Callable[[Step, Attributes], None]  # kind, agent, tool, model, usage, finish: scalars only
    content: Callable[[Step, Attributes, Span, History], Content | None]  # messages: may parse JSON
    rank: int = 50  # order of the attribute probes, lowest first
    probes: tuple[str, ...] = ()  # attribute keys of which one is there whenever `speaks` can be true
    settle: Callable[[list[Step]], None] | None = None  # puts right what only the whole run shows, before agents are told apart


def find(scope: str, attributes: Attributes, span_name: str) -> Dialect | None:
    """The dialect that this span is written in, or None when it is none of an agent's."""
    claimed = _BY_SCOPE[scope] if scope in _BY_SCOPE else _claim(scope)
    if claimed is not None:
        return claimed
    told = _PROBES.intersection(attributes)
    candidates = _BY_PROBES.get(told)
    if candidates is None:
        candidates = _able(told)
    for dialect in candidates:
        if dialect.speaks(attributes, span_name):
            return dialect
    return None


def speaks_agent(scope: str, attributes: Attributes) -> bool:
    """Say, as a span starts, whether it will be an agent's: its scope is claimed, or a telling attribute is there."""
    try:
        claimed = _BY_SCOPE[scope]
    except KeyError:
        claimed = _claim(scope)
    return claimed is not None or not _PROBES.isdisjoint(attributes)


def read(span: Span, attributes: Attributes, scope: str, failed: bool) -> Step | None:
    """Say in our words what `span` did; None when no dialect speaks. `failed` is its status, already looked at."""
    dialect = find(scope, attributes, span.name)
    if dialect is None:
        return None
    context, parent = span.context, span.parent
    step = Step(
        context.trace_id,
        context.span_id,
        None if parent is None else parent.span_id,
        span.start_time or 0,
        span.end_time or 0,
        "other",
        span.name,
        dialect.name,
    )
    dialect.fill(step, attributes)
    if failed:
        read_error(step, span, attributes)
    elif step.failed:  # the dialect knows it from an attribute of its own
        step.sign = name_failure(step.kind, step.error_type, step.error_message)
    elif step.kind == "model":
        if step.finish is not None:
            step.sign = step.finish
    elif step.kind == "tool" and type(step.result) is str:
        step.sign = read_result(step.result) or "ok"
    if step.kind == "tool":
        step.arguments_digest = text.digest(step.arguments)
        step.result_digest = text.digest(step.result)
    return step


def read_error(step: Step, span: Span, attributes: Attributes) -> None:
    """Fill in what a span with an error status says: type, message, the name of the failure."""
    kind, message = error_of(span, attributes)
    if not is_failure(kind):
        return
    step.failed = True
    if message == kind:  # a status text that repeats the type says nothing
        message = None
    step.error_type, step.error_message = kind or step.error_type, message or step.error_message
    step.sign = name_failure(step.kind, step.error_type, step.error_message)


def error_of(span: Span, attributes: Attributes) -> tuple[str | None, str | None]:
    """Exception type (last segment) and message: from the exception event, `error.type`, or the status text."""
    kind = message = None
    for event in span.events:
        if event.name == "exception" and event.attributes:
            kind = text.string(event.attributes.get("exception.type"))
            message = text.string(event.attributes.get("exception.message"))
    if kind is None:
        kind = text.string(attributes.get("error.type"))
    status = getattr(span, "status", None)
    said = text.string(getattr(status, "description", None))
    if said is not None and (kind is None or message is None):
        head, separator, rest = said[: ERROR_CAP * 2].partition(": ")
        if separator and head.isidentifier():
            kind, message = kind or head, message or rest
        else:
            message = message or said
    if kind is not None:  # "<class 'openai.RateLimitError'>" and "openai.RateLimitError" are RateLimitError
        kind = text.clip(kind.removeprefix("<class '").removesuffix("'>").rpartition(".")[2] or kind, text.NAME_CAP)
    return kind, None if message is None else text.clip(message, ERROR_CAP)


def read_content(step: Step, span: Span, attributes: Attributes, history: History) -> None:
    """Read what the step's messages say into `step.content`. For the worker: may parse JSON, within caps."""
    dialect = _BY_NAME.get(step.dialect)
    if dialect is not None:
        step.content = dialect.content(step, attributes, span, history)


def settle(steps: list[Step]) -> None:
    """Let each dialect of a run put right what only all of its steps show. The steps are copies, by start."""
    spoken = {step.dialect for step in steps}
    for dialect in DIALECTS:
        if dialect.settle is not None and dialect.name in spoken:
            dialect.settle(steps)


def _claim(scope: str) -> Dialect | None:
    """The dialect that owns this scope name; remembered, as a program has few scopes."""
    claimed = next((d for d in DIALECTS if any(_matches(pattern, scope) for pattern in d.scopes)), None)
    if len(_BY_SCOPE) < 4096:  # scope names come from outside
        _BY_SCOPE[scope] = claimed
    return claimed


def _able(told: frozenset[str]) -> tuple[Dialect, ...]:
    """The dialects that may speak where just these of the telling attributes are there; remembered."""
    able = tuple(dialect for dialect in DIALECTS if not told.isdisjoint(dialect.probes))
    if len(_BY_PROBES) < 4096:
        _BY_PROBES[told] = able
    return able


def _matches(pattern: str, scope: str) -> bool:
    return scope.startswith(pattern[:-1]) if pattern.endswith("*") else scope == pattern


def _discover() -> tuple[Dialect, ...]:
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return tuple(sorted((m.DIALECT for m in modules if hasattr(m, "DIALECT")), key=lambda d: (d.rank, d.name)))


DIALECTS: Final = _discover()
_PROBES: Final = frozenset(key for dialect in DIALECTS for key in dialect.probes)
_BY_NAME: Final = {dialect.name: dialect for dialect in DIALECTS}
_BY_SCOPE: Final[dict[str, Dialect | None]] = {}
_BY_PROBES: Final[dict[frozenset[str], tuple[Dialect, ...]]] = {}
