"""How far tools could be relied on: the same input, the same output; success that was none; likely causes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spantriage.model import Step
from spantriage.report.case import NS, Case
from spantriage.report.figures import seconds, share
from spantriage.report.words import Cell, Ref, Section, Sentence, code, tell

__all__ = ["HYPOTHESES", "tool_reliability"]

HYPOTHESES: Final = {
    "unknown_tool": "the tool is not registered for this agent, or the model invents its name: the prompt does not list what exists",
    "invalid_arguments": "the schema is not clear to the model, or the arguments were cut: a model limitation or a schema without examples",
    "permission_denied": "the place where the tool runs does not allow it: a path outside of the workspace, or a missing right",
    "rate_limited": "the service behind it limits how often it may be asked",
    "timeout": "the work takes longer than the tool waits, or the service behind it hangs",
    "connection": "the service behind it could not be reached, or went away: the network or a crashed server",
    "authentication": "the credential is missing, wrong or has run out",
    "out_of_memory": "the place where the tool runs has too little memory for the work",
    "provider_error": "the service behind it failed by itself",
    "silent_failure": "the tool reports success whatever its work came to, so that only its text tells of the failure",
    "cancelled": "somebody ended the call before it was done",
}
PATHS: Final = ("no such file", "not found", "does not exist", "enoent", "cannot find")
SHOWN: Final = 20


def tool_reliability(case: Case) -> Section:
    """One row for each tool, its variance, its wrong flags, hypotheses."""
    section = Section("Tool Reliability Analysis")
    nothing = tell("No tool ran.", refs=case.file("status.json", "total_calls")) if not case.calls else Sentence("None.")
    section.table(("Tool", "Calls", "Failed", "Said success and failed", "Max Time"), _rows(case), nothing)
    section.heading("Consistency")
    section.listing(
        _variance(case), Sentence("No tool gave different results for the same arguments." if case.calls else "No data: no tool ran.")
    )
    section.heading("False Positives/Negatives")
    section.listing(_false(case), Sentence("No tool's status contradicts its result." if case.calls else "No data: no tool ran."))
    section.heading("Root Cause Hypotheses")
    section.listing(_hypotheses(case), Sentence("None: no failure to explain."))
    return section


def _by_tool(case: Case) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for call in case.calls:
        found.setdefault(call.tool or call.name, []).append(call)
    return found


def _rows(case: Case) -> Iterator[tuple[tuple[Cell, ...], list[Ref]]]:
    ranked = sorted(_by_tool(case).items(), key=lambda each: (-sum(c.sign != "ok" for c in each[1]), -len(each[1]), each[0]))
    for tool, own in ranked:
        failed = [call for call in own if call.sign not in ("ok", "echo")]
        silent = sum(not call.failed for call in failed)
        timed = [call.duration_ns / NS for call in own if not call.implied]
        told = f"{len(failed)} ({share(len(failed), len(own))})" if failed else "0"
        yield (tell("{}", code(tool)), len(own), told, silent, seconds(max(timed)) if timed else "unknown"), case.cite(*(failed or own))


def _variance(case: Case) -> Iterator[Sentence]:
    """The same arguments with results that differ. What reads a changing world may well do that."""
    for tool, own in _by_tool(case).items():
        same: dict[int, list[Step]] = {}
        for call in own:
            if call.arguments_digest is not None:
                same.setdefault(call.arguments_digest, []).append(call)
        for calls in same.values():
            results = {call.result_digest if call.sign == "ok" else call.sign for call in calls}
            if len(calls) > 1 and len(results) > 1:
                words = "{} with {}: {} different results in {} calls."
                yield tell(
                    words, code(tool), code(calls[0].arguments or "no arguments", 100), len(results), len(calls), refs=case.cite(*calls)
                )


def _false(case: Case) -> Iterator[Sentence]:
    for call in [c for c in case.calls if c.sign not in ("ok", "echo") and not c.failed][:SHOWN]:
        yield tell("{} reported success, and its result says otherwise: “{}”", code(call.tool), call.result or "", refs=case.cite(call))
    for call in [c for c in case.calls if c.failed and c.result and '"success": true' in c.result][:SHOWN]:
        yield tell("{} reported failure, and its result says success: “{}”", code(call.tool), call.result, refs=case.cite(call))


def _hypotheses(case: Case) -> Iterator[Sentence]:
    groups: dict[tuple[str, str], list[Step]] = {}
    asked = [step for step in case.steps if step.kind == "workflow" and step.sign == "unknown_tool"]
    models = [step for step in case.steps if step.kind == "model" and step.failed and step.sign != "echo"]
    for step in [*case.calls, *asked, *models]:
        if step.sign not in ("ok", "echo") and (step.failed or step.kind != "model"):
            groups.setdefault((step.tool or step.name.removeprefix("tool "), step.sign), []).append(step)
    for (tool, sign), own in sorted(groups.items(), key=lambda each: -len(each[1]))[:SHOWN]:
        said = " ".join((step.error_message or step.result or "") for step in own[:5]).lower()
        if sign in ("error", "silent_failure") and any(word in said for word in PATHS):
            why = "a path that is not there: the agent assumes a layout that it has not looked at"
        else:
            why = HYPOTHESES.get(sign, "its messages name no cause that is known; see them above")
        yield tell("{} ({}, {} times): likely, " + why + ".", code(tool), sign, len(own), refs=case.cite(*own))
