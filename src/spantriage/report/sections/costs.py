"""6: what it cost, and whom."""

from __future__ import annotations

from typing import Final

from spantriage.report.case import NS, Case
from spantriage.report.figures import money, seconds, share, tokens
from spantriage.report.words import Cell, Ref, Section, Sentence, code, missing, tell
from spantriage.summary import total

__all__ = ["costs"]

USED: Final = ("input_tokens", "output_tokens", "reasoning_tokens")


def costs(case: Case) -> Section:
    """Tokens and cost by agent, the cache, what tools took."""
    section = Section("6. Cost & Token Analysis")
    section.heading("Cost Breakdown")
    records = case.records
    rows: list[tuple[tuple[Cell, ...], list[Ref]]] = []
    for name, record in records.items():
        used = (tokens(getattr(record, field)) for field in USED)
        rows.append(
            (
                (tell("{}", name), *used, money(record.cost_usd)),
                case.file("status.json", "agents", name, "token_usage") or _calls(case, name),
            )
        )
    if rows:
        sums = (tokens(total(getattr(record, field) for record in records.values())) for field in USED)
        rows.append((("Total", *sums, money(total(r.cost_usd for r in records.values()))), case.file("status.json", "costs")))
    section.table(("Agent", "Input Tokens", "Output Tokens", "Reasoning", "Cost"), rows, missing("no agent did any work."))
    unpriced = sum(record.unpriced_calls for record in records.values())
    if unpriced:
        models = sorted({step.model for step in case.steps if step.kind == "model" and step.model})
        words = "No cost is told beside the tokens, and no list price is known of the models ({})."
        section.add(tell(words, ", ".join(models) or "not named", refs=case.file("status.json", "total_estimated_cost")))
    section.heading("Cache Efficiency")
    section.add(_cache(case))
    section.heading("Tool Cost Impact")
    section.table(("Tool", "Calls", "Est. Time Cost", "Notes"), _tools(case), _no_tools(case))
    return section


def _calls(case: Case, agent: str) -> list[Ref]:
    """The calls that used the most tokens."""
    own = [s for s in case.steps if s.agent == agent and s.kind in ("model", "event") and s.input_tokens]
    return case.cite(*sorted(own, key=lambda s: -(s.input_tokens or 0)))


def _cache(case: Case) -> Sentence:
    records = case.records.values()
    cached, given = total(r.cached_tokens for r in records), total(r.input_tokens for r in records)
    if cached is None or not given:
        return missing("cached tokens; no model call tells them.")
    refs = [ref for name in case.records for ref in case.file("status.json", "agents", name, "token_usage", "cached_input_tokens")]
    return tell(
        "Cached input tokens: {} ({} cache hit rate).",
        tokens(cached),
        share(cached, given),
        refs=refs or _calls(case, next(iter(case.records))),
    )


def _tools(case: Case) -> list[tuple[tuple[Cell, ...], list[Ref]]]:
    rows: list[tuple[tuple[Cell, ...], list[Ref]]] = []
    by_tool: dict[str, list[float]] = {}
    for call in case.calls:
        by_tool.setdefault(call.tool or call.name, []).append(0.0 if call.implied else call.duration_ns / NS)
    for tool, spent in sorted(by_tool.items(), key=lambda each: (-sum(each[1]), each[0])):
        own = [call for call in case.calls if (call.tool or call.name) == tool]
        failed = sum(call.sign != "ok" for call in own)
        timed = "unknown" if all(call.implied for call in own) else seconds(sum(spent))
        rows.append(((tell("{}", code(tool)), len(own), timed, f"{failed} failed" if failed else ""), case.cite(*own)))
    return rows


def _no_tools(case: Case) -> Sentence:
    refs = case.file("status.json", "tools", "total_calls")
    return tell("No tool ran.", refs=refs) if refs else Sentence("No tool call was recorded.")
