"""Executive summary and session overview."""

from __future__ import annotations

from typing import Final

from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.report.case import Case
from spantriage.report.figures import UNKNOWN, money, number, seconds
from spantriage.report.sections.correctness import shrunk
from spantriage.report.words import Cell, Ref, Section, Sentence, tell
from spantriage.summary import total

__all__ = ["gravest", "headline", "overview", "summary", "worst"]

ENDS: Final = {
    "ok": "The run ended without a failure of its own.",
    "passed": "The run's own tests passed.",
    "failed": "The run failed.",
    "error": "The run ended in an error.",
    "cancelled": "The run was cancelled.",
}


def summary(case: Case) -> Section:
    """What it was, how it ended, what stands out: at most three sentences and the cause."""
    section = Section("Executive Summary")
    if case.question is not None:
        said, refs = case.question
        section.add(tell("The task: “{}”", said, refs=refs))
    else:
        section.add(Sentence("No data: the task itself; it is told by a MassGen log folder or by recorded messages."))
    section.add(_ending(case), *shrunk(case), headline(case))
    return section


def _ending(case: Case) -> Sentence:
    outcome = case.judged.judgement.outcome
    refs = case.file("status.json", "finish_reason") or case.whole
    agents = ", ".join(case.records)
    words = ENDS.get(outcome, "The run's outcome is not one that is known.")
    if case.winner is not None:
        return tell(words + " {} took {}; {} was selected to present the answer.", agents, seconds(case.duration_s), case.winner, refs=refs)
    return tell(words + " {} took {}.", agents or "It", seconds(case.duration_s), refs=refs)


def headline(case: Case) -> Sentence:
    """Who failed and why; where nobody did, what is most worth a look."""
    findings = case.findings
    loud = [finding for finding in findings if RANK[finding.severity] >= 1]
    primary = case.judged.primary
    if primary is not None:
        words = "Root cause: agent {}, {} ({}). {}"
        return tell(words, primary.agent or UNKNOWN, primary.summary, primary.code, primary.root_cause or "", refs=case.refs_of(primary))
    if not loud:
        return Sentence("Nothing was found that needs attention.")
    agent, first = worst(case), gravest(case)
    assert first is not None, "there are findings"
    own = [finding for finding in loud if finding.agent == agent]
    flagged = [name for name, record in case.records.items() if record.red_flags]
    tail = " Red flags are up for {}." if flagged else ""
    return tell(
        "{} at warning or above, none of which stopped the run; agent {} weighs heaviest, with {} of them. The gravest: {}." + tail,
        number(len(loud), "finding"),
        agent or UNKNOWN,
        len(own),
        first.summary,
        *([", ".join(flagged)] if flagged else []),
        refs=case.refs_of(first),
    )


def worst(case: Case) -> str | None:
    """The agent with the root cause, else with the most that is wrong."""
    primary = case.judged.primary
    if primary is not None:
        return primary.agent
    weight: dict[str, float] = {}
    for finding in case.findings:
        if finding.agent is not None:
            weight[finding.agent] = weight.get(finding.agent, 0) + _weight(finding)
    return max(sorted(weight), key=lambda name: weight[name], default=None)


def gravest(case: Case) -> Finding | None:
    """The root cause, else the gravest finding of the agent that weighs heaviest; None where nothing needs attention."""
    loud = [finding for finding in case.findings if RANK[finding.severity]]
    own = [finding for finding in loud if finding.agent == worst(case)]
    return case.judged.primary or max(own or loud, key=lambda finding: (RANK[finding.severity], finding.score), default=None)


def _weight(finding: Finding) -> float:
    return RANK[finding.severity] * finding.score


def _firsts(case: Case) -> list[Ref]:
    """The first step of each agent."""
    return [case.cite(next(step for step in case.steps if step.agent == name))[0] for name in case.records]


def _priced(case: Case) -> list[Ref]:
    """The calls that cost the most, else used the most."""
    used = [step for step in case.steps if step.kind in ("model", "event", "agent") and (step.cost_usd or step.input_tokens)]
    return case.cite(*sorted(used, key=lambda step: (-(step.cost_usd or 0), -(step.input_tokens or 0)))[:3])


def overview(case: Case) -> Section:
    """The session in a few figures."""
    section = Section("Session Overview")
    records = case.records.values()
    cost = total(record.cost_usd for record in records)
    unpriced = sum(record.unpriced_calls for record in records)
    has_rounds = bool(case.rounds)
    restarts = case.of("restart")

    def count(kind: str) -> Cell:
        return len(case.of(kind)) if has_rounds else f"{UNKNOWN}: the run has no rounds"

    rows: list[tuple[tuple[Cell, ...], list[Ref]]] = [
        (("Duration", seconds(case.duration_s)), case.file("status.json", "elapsed_seconds") or case.whole),
        (("Agents", tell("{}", ", ".join(case.records) or UNKNOWN)), case.file("coordination_events.json", "agent_ids") or _firsts(case)),
        (("Winner", tell("{}", case.winner) if case.winner else "none was told"), [m.ref for m in case.of("winner")[-1:]]),
        (
            ("Total Cost", money(cost) + (" (no price is known of the models)" if unpriced else "")),
            case.file("status.json", "total_estimated_cost") or _priced(case),
        ),
        (("Total Answers", count("answer")), [m.ref for m in case.of("answer")]),
        (("Total Votes", count("vote")), [m.ref for m in case.of("vote")]),
        (("Total Restarts", count("restart")), [m.ref for m in restarts]),
    ]
    section.table(("Metric", "Value"), rows, tell(""))
    return section
