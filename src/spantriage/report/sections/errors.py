"""7: what failed, in whose hands, and why as far as the data tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spantriage.cause import RANK
from spantriage.model import Step
from spantriage.report.case import Case
from spantriage.report.figures import seconds
from spantriage.report.words import Section, Sentence, code, tell

__all__ = ["errors"]

SHOWN: Final = 40
TIMES: Final = frozenset({"timeout"})


def errors(case: Case) -> Section:
    """Exceptions, failed tool calls, agents' errors, timeouts; each failure once, where it began."""
    section = Section("7. Errors & Issues")
    section.heading("Exceptions")
    failed = [s for s in case.steps if s.failed and s.sign != "echo" and s.kind not in ("tool", "agent")]
    section.listing(_told(case, failed), Sentence("None was recorded."))
    section.heading("Failed Tool Calls")
    tools = [s for s in case.calls if s.sign not in ("ok", "echo")]
    asked = [s for s in case.steps if s.kind == "workflow" and s.sign == "unknown_tool"]
    section.listing(_tool_failures(case, [*tools, *asked]), Sentence("None: no tool call failed." if case.calls else "None: no tool ran."))
    section.heading("Agent Errors")
    section.listing(_agents(case), Sentence("None: no agent ended in an error."))
    section.heading("Timeouts")
    late = [s for s in case.steps if s.sign in TIMES and s.sign != "echo"]
    section.listing((_one(case, step) for step in late[:SHOWN]), Sentence("None."))
    section.heading("All Findings")
    findings = sorted(case.findings, key=lambda f: (-RANK[f.severity], not f.primary, f.time))[:200]
    rows = [
        (
            (
                f.severity,
                code(f.code),
                tell("{}", f.agent or "-"),
                tell("{}", f.summary),
                tell("{}", f.root_cause or "not told"),
                f"{f.score:.2f}",
            ),
            case.refs_of(f),
        )
        for f in findings
    ]
    section.table(("Severity", "Code", "Agent", "What Happened", "Cause", "Score"), rows, Sentence("Nothing was found."))
    return section


def _told(case: Case, steps: list[Step]) -> Iterator[Sentence]:
    """The same words of the same place once, with their number."""
    groups: dict[tuple[str | None, str, str | None], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.agent, step.error_type or step.sign, step.error_message), []).append(step)
    for (agent, kind, said), own in list(groups.items())[:SHOWN]:
        often = f" ({len(own)} times)" if len(own) > 1 else ""
        yield tell("{} in {} of {}" + often + ": {}", kind, code(own[0].name), agent, said or "no message", refs=case.cite(*own))


def _tool_failures(case: Case, steps: list[Step]) -> Iterator[Sentence]:
    groups: dict[tuple[str | None, str, str], list[Step]] = {}
    for step in steps:
        said = step.error_message or step.result or "no message"
        groups.setdefault((step.tool or step.name.removeprefix("tool "), step.sign, said[:120]), []).append(step)
    for (tool, sign, said), own in list(groups.items())[:SHOWN]:
        often = f" {len(own)} times" if len(own) > 1 else ""
        agents = ", ".join(sorted({step.agent or "unknown" for step in own}))
        yield tell("{} failed" + often + " for {} ({}): {}", code(tool), agents, sign, said, refs=case.cite(*own))


def _agents(case: Case) -> Iterator[Sentence]:
    for step in [s for s in case.steps if s.kind == "agent" and s.failed and s.sign != "echo"][:SHOWN]:
        yield tell("{} ended in {}: {}", step.agent, step.error_type or step.sign, step.error_message or "no message", refs=case.cite(step))


def _one(case: Case, step: Step) -> Sentence:
    return tell(
        "{} of {} after {}: {}",
        code(step.tool or step.name),
        step.agent,
        seconds(step.duration_ns / 1e9),
        step.error_message or "timeout",
        refs=case.cite(step),
    )
