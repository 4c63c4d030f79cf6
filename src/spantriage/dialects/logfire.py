"""Logfire's own OpenAI and Anthropic instrumentations: GenAI conventions, with streamed replies in a log of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.history import History
from spantriage.messages import read_reply, read_tail
from spantriage.model import Content, Span, Step

STREAMED: Final = "streaming response from"


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scopes are `logfire.openai` and its siblings."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """A reply that came as a stream is a log next to its request: kind "event", with usage and finish reason."""
    semconv.fill(step, attributes)
    if step.kind == "other" and "request_data" in attributes:
        step.kind = "model"
        semconv.fill_model(step, attributes)
    if step.name.startswith(STREAMED):
        step.kind, step.streamed = "event", True
        semconv.fill_model(step, attributes)
    elif step.kind == "model":
        raw = attributes.get("gen_ai.usage.raw")
        if type(raw) is str and step.cached_tokens is None:
            semconv.fill_raw_usage(step, raw)


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Messages as in the conventions; before Logfire 5 they were in `request_data` and `response_data`."""
    content = semconv.read_content(step, attributes, span, history)
    if content is None:
        return None
    raw = attributes.get("gen_ai.usage.raw")
    if type(raw) is str and step.cached_tokens is None:
        semconv.fill_raw_usage(step, raw)
    if "gen_ai.input.messages" not in attributes:
        request = text.load(attributes.get("request_data"))
        messages = request.get("messages") if isinstance(request, Mapping) else None
        if messages is not None:
            content.captured = True
            read_tail(content, history.tail(messages))
    if "gen_ai.output.messages" not in attributes:
        response = text.load(attributes.get("response_data"))
        reply = response.get("message") if isinstance(response, Mapping) else None
        if reply is not None:
            read_reply(content, reply)
    if step.kind == "event" and step.finish is None and content.text is not None:
        step.sign = "incomplete_stream"  # an answer began and no finish reason came
    return content


DIALECT: Final = Dialect("logfire", ("logfire.openai", "logfire.anthropic"), speaks, fill, read_content)
