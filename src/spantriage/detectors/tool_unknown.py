"""tool.unknown"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from spantriage.detectors import Detector
from spantriage.detectors.example import agent as agent_span
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.model import Step, ToolCall, ToolResult, Verdict
from spantriage.requested import LOOK_BACK, Request, Requests, asked_by, is_undeclared, unknown_tool, was_refused
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState

_WEATHER = {"get_weather": None}


@dataclass(slots=True)
class _Claim:
    """What is held against one model call: the names it made up, and the steps that say so."""

    anchor: Step
    names: list[str]
    evidence: list[Step]
    loose: bool = False  # only a text says so


@dataclass(frozen=True, slots=True)
class UnknownTool(Detector):
    """A model asked for a tool that does not exist.

    ## Why it matters
    The turn is lost, and most frameworks answer with an error text under a healthy span. Models that make up a tool
    tend to do it again, or to make up what it would have answered.

    ## What to do
    Compare the name with the tools that were declared. When it is a near miss, rename the tool or say in its
    description what it is for; when prompts or earlier messages speak of a tool that this agent lacks, declare it or
    take it out of them.

    ## When it is wrong
    Tools that the provider runs itself, hand-overs to other agents and answers given as tool calls need not be
    declared; their usual names, the names of the run's agents, and tools that worked at least once are left alone. Where
    only some of the tools were recorded, a tool that fails the first time may be taken for an unknown one.
    """

    code = "tool.unknown"
    category = "tool_issue"
    subcategory = "wrong_tool"
    actionable = "Declare the tool, or remove its name from the prompts; answer with the list of tools that exist."
    tier = "worker"
    speaks_of = frozenset({"model", "tool", "workflow", "agent"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: an error that names an unknown tool, or a request that the next model call shows refused."""
        if agent.run.ended:
            return
        if step.kind == "model":
            yield from self._check_previous(step, agent)
        elif (name := unknown_tool(step, agent)) is not None:
            asked = asked_by(step, agent)
            named = name or (asked.call.name if asked is not None else None)
            yield self._speak(_Claim(step if asked is None else asked.step, [named] if named else [], [step], loose=True))

    def _check_previous(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """The model call before this one has had its answers by now; a tool that worked exists."""
        previous: Step | None = None
        for asked in islice(reversed(agent.requested.values()), LOOK_BACK):
            if asked.step is step:
                continue
            if previous is not None and asked.step is not previous:
                break
            previous, request = asked.step, Request(asked.call, asked.step)
            if is_undeclared(request.call.name, agent) and was_refused(request, step):
                yield self._speak(_Claim(asked.step, [request.call.name or ""], [asked.step]))

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """One finding for each model call that asked for unknown tools, whether the request or the error shows it."""
        requests = Requests.of(settled)
        claims: dict[int, _Claim] = {}
        for step in settled.sequence:
            agent = run.agent_of(step)
            for call in step.content.requested if step.kind == "model" and step.content is not None else ():
                name = call.name or ""
                if is_undeclared(name, agent) and not requests.works(name):
                    claims.setdefault(step.span_id, _Claim(step, [], [step])).names.append(name)
        for step in settled.sequence:
            said = unknown_tool(step, run.agent_of(step)) if step.kind in self.speaks_of and step.kind != "model" else None
            if said is None:
                continue
            asked = requests.behind(step)
            anchor = step if asked is None else asked.step
            named = said or (asked.call.name if asked is not None else None)
            claim = claims.setdefault(anchor.span_id, _Claim(anchor, [], [], loose=True))
            claim.evidence.append(step)
            if named and named not in claim.names:
                claim.names.append(named)
        for claim in claims.values():
            fatal = any(s.failed and s.span_id in settled.fatal for s in claim.evidence)
            verdict = self._speak(claim)
            verdict.severity = "error" if fatal else None
            yield verdict

    def _speak(self, claim: _Claim) -> Verdict:
        names = list(dict.fromkeys(claim.names))
        said = " and ".join(names[:3]) or "a tool"
        exists = "none of these is" if len(names) > 1 else "which is not"
        return self.found(
            claim.anchor,
            f"The model asked for {said}, {exists} among its tools",
            reason=", ".join(names) or None,
            score=0.85 if claim.loose else None,
            evidence=claim.evidence,
        )

    fires_on = (
        (
            asks(ToolCall("launch_rocket", "c1", '{"x": 1}', True), declared=_WEATHER),
            answers(
                "sunny", declared=_WEATHER, results=[ToolResult("Unknown tool name: 'launch_rocket'. Available tools: 'get_weather'", "c1")]
            ),
        ),
        (
            asks("launch_rocket", declared=_WEATHER),
            answers("sunny", results=[ToolResult("Error: KeyError: 'launch_rocket'", "call_launch_rocket")]),
        ),
        (asks("launch_rocket"), fails(calls("launch_rocket"), "ValueError", "Tool launch_rocket not found"), answers("sorry")),
        (
            fails(span("workflow", "Step 1"), "AgentToolExecutionError", "Unknown tool launch_rocket, should be one of: get_weather"),
            answers("sorry"),
        ),
    )
    quiet_on = (
        (asks("get_weather", declared=_WEATHER), calls("get_weather", result="sunny"), answers("sunny")),
        (asks("web_search", declared=_WEATHER), answers("sunny")),
        (asks("transfer_to_billing", declared=_WEATHER), answers("hello from billing")),
        (asks("final_result", declared=_WEATHER),),
        (asks("launch_rocket"), answers("sunny")),
        (asks("unknown_tool", declared=_WEATHER), calls("unknown_tool", result="sunny"), answers("sunny")),
        (asks("researcher", declared=_WEATHER), agent_span("researcher", parent_id=1, result="found"), answers("done")),
        (asks("lookup", declared=_WEATHER), calls("lookup", result="42"), answers("42")),
        (asks("bash"), fails(calls("bash"), "ToolError", "sh: function deploy not found"), answers("sorry")),
    )
