"""Answers of OpenAI's Responses API, where an instrumentation recorded them whole."""

from __future__ import annotations

from collections.abc import Mapping

from spantriage import text
from spantriage.messages import read_definitions, read_reply
from spantriage.model import Content, Step
from spantriage.semconv import set_finish

__all__ = ["read_answer"]


def read_answer(step: Step, content: Content, output: object) -> None:
    """Read an answer as it was received: a response, a list that holds one (so streamed chats end up), or chat messages."""
    loaded = text.load(output)
    if isinstance(loaded, list) and len(loaded) == 1 and isinstance(loaded[0], Mapping) and loaded[0].get("object") == "response":
        loaded = loaded[0]
    if isinstance(loaded, Mapping):
        _read_response(step, content, loaded)
    elif loaded is not None:
        read_reply(content, loaded)


def _read_response(step: Step, content: Content, response: Mapping[str, object]) -> None:
    """What was said, the tools that were offered, and how it ended."""
    content.declared = content.declared or read_definitions(response.get("tools"))
    read_reply(content, response.get("output"))
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    status = "tool_calls" if content.requested and response.get("status") == "completed" else response.get("status")
    if step.finish is None:
        set_finish(step, reason or status)
