"""MassGen: agents that answer in rounds and vote. Spans and log rows under Logfire's own scope, told by their attributes.

The tree cannot be trusted (after an agent's first call its spans hang under the whole run), so everything is told
apart by `massgen.agent_id`. Usage on agents' spans is a running total. What a round came to is in the step's `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from spantriage import semconv, text
from spantriage.dialects import Attributes, Dialect
from spantriage.failures import name_failure
from spantriage.history import History
from spantriage.model import Content, Kind, Span, Step, ToolCall, ToolResult

# The first word of a span's name says what it is; a log row's is a sentence.
KINDS: Final[dict[str, Kind]] = {
    "coordination": "workflow", "orchestrator": "workflow", "persona": "workflow", "agent": "agent", "subagent": "agent",
    "llm": "model", "mcp": "tool", "mcp_tool": "tool", "tool": "tool", "custom_tool": "tool",
}  # fmt: skip
WRAPPERS: Final = ("mcp_tool.", "custom_tool.")  # around the span of the same call
TOOL_ROW: Final = "Tool execution: "
ROWS: Final = (
    TOOL_ROW, "Coordination event: ", "Agent answer: ", "Agent vote: ", "Agent restart: ", "Agent round context: ",
    "Agent workspace files: ", "Winner selected: ", "Final answer from ", "Token usage recorded", "Context compression performed",
    "Iteration ", "Subagent ",
)  # fmt: skip
NAMES: Final = (*(f"{word}." for word in KINDS), *ROWS)
SLACK_NS: Final = (5_000_000, 1_000_000_000)  # how long after a call its row may come: told how long the call took, or not
USAGE_ROW: Final = "Token usage recorded"
PROBES: Final = ("massgen.agent_id", "massgen.num_agents", "massgen.subagent_id", "event_type", "agent_id", "llm.operation", "tool.type")
_PROBES: Final = frozenset(PROBES)
_HEADS: Final = frozenset(name[:3] for name in NAMES)  # for a first cheap look

NOTED: Final = {
    "massgen.round": "round", "massgen.round_number": "round", "round": "round", "round_number": "round",
    "massgen.round_type": "round_type", "round_type": "round_type", "massgen.iteration": "iteration", "iteration": "iteration",
    "massgen.outcome": "outcome", "massgen.answer_label": "answer_label", "answer_label": "answer_label",
    "massgen.voted_for": "voted_for", "massgen.voted_for_label": "voted_for_label", "voted_for_label": "voted_for_label",
    "massgen.num_context_answers": "context_answers", "num_answers_in_context": "context_answers",
    "massgen.context_labels": "context_labels", "answer_labels": "context_labels", "massgen.is_winner": "is_winner",
    "massgen.vote_count": "vote_count", "vote_count": "vote_count", "massgen.backend": "backend", "massgen.log_path": "log_path",
    "massgen.context_compression": "context_compression", "massgen.parent_agent_id": "parent_agent", "event_type": "event_type",
    "answer_preview": "answer_preview", "available_answers": "available_answers", "reason": "reason", "end_reason": "reason",
    "triggering_agent": "triggering_agent", "restart_count": "restart_count", "winner_agent_id": "winner", "winner_label": "winner_label",
    "subagent.status": "status",
}  # fmt: skip
SCALARS: Final = frozenset({str, int, float, bool})
# (input, output, cached, reasoning, cost), on agents' spans and in a log row
TOTALS: Final = tuple(f"massgen.usage.{name}" for name in ("input", "output", "cached_input", "reasoning", "cost"))
RECORDED: Final = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "estimated_cost")

# What MassGen answers in a tool's place when it makes an agent try again, and the reason it counts that under.
NOTICES: Final = (
    ("You must use workflow tools", "no_workflow_tool"),
    ("Tool(s) not available this round", "no_workflow_tool"),
    ("You have reached your answer limit", "answer_limit"),
    ("You've reached the maximum of", "answer_limit"),
    ("The global maximum of", "answer_limit"),
    ("Invalid agent_id '", "invalid_vote_id"),
    ("Cannot vote when no answers exist", "vote_no_answers"),
    ("Cannot use both 'vote' and 'new_answer'", "vote_and_answer"),
    ("Your answer is too similar to existing answers", "answer_novelty"),
    ("Answer already provided by", "answer_duplicate"),
)


def speaks(attributes: Attributes, span_name: str) -> bool:
    """Claims MassGen's names with one of its attributes; never the root that every run opens and drops before it starts."""
    if "massgen.agent_id" not in attributes and (span_name[:3] not in _HEADS or not span_name.startswith(NAMES)):
        return False
    if attributes.get("logfire.span_type") == "pending_span" or _PROBES.isdisjoint(attributes):
        return False
    return not (attributes.get("massgen.task") == "" and "massgen.log_path" not in attributes and span_name == "coordination.session")


def fill(step: Step, attributes: Attributes) -> None:
    """Scalars only; this runs on the agent's thread."""
    get = attributes.get
    head, dot, _ = step.name.partition(".")
    is_row = step.name.startswith(TOOL_ROW)
    step.kind = kind = "tool" if is_row else KINDS.get(head, "event") if dot else "event"
    step.agent = _said(get("massgen.agent_id")) or _said(get("agent_id")) or _said(get("massgen.subagent_id"))
    noted = {NOTED[key]: value for key, value in attributes.items() if key in NOTED and value is not None and value != "null"}
    step.note = {key: value if type(value) in SCALARS else text.plain(value) for key, value in noted.items()} or None
    _FILL.get(kind, _fill_event)(step, attributes)


def _said(value: object) -> str | None:
    """A name; Python's None arrives as the string "null"."""
    return None if value == "null" else text.name(value)


def _fill_agent(step: Step, attributes: Attributes) -> None:
    _fill_usage(step, attributes, TOTALS)
    step.cumulative = True
    if attributes.get("massgen.outcome") == "error" or attributes.get("subagent.success") is False:
        _fail(step, attributes.get("massgen.error_message") or attributes.get("subagent.error"))


def _fill_model(step: Step, attributes: Attributes) -> None:
    semconv.fill_model(step, attributes)
    step.model = step.model or _said(attributes.get("llm.model"))
    step.cost_usd = text.number(attributes.get("llm.cost_usd"))


def _fill_event(step: Step, attributes: Attributes) -> None:
    if step.name == USAGE_ROW:
        step.streamed = True  # it belongs to the model call that it was logged under
        _fill_usage(step, attributes, RECORDED)


def _fill_usage(step: Step, attributes: Attributes, keys: tuple[str, ...]) -> None:
    get = attributes.get
    step.input_tokens, step.output_tokens = text.count(get(keys[0])), text.count(get(keys[1]))
    step.cached_tokens, step.reasoning_tokens = text.count(get(keys[2])), text.count(get(keys[3]))
    step.cost_usd = text.number(get(keys[4])) or None  # 0 stands for a model without a known price


def _fill_tool(step: Step, attributes: Attributes) -> None:
    get = attributes.get
    step.tool = _said(get("tool.name")) or _said(get("tool_name")) or text.name(_tool_of(step.name))
    given = get("tool.input_preview") or get("tool.arguments_preview") or get("arguments_preview")
    step.arguments = _whole(given, get("tool.input_chars", get("input_chars")), None)
    if get("tool.success") is False or get("success") is False:
        _fail(step, get("tool.error") or get("error_message"))
    else:
        size = get("tool.output_chars", get("output_chars"))
        step.result = _whole(get("tool.output_preview") or get("output_preview"), size, f"… ({size} characters)")
    if step.name.startswith(TOOL_ROW) and step.start_ns == step.end_ns:
        took = text.number(get("execution_time_ms"))
        step.start_ns = step.end_ns - int((took or 0) * 1e6)
        step.note = {**(step.note or {}), "is_row": True}
    elif step.name.startswith((*WRAPPERS, TOOL_ROW)):
        step.note = {**(step.note or {}), "is_wrapper": True}


def _tool_of(name: str) -> str:
    """`mcp.files.read` is the tool that models know as `mcp__files__read`."""
    if name.startswith(TOOL_ROW):
        return name.removeprefix(TOOL_ROW)
    head, _, rest = name.partition(".")
    return f"mcp__{rest.replace('.', '__', 1)}" if head == "mcp" else rest.removeprefix("custom.")


def _whole(preview: object, size: object, more: str | None) -> str | None:
    """A preview as it stands if that is all there was; else with `more` behind it, or nothing, so that it equals no other."""
    said = text.string(None if preview == "null" else preview)
    if said is None or type(size) is not int or size <= len(said):
        return said
    return None if more is None else said + more


def _fail(step: Step, message: object) -> None:
    step.failed, step.error_message = True, text.clip(_said(message) or "", 500) or None
    step.sign = name_failure(step.kind, None, step.error_message)


_FILL: Final[dict[Kind, Callable[[Step, Attributes], None]]] = {"agent": _fill_agent, "model": _fill_model, "tool": _fill_tool}


def read_content(step: Step, attributes: Attributes, span: Span, history: History) -> Content | None:
    """The answers that an agent was shown, into its note. Messages are in the spans of the client below."""
    if step.kind == "event":
        shown = text.load(attributes.get("answer_previews"))
        if isinstance(shown, Mapping):
            step.note = {**(step.note or {}), "answers": {str(name): said for name, said in shown.items() if type(said) is str}}
        return None
    return semconv.read_content(step, attributes, span, history) if step.kind == "model" else None


def settle(steps: list[Step]) -> None:
    """One step for each tool call, an agent for each model call, a result for each round; notices told from tools' results."""
    by_id = {step.span_id: step for step in steps}
    for step in steps:
        above = by_id.get(step.parent_id or 0)
        if step.kind == "model" and above is not None and above.dialect == "massgen" and above.model is not None:
            step.agent = step.agent or above.agent
    _merge_calls([step for step in steps if step.kind == "tool" and step.dialect == "massgen"])
    _read_notices([step for step in steps if step.kind == "model"])
    _give_results([step for step in steps if step.kind == "agent"], [step for step in steps if step.kind == "event" and step.note])


def _merge_calls(tools: list[Step]) -> None:
    """A wrapper's span, the call's own and the log rows behind them tell of one call: the innermost is it."""
    rank = {"is_wrapper": 1, "is_row": 2}
    kept: list[Step] = []
    for step in sorted(tools, key=lambda s: max((rank[key] for key in rank if key in (s.note or {})), default=0)):
        inner = [s for s in kept if _is_same(s, step)] if step.note and not rank.keys().isdisjoint(step.note) else []
        if not inner:
            kept.append(step)
            continue
        call = inner[-1]
        step.kind = "workflow" if "is_wrapper" in (step.note or {}) else "other"
        call.tool = step.tool if call.tool is None or (step.tool or "").endswith(f"__{call.tool}") else call.tool
        call.arguments = call.arguments if call.arguments is not None else step.arguments
        call.result = call.result if call.result is not None or call.failed else step.result
        call.arguments_digest, call.result_digest = text.digest(call.arguments), text.digest(call.result)
        if step.failed and not call.failed:
            call.failed, call.sign, call.error_message = True, step.sign, step.error_message
        if "is_row" in (step.note or {}):
            step.failed, step.sign = False, "ok"


def _is_same(call: Step, told: Step) -> bool:
    """Say whether `told` speaks of the call: same agent and tool, at the same time."""
    if call.agent != told.agent and call.agent is not None and told.agent is not None:
        return False
    ours, theirs = call.tool or "", told.tool or ""
    late_ns = SLACK_NS[told.start_ns == told.end_ns]
    return (ours == theirs or theirs.endswith(f"__{ours}")) and call.start_ns <= told.end_ns and told.start_ns <= call.end_ns + late_ns


def _read_notices(models: list[Step]) -> None:
    asked = {call.call_id: step for step, call in reversed(list(_requests(models))) if call.call_id is not None}
    for step in models:
        if step.content is None or not step.content.results:
            continue
        results: list[ToolResult] = []
        for result in step.content.results:
            reason = next((reason for notice, reason in NOTICES if result.text.startswith(notice)), None)
            results.append(result if reason is None else replace(result, ran=False))
            anchor = asked.get(result.call_id) if reason is not None and result.call_id is not None else None
            if anchor is not None:
                anchor.note = {**(anchor.note or {}), "enforcement_reason": reason, "error_message": result.text}
        step.content = replace(step.content, results=results)


def _give_results(rounds: list[Step], rows: list[Step]) -> None:
    """An agent's result is what was taken of it: its answer, or whom it voted for."""
    for row in rows:
        note = row.note or {}
        taken = note.get("voted_for_label") if note.get("event_type") == "vote_cast" else note.get("answer_preview")
        at = next((s for s in reversed(rounds) if s.agent == row.agent and s.start_ns <= row.start_ns <= s.end_ns), None)
        if at is not None and type(taken) is str:
            at.result = taken


def _requests(models: list[Step]) -> Iterator[tuple[Step, ToolCall]]:
    for step in models:
        for call in step.content.requested if step.content is not None else ():
            yield step, call


DIALECT: Final = Dialect("massgen", (), speaks, fill, read_content, rank=30, probes=PROBES, settle=settle)
