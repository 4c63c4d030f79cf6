"""LlamaIndex through OpenInference: agents are marked as chains, and which of them is at work stands in its events' texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from spantriage import text
from spantriage.dialects import Attributes, Dialect, openinference
from spantriage.history import History
from spantriage.model import Content, Span, Step

AGENT_RUN: Final = re.compile(r"^(\w*Agent\w*)\.run$")
AT_WORK: Final = re.compile(r"current_agent_name=(?:'([^']{1,200})'|\"([^\"]{1,200})\")")
STEPS: Final = (".init_run", ".setup_agent", ".run_agent_step", ".parse_agent_output")
READ: Final = 200_000  # characters of an event's text that are searched


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims nothing by attribute: the scope is always `openinference.instrumentation.llama_index`."""
    return False


def fill(step: Step, attributes: Attributes) -> None:
    """OpenInference, then agents by their class, and tools without their wrappers."""
    openinference.fill(step, attributes)
    if step.kind == "tool":
        step.arguments, step.result = arguments_of(step.arguments), result_of(step.result)
    elif step.kind == "workflow":
        run = AGENT_RUN.match(step.name)
        if run is not None:
            step.kind, step.agent = "agent", run[1]
        elif step.name.endswith(STEPS):
            step.agent = next((name for key in ("output.value", "input.value") if (name := at_work(attributes.get(key)))), None)


def at_work(event: object) -> str | None:
    """The agent that an event names."""
    found = AT_WORK.search(event[:READ]) if type(event) is str else None
    return None if found is None else text.name(found[1] or found[2])


def arguments_of(given: str | None) -> str | None:
    """The arguments of the call: keyword arguments stand in a wrapper."""
    loaded = text.load(given) if given is not None and given.startswith('{"') else None
    inner = loaded.get("kwargs") if isinstance(loaded, Mapping) and loaded.keys() <= {"args", "kwargs"} else None
    return text.plain(inner) if isinstance(inner, Mapping) else given


def result_of(taken: str | None) -> str | None:
    """What the model was shown of the tool's result, out of LlamaIndex's own record of it."""
    loaded = text.load(taken) if taken is not None and '"tool_name"' in taken else None
    if not isinstance(loaded, Mapping):
        return taken
    blocks = loaded.get("blocks")
    if isinstance(blocks, list):
        said = "\n".join(block["text"] for block in blocks if isinstance(block, Mapping) and type(block.get("text")) is str)
    else:
        said = text.plain(loaded.get("raw_output")) or ""
    if loaded.get("is_error") is True and said and not said.lower().startswith("error"):
        return f"Error: {said}"
    return said


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """Flattened messages. What an agent gives back is an object's text, cut short, and no answer to look at."""
    if step.kind == "agent":
        return Content()
    return openinference.read_content(step, attributes, span, history)


def settle(steps: list[Step]) -> None:
    """Give each call to the agent that was at work in its run, and the run itself to the first of them."""
    runs = {step.span_id: step for step in steps if step.kind == "agent" and step.dialect == DIALECT.name}
    parents = {step.span_id: step.parent_id for step in steps}
    working: dict[int, str] = {}
    for step in steps:
        run_id = _run_of(step, runs, parents)
        if run_id is None:
            continue
        if step.kind == "workflow" and step.agent is not None and step.name.endswith(STEPS):
            if run_id not in working:
                runs[run_id].agent = step.agent
            working[run_id] = step.agent
        elif step.kind in ("model", "tool") and step.agent is None:
            step.agent = working.get(run_id)


def _run_of(step: Step, runs: Mapping[int, Step], parents: Mapping[int, int | None]) -> int | None:
    """The agent's run that the step is in, a few spans up."""
    span_id = step.parent_id
    for _ in range(16):
        if span_id is None or span_id in runs:
            return span_id
        span_id = parents.get(span_id)
    return None


DIALECT: Final = Dialect(
    "openinference_llama_index", ("openinference.instrumentation.llama_index",), speaks, fill, read_content, rank=35, settle=settle
)  # before openinference, whose scopes are a prefix
