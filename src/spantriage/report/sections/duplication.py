"""4: work that was done more than once, by one agent or by several."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage.model import Step
from spantriage.report.case import NS, Case
from spantriage.report.commands import advice, command_of, normalise, split
from spantriage.report.figures import UNKNOWN, money, seconds, tokens
from spantriage.report.words import Ref, Section, Sentence, code, tell

__all__ = ["Repeat", "duplication", "repeats"]

TYPES: Final = (  # first that fits, by tool and arguments
    ("Image generation", r"generate_(?:media|image)|image_gen|text_to_image|dall-?e|\bimagen\b"),
    ("Package installs", r"\b(?:npm|pnpm|yarn|pip3?|uv|apt|apt-get|brew|conda|poetry|cargo)\b.{0,40}\b(?:install|add|sync|ci)\b"),
    ("Research/scraping", r"search|crawl|scrape|browse|fetch|\bcurl\b|\bwget\b|web"),
    ("File reading", r"read|\bcat\b|\bls\b|list|view|open"),
    ("Tests and checks", r"test|lint|check|verify"),
)
KINDS: Final = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in TYPES)
CURES: Final = {
    "Image generation": "Keep generated images in a shared folder, keyed by their prompt, and look there first.",
    "Package installs": "Keep the installed environment between rounds and restarts.",
    "Research/scraping": "Cache what was fetched or searched for, for all agents.",
    "File reading": "Keep what was read in the context, or share a summary of it.",
    "Tests and checks": "Run checks after changes only.",
}
SHOWN: Final = 10


@dataclass(slots=True)
class Repeat:
    """One call, with the same arguments, that was made more than once and succeeded before."""

    kind: str
    what: str
    calls: list[Step] = field(default_factory=list)

    @property
    def again(self) -> int:
        """How often beyond the first time."""
        return len(self.calls) - 1

    @property
    def wasted_s(self) -> float | None:
        """Seconds of all but the first; None where calls have no durations."""
        timed = [call.duration_ns / NS for call in self.calls[1:] if not call.implied and call.duration_ns]
        return sum(timed) if timed else None

    @property
    def cost_usd(self) -> float | None:
        """What all but the first cost, where calls tell it."""
        known = [call.cost_usd for call in self.calls[1:] if call.cost_usd is not None]
        return sum(known) if known else None


def repeats(case: Case) -> list[Repeat]:
    """Calls made again although the same call had succeeded and nothing else came out, the costliest first."""
    found: dict[tuple[str | None, int], Repeat] = {}
    for call in case.calls:
        if call.arguments_digest is None or call.sign != "ok":
            continue
        key = (call.tool, call.arguments_digest)
        if key not in found:
            said = command_of(call) or f"{call.tool} {call.arguments or ''}"
            found[key] = Repeat(_kind(call), said)
        if not found[key].calls or found[key].calls[0].result_digest == call.result_digest:
            found[key].calls.append(call)
    again = [repeat for repeat in found.values() if repeat.again]
    return sorted(again, key=lambda repeat: (-(repeat.wasted_s or 0), -repeat.again, repeat.what))


def _kind(call: Step) -> str:
    said = f"{call.tool} {call.arguments or ''}"
    return next((name for name, pattern in KINDS if pattern.search(said)), "Other tool calls")


def duplication(case: Case) -> Section:
    """What was done again, with what it wasted; examples; what would avoid it."""
    section = Section("4. Work Duplication Analysis")
    found = repeats(case)
    section.heading("Duplicated Work Found")
    section.table(("Work Type", "Times Repeated", "Wasted Time", "Wasted Cost"), [*_by_type(case, found), *_restarts(case)], _none(case))
    section.heading("Specific Examples")
    section.listing([*_examples(case, found), *_copies(case)], Sentence("None."))
    section.heading("Recommendations")
    section.listing(_cures(case, found), Sentence("None: nothing was done twice."), numbered=True)
    return section


def _by_type(case: Case, found: list[Repeat]) -> Iterator[tuple[tuple[Sentence | str | int, ...], list[Ref]]]:
    for name in dict.fromkeys(repeat.kind for repeat in found):
        own = [repeat for repeat in found if repeat.kind == name]
        spent, costs = [r.wasted_s for r in own if r.wasted_s is not None], [r.cost_usd for r in own if r.cost_usd is not None]
        calls = [call for repeat in own for call in repeat.calls[1:]]
        told = (seconds(sum(spent)) if spent else UNKNOWN, money(sum(costs)) if costs else UNKNOWN)
        yield (name, sum(repeat.again for repeat in own), *told), case.cite(*calls)


def _restarts(case: Case) -> Iterator[tuple[tuple[Sentence | str | int, ...], list[Ref]]]:
    """Rounds that were cut off: their work was thrown away."""
    cut = [step for step in case.rounds if (step.note or {}).get("outcome") == "restarted"]
    lost = case.judged.judgement.run.labels.get("restarted_tokens")
    if cut:
        spent = seconds(sum(step.duration_ns for step in cut) / NS)
        cost = f"{tokens(int(lost))} tokens" if lost and lost.isdigit() else UNKNOWN
        yield ("Rounds cut off by a restart", len(cut), spent, cost), case.cite(*cut)
    turned = case.attempts
    if turned:
        wasted = [f.wasted_tokens for f in case.findings if f.code == "flow.workflow_violation" and f.wasted_tokens]
        yield (
            ("Replies turned down and asked for again", len(turned), UNKNOWN, f"{tokens(sum(wasted))} tokens" if wasted else UNKNOWN),
            case.cite(*turned),
        )


def _none(case: Case) -> Sentence:
    return Sentence(
        "None: no call was made twice with the same arguments and result." if case.calls else "None: no tool ran, and no round was cut off."
    )


def _examples(case: Case, found: list[Repeat]) -> Iterator[Sentence]:
    for repeat in found[:SHOWN]:
        agents = sorted({call.agent or "unknown" for call in repeat.calls})
        words = "{} was run {} times by {}, with the same result each time"
        yield tell(
            words + (", by several agents." if len(agents) > 1 else "."),
            code(repeat.what),
            len(repeat.calls),
            ", ".join(agents),
            refs=case.cite(*repeat.calls),
        )


def _copies(case: Case) -> Iterator[Sentence]:
    first: dict[str, str] = {}
    for moment in case.of("answer"):
        said = (moment.said or "").strip()
        if said in first and said:
            yield tell("{} submitted {}, word for word the text of {}.", moment.agent, moment.label, first[said], refs=[moment.ref])
        first.setdefault(said, moment.label or "an earlier answer")


def _cures(case: Case, found: list[Repeat]) -> Iterator[Sentence]:
    told = dict.fromkeys(CURES.get(repeat.kind) or f"{advice(normalise(split(repeat.what)[0]))[1]}." for repeat in found[:SHOWN])
    yield from (Sentence(cure) for cure in told)
    if any((step.note or {}).get("outcome") == "restarted" for step in case.rounds):
        yield Sentence("Let agents finish a round before a new answer restarts it, or hand the new answer into the round.")
    if case.attempts:
        yield Sentence("Say in the prompt how to answer and how to vote: each reply that is turned down is paid for again.")
    if any(True for _ in _copies(case)):
        yield Sentence("Turn down an answer that repeats another (MassGen: answer novelty), or ask for a vote instead.")
