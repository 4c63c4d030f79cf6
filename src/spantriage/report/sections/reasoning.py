"""How each agent thought and acted: strategy, responses to tools, recovery, decisions; signs by fixed thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from spantriage.deeds import deed_of
from spantriage.report.case import Case
from spantriage.report.figures import seconds, tokens
from spantriage.report.sections.signs import Conduct, conduct_of, signs
from spantriage.report.words import Cell, Ref, Row, Section, Sentence, missing, tell

__all__ = ["reasoning"]

QUOTES: Final = 3
SEQUENCE: Final = 12  # actions of an agent that are told


def reasoning(case: Case) -> Section:
    """Each agent in turn, the key patterns, all agents beside each other."""
    section = Section("Agent Reasoning & Behavior Analysis")
    conducts = [conduct_of(case, agent) for agent in case.records]
    for conduct in conducts:
        section.heading(f"Agent {conduct.agent}" if conduct.agent.replace("_", "").replace("-", "").isalnum() else "Agent")
        section.listing(_agent(case, conduct), missing("nothing of this agent's work was recorded."))
    section.heading("Key Patterns")
    rows: list[Row] = [
        ((name, tell("{}", agent), sign, told), refs) for conduct in conducts for name, agent, sign, told, refs in signs(case, conduct)
    ]
    section.table(("Pattern", "Agent", "Sign", "Observation"), rows, missing("no agent did any work."))
    section.heading("Cross-Agent Comparison")
    section.table(_COMPARED, [_compared(case, conduct) for conduct in conducts], missing("no agent did any work."))
    return section


def _agent(case: Case, conduct: Conduct) -> Iterator[Sentence]:
    yield _strategy(case, conduct)
    yield _responses(case, conduct)
    yield _recovery(case, conduct)
    yield _decisions(case, conduct)
    yield from _evidence(case, conduct)


def _strategy(case: Case, conduct: Conduct) -> Sentence:
    """What it did, in order; the same action in a row once."""
    acts: list[tuple[int, str, Ref]] = [(call.start_ns, call.tool or call.name, case.cite(call)[0]) for call in conduct.calls]
    acts += [(step.end_ns, f"turned down: {(step.note or {}).get('enforcement_reason')}", case.cite(step)[0]) for step in conduct.attempts]
    told = {"answer": "answer", "vote": "vote for", "final": "final answer", "vote_ignored": "vote not counted", "timeout": "timeout"}
    acts += [(m.when_ns, f"{told[m.kind]} {m.label or m.target or ''}".strip(), m.ref) for m in conduct.moments if m.kind in told]
    acts.sort(key=lambda act: act[0])
    runs = [(name, list(own)) for name, own in groupby(acts, key=lambda act: act[1])]
    if not runs:
        models = [s for s in case.steps if s.agent == conduct.agent and s.kind == "model"]
        words = "Strategy: {} model calls and nothing else that was recorded."
        return tell(words, len(models), refs=case.cite(*models[:3])) if models else missing("its actions.")
    line = " → ".join(f"{name} ×{len(own)}" if len(own) > 1 else name for name, own in runs[:SEQUENCE])
    more = f" → {len(runs) - SEQUENCE} more" if len(runs) > SEQUENCE else ""
    return tell("Strategy, by its actions: {}" + more + ".", line, refs=[own[0][2] for _, own in runs])


def _responses(case: Case, conduct: Conduct) -> Sentence:
    if not conduct.calls:
        return tell("Tool responses: it ran no tool.", refs=case.file("status.json", "agents", conduct.agent, "tool_metrics"))
    silent = [call for call in conduct.failures if not call.failed]
    words = "Tool responses: {} calls, {} failed" + (f", {len(silent)} of them although the tool said success" if silent else "") + "."
    return tell(words, len(conduct.calls), len(conduct.failures), refs=case.cite(*(conduct.failures or conduct.calls)))


def _recovery(case: Case, conduct: Conduct) -> Sentence:
    record = case.records[conduct.agent]
    if conduct.attempts:
        reasons = [str((step.note or {}).get("enforcement_reason")) for step in conduct.attempts]
        after = [m for m in conduct.moments if m.kind in ("answer", "vote", "final") and m.when_ns >= conduct.attempts[-1].end_ns]
        words = "Error recovery: {} of its replies were turned down ({}); " + (
            "it came to {} afterwards." if after else "nothing came after the last{}."
        )
        return tell(
            words,
            len(reasons),
            ", ".join(reasons),
            (after[0].label or after[0].kind) if after else "",
            refs=[*case.cite(*conduct.attempts), *(m.ref for m in after[:1])],
        )
    if not conduct.failures:
        return Sentence("Error recovery: nothing failed that it had to recover from.")
    if record.recovery_ns is not None:
        words = "Error recovery: after a failed call the next that worked came within {} at the latest; {} failures in a row at most."
        return tell(words, seconds(record.recovery_ns / 1e9), record.longest_failure_streak, refs=case.cite(*conduct.failures))
    words = "Error recovery: none; no call worked after the {} that failed."
    return tell(words, len(conduct.failures), refs=case.cite(*conduct.failures))


def _decisions(case: Case, conduct: Conduct) -> Sentence:
    """Over- and under-verification, and whether it came to an end."""
    edits = [call for call in conduct.calls if deed_of(call) == "edit"]
    checks = conduct.checks
    own = [
        f for f in case.findings if f.agent == conduct.agent and f.code.startswith(("loop.", "flow.no_", "flow.gave_up", "flow.invented"))
    ]
    refs = [ref for finding in own for ref in case.refs_of(finding)] or case.cite(*(checks or edits or conduct.calls)[:3])
    judged = "changed things and checked none of them" if edits and not checks else "checked {} times for {} changes"
    if not conduct.calls:
        judged = "decided without tools"
    elif not edits and not checks:
        judged = "only looked things up"
    values = [len(checks), len(edits)] if "{}" in judged else []
    tail = f"; {len(own)} findings say where it went in circles or stopped short" if own else ""
    return tell("Decision quality: it " + judged + tail + ".", *values, refs=refs)


def _evidence(case: Case, conduct: Conduct) -> Iterator[Sentence]:
    """Two or three quotes of its own words; where there are none, the tools it used in order."""
    quotes: list[tuple[int, str, Ref]] = []
    for step in conduct.attempts:
        preview = (step.note or {}).get("buffer_preview")
        if preview:
            quotes.append((step.end_ns, str(preview), case.cite(step)[0]))
    quotes += [(m.when_ns, m.said, m.ref) for m in conduct.moments if m.said and m.kind in ("vote", "answer")]
    if not quotes:
        models = [
            s
            for s in case.steps
            if s.agent == conduct.agent and s.kind == "model" and s.content is not None and (s.content.text or "").strip()
        ]
        quotes = [(s.start_ns, s.content.text or "", case.cite(s)[0]) for s in models if s.content is not None]
    quotes.sort(key=lambda quote: quote[0])
    chosen = dict.fromkeys((quotes[0], quotes[len(quotes) // 2], quotes[-1])) if quotes else {}
    for _, said, ref in list(chosen)[:QUOTES]:
        yield tell("In its own words: “{}”", said, refs=[ref])
    if not quotes and conduct.calls:
        shown = conduct.calls[:6]
        yield tell(
            "No words of its own were recorded; its first calls were {}.",
            ", ".join(c.tool or c.name for c in shown),
            refs=case.cite(*shown),
        )


_COMPARED: Final = (
    "Agent",
    "Outcome",
    "Replies turned down",
    "Tool calls (failed)",
    "Answers",
    "Votes received",
    "Tokens in/out",
    "Findings",
)


def _compared(case: Case, conduct: Conduct) -> tuple[tuple[Cell, ...], list[Ref]]:
    record = case.records[conduct.agent]
    owners = {answer.label: answer.agent for answer in case.of("answer")}
    votes = [vote for vote in case.of("vote") if owners.get(vote.label, vote.target) == conduct.agent]
    answers = [moment for moment in conduct.moments if moment.kind == "answer"]
    number = sum(1 for finding in case.findings if finding.agent == conduct.agent)
    cells: tuple[Cell, ...] = (
        tell("{}", conduct.agent),
        record.outcome,
        len(conduct.attempts),
        f"{len(conduct.calls)} ({len(conduct.failures)})",
        len(answers),
        len(votes),
        f"{tokens(record.input_tokens)} / {tokens(record.output_tokens)}",
        number,
    )
    return cells, [m.ref for m in answers] + [vote.ref for vote in votes]
