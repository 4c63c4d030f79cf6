"""W&B Weave: calls as its query API streams them, one a line, or as the client posts them in batches.

Usage and counts of errors in a call's summary include those of its children; only a call without children tells its own.
Which calls have children is known when all are read, so until then a call is kept with what its summary says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from spantriage import text, values
from spantriage.failures import read_result
from spantriage.files import Skip, TraceFile
from spantriage.history import Tail
from spantriage.messages import finish_reason, read_definitions, read_reply, read_tail
from spantriage.model import Content, Kind, Step
from spantriage.sources import Labels, Piece, Source, ids, times
from spantriage.sources.talk import Failure, fail, listed, mapping

FORM: Final = "weave"
MODELS: Final = ("chat", "completion", "completions", "generate", "generate_content", "messages", "responses", "llm", "predict")
TOOLS: Final = ("tool", "execute_tool", "call_tool", "function_call")
KINDS: Final[dict[str, Kind]] = {"agent": "agent", "llm": "model", "tool": "tool", "scorer": "other"}
INPUT: Final = ("input_tokens", "prompt_tokens", "prompt_token_count")
OUTPUT: Final = ("output_tokens", "completion_tokens", "candidates_token_count")
CACHED: Final = ("cache_read_input_tokens", "cached_content_token_count")
RUNNING: Final = "running"
WAITING: Final = 20_000  # calls that wait for children; more lie between a call and its children in no export


def sniff(head: bytes, name: str) -> bool:
    """Claims calls by their `op_name` beside a project or a trace."""
    return b'"op_name"' in head and (b'"project_id"' in head or b'"trace_id"' in head) and head.lstrip()[:1] in (b"{", b"[")


def read(file: TraceFile) -> Iterator[Piece]:
    """The calls of a file. A call whose children were seen gives up the usage that they told."""
    waiting: dict[tuple[int, int], Step] = {}  # calls with usage, by trace and span
    parents: dict[tuple[int, int], None] = {}  # calls that have children
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        for call in _calls(found.value):
            step = _step(call, file.path) if call is not None else None
            if step is None:
                yield Skip(file.path, found.line, "a call without an id and a name")
                continue
            if step.parent_id is not None:
                parents[step.trace_id, step.parent_id] = None
            if step.input_tokens is not None or step.output_tokens is not None or step.cost_usd is not None:
                waiting[step.trace_id, step.span_id] = step
            yield step
            if step.parent_id is None and mapping(call.get("output") if call is not None else None).get("success") is False:
                yield Labels(step.trace_id, {"form": FORM, "outcome": "failed"})
            while len(waiting) > WAITING:
                key = next(iter(waiting))
                _settle(waiting.pop(key), is_leaf=key not in parents)
            while len(parents) > WAITING:
                del parents[next(iter(parents))]
    for key, step in waiting.items():
        _settle(step, is_leaf=key not in parents)


def _calls(value: object) -> Iterator[Mapping[str, object] | None]:
    """The calls in a value: itself, a list, or a batch of what the client posts: starts and ends wrapped in requests."""
    wrapped = value.get("batch") or value.get("calls") if isinstance(value, dict) else None
    for each in wrapped if isinstance(wrapped, list) else (value,):
        call = mapping(each)
        inner = mapping(call.get("req")) or call
        inner = mapping(inner.get("start")) or inner
        yield inner if "op_name" in inner else None


def _step(call: Mapping[str, object], path: str) -> Step | None:
    span_id, trace_id = _id(call.get("id"), 1), _id(call.get("trace_id") or call.get("id"), 0)
    if span_id is None or trace_id is None:
        return None
    start, end = times.read(call.get("started_at")) or 0, times.read(call.get("ended_at"))
    op = _leaf(call.get("op_name"))
    step = Step(
        trace_id, span_id, _id(call.get("parent_id"), 1), start, end or start, "other", text.name(call.get("display_name")) or op, FORM
    )
    step.source, step.tool = path, None
    step.conversation = text.name(call.get("thread_id"))
    summary, inputs = mapping(call.get("summary")), mapping(call.get("inputs"))
    usage = mapping(summary.get("usage"))
    step.kind = _kind(call, op, bool(usage))
    _fill_usage(step, usage, mapping(summary.get("weave")))
    if step.kind == "tool":
        step.tool = op
        step.arguments = text.plain({key: value for key, value in inputs.items() if key != "self"})
        step.result = text.plain(call.get("output"))
        step.sign = read_result(step.result or "") or "ok"
    elif step.kind == "model":
        step.model = text.name(inputs.get("model")) or text.name(next(iter(usage), None))
        step.content = _content(step, inputs, call.get("output"))
    elif step.kind == "agent":
        step.agent = step.name
    else:
        step.result = text.plain(call.get("output"))
    _read_failure(step, call.get("exception"), mapping(summary.get("weave")).get("status"), ended=end is not None)
    step.arguments_digest, step.result_digest = text.digest(step.arguments), text.digest(step.result)
    return step


def _kind(call: Mapping[str, object], op: str, used: bool) -> Kind:
    """By the kind that the call says itself, else by the op's name; usage alone may be that of children."""
    attributes = mapping(call.get("attributes"))
    told = attributes.get("kind") or mapping(attributes.get("weave")).get("kind")
    if type(told) is str and told in KINDS:
        return KINDS[told]
    words = op.lower().replace("-", "_").rpartition(".")[2]
    if used and words.endswith(MODELS):
        return "model"
    if words in TOOLS or words.endswith("_tool") or words.startswith("tool_"):
        return "tool"
    if "agent" in words:
        return "agent"
    return "workflow"


def _fill_usage(step: Step, usage: Mapping[str, object], weave: Mapping[str, object]) -> None:
    for told in map(mapping, usage.values()):
        for name, keys in (("input_tokens", INPUT), ("output_tokens", OUTPUT), ("cached_tokens", CACHED)):
            found = next((text.count(told[key]) for key in keys if key in told), None)
            if found is not None:
                setattr(step, name, (getattr(step, name) or 0) + found)
        if text.count(told.get("cache_read_input_tokens")) is not None and step.input_tokens is not None:  # Anthropic leaves them out
            more = (text.count(told.get(key)) or 0 for key in ("cache_read_input_tokens", "cache_creation_input_tokens"))
            step.input_tokens += sum(more)
    for told in map(mapping, mapping(weave.get("costs")).values()):
        for key in ("prompt_tokens_total_cost", "completion_tokens_total_cost"):
            cost = text.number(told.get(key))
            step.cost_usd = step.cost_usd if cost is None else (step.cost_usd or 0.0) + cost


def _settle(step: Step, *, is_leaf: bool) -> None:
    """Usage belongs to the calls at the bottom; one of those that has some called a model, whatever its name."""
    if not is_leaf:
        step.input_tokens = step.output_tokens = step.cached_tokens = step.cost_usd = None
        if step.kind == "model":
            step.kind, step.sign = "workflow", step.sign if step.failed else "ok"
    elif step.kind in ("workflow", "other"):
        step.kind, step.result = "model", None


def _content(step: Step, inputs: Mapping[str, object], output: object) -> Content:
    content = Content(declared=read_definitions(inputs.get("tools")))
    messages = listed(inputs.get("messages"))
    if messages:
        content.captured = True
        read_tail(content, Tail(messages))
    answer = mapping(output)
    for choice in map(mapping, listed(answer.get("choices"))):
        said = read_reply(content, {"role": "assistant", **mapping(choice.get("message"))})
        step.finish = finish_reason(choice.get("finish_reason") or said)
    if not listed(answer.get("choices")) and ("content" in answer or type(output) is str):
        read_reply(content, {"role": "assistant", "content": answer.get("content", output)})
        step.finish = finish_reason(answer.get("stop_reason"))
    step.sign = step.finish or "ok"
    return content


def _read_failure(step: Step, exception: object, status: object, *, ended: bool) -> None:
    """An exception is JSON in a string, or, of older clients, a traceback."""
    if exception is None:
        if status == "error":
            fail(step, Failure(None, None))
        elif not ended and status == RUNNING:
            step.note = {"unfinished": True}
        return
    told = mapping(text.load(exception))
    if told:
        fail(step, Failure(text.string(told.get("type")), text.plain(told.get("message"))))
        return
    said = (text.plain(exception) or "").rstrip()
    kind, _, message = said.rpartition("\n")[2].partition(": ")
    fail(step, Failure(kind if kind.replace(".", "").isidentifier() else None, message or said))


def _leaf(op_name: object) -> str:
    """The op's own name out of its reference: "weave:///entity/project/op/Name:digest"."""
    said = op_name if type(op_name) is str else ""
    return text.name(said.rpartition("/op/")[2].partition(":")[0] or said) or "call"


def _id(said: object, part: int) -> int | None:
    known = ids.from_uuid(said)
    if known is not None:
        return known[part]
    if type(said) is not str or not said:
        return None
    return ids.span_id(said) if part else ids.trace_id(said)


SOURCE: Final = Source(FORM, sniff, read, rank=40, settles=True)
