"""The OpenAI Agents SDK as Logfire records it: a span for each template, facts as JSON under the SDK's own names.

The root stays OK when the run raises; what failed is in `error`, on the span where it failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import ERROR_CAP, Attributes, Dialect
from spantriage.history import History
from spantriage.messages import read_definitions, read_tail
from spantriage.model import Content, Kind, Span, Step
from spantriage.responses import read_answer

# How the templates of span names begin.
TEMPLATES: Final[tuple[tuple[str, Kind], ...]] = (
    ("Chat completion with ", "model"),
    ("Responses API", "model"),
    ("Function: ", "tool"),
    ("Agent run: ", "agent"),
    ("Guardrail ", "guardrail"),
    ("Turn ", "workflow"),
    ("Task: ", "workflow"),
    ("Handoff: ", "workflow"),
    ("Custom span: ", "workflow"),
    ("OpenAI Agents trace: ", "workflow"),
    ("MCP: list tools", "setup"),
)
# Where a span says whose it is, besides its place in the tree.
OWNERS: Final = ("agent_name", "from_agent")
NULLS: Final = (None, "null", "", "[]", "{}")


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `logfire.openai_agents`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """Kind by the template, then the scalars of that kind, then the error."""
    template = text.string(attributes.get("logfire.msg_template")) or step.name
    if attributes.get("logfire.span_type") == "pending_span":
        return  # a copy of a span that is still open
    kind: Kind = next((kind for head, kind in TEMPLATES if template.startswith(head)), "other")
    step.kind = kind
    if kind == "model":
        semconv.fill_model(step, attributes)
        if step.input_tokens == 0 and step.output_tokens == 0:
            step.input_tokens = step.output_tokens = None  # a stream without usage
        else:
            semconv.fill_raw_usage(step, attributes.get("usage"))
    elif kind == "tool":
        step.tool = text.name(attributes.get("name"))
        step.arguments = text.plain(known(attributes, "input"))
        step.result = text.plain(known(attributes, "output"))
    elif kind == "agent":
        step.agent = text.name(attributes.get("name"))
    else:
        step.agent = next((text.name(attributes[key]) for key in OWNERS if key in attributes), None)
    if kind == "guardrail":
        step.note = {"triggered": attributes.get("triggered") is True}
    step.conversation = text.name(known(attributes, "group_id"))
    said = text.string(attributes.get("logfire.msg"))
    if said is not None:
        step.name = text.clip(said.partition(" failed: ")[0], text.NAME_CAP)  # span names are templates
    if "error" in attributes:
        fill_error(step, attributes["error"])


def known(attributes: Attributes, key: str) -> object:
    """A value; Python's None arrives as the string "null"."""
    value = attributes.get(key)
    return None if value == "null" else value


def fill_error(step: Step, value: object) -> None:
    """What the SDK says went wrong: a message and, in `data`, the exception's text or the name of a tool."""
    error = text.load(value)
    if not isinstance(error, Mapping):
        return
    step.failed = True
    data = error.get("data")
    details = [data.get(key) for key in ("error", "tool_name", "guardrail") if data.get(key)] if isinstance(data, Mapping) else []
    parts = [part for part in (error.get("message"), *details[:1]) if type(part) is str and part]
    step.error_message = text.clip(": ".join(parts), ERROR_CAP) or None


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Chat messages are in `input` and `output`; the Responses API's items in `raw_input` and `response`."""
    if step.kind == "agent":
        # Without handoffs, whose tool names are not listed, an agent's tools are all that it has.
        tools = attributes.get("tools") if attributes.get("handoffs") in NULLS else None
        return Content(declared=read_definitions(tools))
    if step.kind != "model":
        return None
    content = Content()
    read_answer(step, content, attributes["response"] if "response" in attributes else known(attributes, "output"))
    given = known(attributes, "input")
    given = known(attributes, "raw_input") if given is None else given
    if given is not None:
        content.captured = True
        read_tail(content, history.tail(given))
    return content


DIALECT: Final = Dialect("openai_agents", ("logfire.openai_agents",), speaks, fill, read_content)
