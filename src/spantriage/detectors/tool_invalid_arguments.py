"""tool.invalid_arguments"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spantriage import text
from spantriage.arguments import blame, fault
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, ToolCall, Verdict
from spantriage.requested import Request, Requests, asked_by, succeeded
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState

_CITY: Mapping[str, Mapping[str, object] | None] = {
    "get_weather": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
}
_CUT_SHORT = frozenset({"length", "incomplete_stream", "connection", "timeout", "cancelled", "content_filter"})


def _asks(arguments: str, valid: bool = True) -> Step:
    return asks(ToolCall("get_weather", "c1", arguments, valid), declared=_CITY)


@dataclass(frozen=True, slots=True)
class InvalidArguments(Detector):
    """A model called a tool with arguments that the tool cannot take.

    They are not a JSON object, lack a required property, hold one that the tool does not know, or are of a wrong type;
    `reason` says which ("not_json", "missing_property", "unknown_property", "wrong_type"), else it is the exception's type.

    ## Why it matters
    The turn is lost at best. At worst the framework passes on what it could read, and the tool does something else than
    was asked: a weather tool called with no city still answers.

    ## What to do
    Use the provider's strict mode, shorten and simplify the schema, give an example in the tool's description, and
    return validation errors to the model in words that name the property.

    ## When it is wrong
    The finding stands at the model call that wrote the arguments. Instrumentations that cut long arguments can make them
    unreadable; the usual lengths and marks of a cut are taken into account. Declared schemas are compared at their top
    level only, and a mismatch that the tool took without complaint is "info". A tool that fails to parse what it
    received from elsewhere says much the same; that is told apart by its arguments, and is tool.error.
    """

    code = "tool.invalid_arguments"
    category = "tool_issue"
    subcategory = "wrong_args"
    actionable = "Use strict tool schemas, and return validation errors to the model in words that name the property."
    tier = "worker"
    speaks_of = frozenset({"model", "tool", "workflow", "agent"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: at once, at the model call where it is known."""
        if agent.run.ended:
            return
        if step.kind == "model":
            for request, reason, words in _faults(step, agent):
                yield self._speak(request.step, request.call.name, reason, words, step)
                return
        elif (blamed := blame(step)) is not None:
            asked = asked_by(step, agent)
            anchor, tool = (step, step.tool) if asked is None else (asked.step, asked.call.name)
            yield self._speak(anchor, tool, blamed, None, step)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """One finding for each model call with a bad request, whether the request itself or the error shows it."""
        requests = Requests.of(settled)
        found: dict[int, Verdict] = {}
        for step in settled.sequence:
            for request, reason, words in _faults(step, run.agent_of(step)) if step.kind == "model" else ():
                answer = next(requests.answers(request), None)
                verdict = self._speak(step, request.call.name, reason, words, step)
                if reason != "not_json" and answer is not None and succeeded(answer):
                    verdict.severity = "info"
                if step.span_id not in found or found[step.span_id].severity == "info":
                    found[step.span_id] = verdict
        for step in settled.sequence:
            blamed = blame(step) if step.kind in self.speaks_of and step.kind != "model" and step.sign != "echo" else None
            if blamed is None:
                continue
            asked = requests.behind(step)
            anchor, tool = (step, step.tool) if asked is None else (asked.step, asked.call.name)
            known = found.get(anchor.span_id)
            if known is None:
                found[anchor.span_id] = known = self._speak(anchor, tool, blamed, None, step)
            elif all(step is not known_step for known_step in known.evidence):
                known.root_cause, known.evidence = known.root_cause or _words(step), (*known.evidence, step)
                known.severity = None
            if step.failed and step.span_id in settled.fatal:
                known.severity = "error"
        yield from found.values()

    def _speak(self, anchor: Step, tool: str | None, reason: str, words: str | None, said: Step) -> Verdict:
        return self.found(
            anchor,
            f"The arguments for tool {tool} {words or 'were refused'}" if tool else "The model wrote a tool call that could not be read",
            root_cause=_words(said) if said.kind != "model" else None,
            reason=reason,
            score=None if words else 0.85,
            evidence=[said] if said is not anchor else [],
        )

    fires_on = (
        (_asks('{"city": "Par', False), answers("sunny")),
        (
            _asks('{"town": 7}'),
            fails(calls("get_weather", '{"town": 7}'), "ValidationError", "1 validation error for get_weather"),
            answers("sorry"),
        ),
        (_asks('{"city": ["Paris"]}'), answers("sunny")),
        (
            asks("search"),
            fails(calls("search", '{"query": 1}'), "TypeError", "search() got an unexpected keyword argument 'query'"),
            answers("sorry"),
        ),
        (answers(None, finish="MALFORMED_FUNCTION_CALL"), answers("sorry")),
    )
    quiet_on = (
        (_asks('{"city": "Paris", "days": "3"}'), calls("get_weather", result="sunny"), answers("sunny")),
        (_asks('{"city": "Paris", "unit": "C"}'), calls("get_weather", result="sunny"), answers("sunny")),
        (
            asks("fetch"),
            fails(calls("fetch", '{"id": 1}'), "JSONDecodeError", "Expecting ',' delimiter: line 1 column 9 (char 8)"),
            answers("sorry"),
        ),
        (asks("load"), fails(calls("load", '{"id": 1}'), "ValidationError", "2 validation errors for OrderRecord"), answers("sorry")),
        (asks(ToolCall("apply_patch", "c1", "*** Begin Patch", False)), calls("apply_patch", result="done"), answers("patched")),
        (asks(ToolCall("now", "c1", "null", False)), calls("now", result="12:00"), answers("noon")),
        (answers(None, finish="length", requested=[ToolCall("write", "c1", '{"text": "a long st', False)]),),
        (asks(ToolCall("find", "c1", "{'name': 'Bo'}", False)), calls("find", result="1 hit"), answers("found")),
    )


def _faults(step: Step, agent: AgentState) -> Iterator[tuple[Request, str, str]]:
    """Requests of a model call that no tool could serve. An answer that was cut short is its own failure."""
    if step.failed or step.sign in _CUT_SHORT:
        return
    bad = False
    for call in step.content.requested if step.content is not None else ():
        found = fault(call, agent.declared.get(call.name or ""))
        if found is not None:
            bad = True
            yield Request(call, step), *found
    if step.finish == "malformed_tool_call" and not bad:
        yield Request(ToolCall(None), step), "malformed_tool_call", "could not be read"


def _words(step: Step) -> str | None:
    said = step.error_message if step.failed else step.result
    return text.clip(" ".join((said or "").split()), 160) or None
