"""Whose a failure is: the model provider's or the program's, a call's own or passed on from below."""

from __future__ import annotations

import re
from typing import Final

from spantriage.failures import said
from spantriage.model import Step

__all__ = ["blames_model", "echoes", "leads_to", "reason_of"]

_MODEL_WORDS: Final = re.compile(
    r"\bAPI(Status|Response)?Error|APIConnection|APITimeout|(RateLimit|InternalServer|BadRequest|Authentication|PermissionDenied)Error"
    r"|Error code: \d{3}|openai|anthropic|claude|gpt-|gemini|vertex|bedrock|mistral|cohere|groq|litellm|ollama|deepseek|hugging.?face"
    r"|\bLLMs?\b|\bmodel|Model[A-Z]|chat.?completion|ChatClient|completions|generating output|inference|_quota|current quota|tokens per",
    re.IGNORECASE,
)
# How a model call ended that went well, and what the steps around it fail with when they cannot use the answer.
_LEADS_TO: Final[dict[str, tuple[str, ...]]] = {
    "length": ("truncated_output", "malformed_output"),
    "content_filter": ("content_filtered",),
    "malformed_tool_call": ("malformed_output",),
}
_PROVIDER_CODE: Final = tuple(re.compile(rf"""['"]{key}['"]\s?:\s?['"](?!error['"])([\w.-]{{3,60}})['"]""") for key in ("code", "type"))


def blames_model(step: Step) -> bool:
    """Say whether a failure is a model provider's: of a model call it is; elsewhere the words must name a model or its API.

    An agent that has a model of its own makes calls that have no spans.
    """
    if step.kind == "model" or (step.kind == "agent" and step.model is not None):
        return True
    return _MODEL_WORDS.search(said(step.error_type, step.error_message)) is not None


def leads_to(step: Step) -> tuple[str, ...]:
    """The failures of the steps above that would be the doing of this model call, though its own span is well."""
    if step.failed or step.kind != "model":
        return ()
    if step.content is not None and step.content.empty and step.sign in ("ok", "stop", "unknown"):
        return ("malformed_output",)
    if step.content is not None and step.content.refusal:
        return ("refusal",)
    return _LEADS_TO.get(step.sign, ())


def reason_of(step: Step) -> str | None:
    """The provider's own code for a failure where its message holds one, else the exception's type."""
    for pattern in _PROVIDER_CODE:
        if found := pattern.search(step.error_message or ""):
            return found[1]
    return step.error_type if step.error_type != "Exception" else None


def echoes(parent: Step, child: Step) -> bool:
    """Say whether the parent's failure is the child's, passed on or wrapped."""
    if not child.failed:  # an answer that the parent could not use
        return parent.sign in leads_to(child)
    if child.sign not in ("error", "echo") and parent.sign == child.sign:
        return True
    ours, theirs = child.error_message, parent.error_message
    if ours and theirs and (ours[:80] in theirs or theirs[:80] in ours):
        return True
    if parent.error_type is not None and parent.error_type == child.error_type:
        return True
    # A failure without words, or one that ends with its child, is a wrapper unless the table knows it for another.
    return parent.sign == "error" and child.end_ns <= parent.end_ns <= child.end_ns + (parent.end_ns - parent.start_ns) // 4
