"""What the run was set up with, what it left behind, where each question is answered, and what could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from spantriage.folder import Folder
from spantriage.report.case import Case
from spantriage.report.words import Ref, Section, Sentence, code, missing, tell

__all__ = ["QUESTIONS", "appendix"]

FILES: Final = 200
_SETTING: Final = re.compile(r"( {0,40})(- )?([\w.-]{1,80}):( .{0,400}|)$")
DEPTH: Final = 6
CONFIG_LINES: Final = 60
QUESTIONS: Final = (  # question, section, primary source, secondary source
    ("1. Correctness", "1. Correctness Analysis", "coordination_events.json, coordination_table.txt", "coordination spans"),
    ("2. Efficiency & Bottlenecks", "2. Efficiency Analysis", "spans' durations", "status.json, metrics_summary.json"),
    ("3. Command Pattern Analysis", "3. Command Pattern Analysis", "tool spans, events.jsonl", "streaming_debug.log"),
    ("4. Work Duplication Analysis", "4. Work Duplication Analysis", "tool spans, events.jsonl", "metrics_events.json"),
    ("5. Agent Behavior & Decision Making", "5. Agent Behavior Analysis", "coordination_events.json, vote.json", "vote and answer spans"),
    ("6. Cost & Token Analysis", "6. Cost & Token Analysis", "model spans' usage", "status.json, metrics_summary.json"),
    ("7. Errors & Issues", "7. Errors & Issues", "spans' exceptions, findings", "coordination_events.json"),
    ("8. Agent Reasoning & Behavior", "Agent Reasoning & Behavior Analysis", "status.json, vote.json, messages", "execution_trace.md"),
    ("9. Tool Reliability", "Tool Reliability Analysis", "tool spans, events.jsonl", "metrics_events.json"),
    ("10. Enforcement & Workflow Reliability", "Enforcement & Workflow Reliability Analysis", "status.json", "orchestrator spans"),
)


def appendix(case: Case) -> Section:
    """Configuration, files, the ten questions, what was left out."""
    section = Section("Appendix")
    section.heading("Configuration Used")
    section.listing(_configuration(case), missing("execution_metadata.yaml; the models that were used are in the spans, if anywhere."))
    section.heading("Files Generated")
    section.listing(_files(case), missing("a log folder; spans tell of no files."))
    section.heading("Where the Standard Questions Are Answered")
    section.table(("Question", "Section", "Primary Source", "Secondary Source"), [(row, ()) for row in QUESTIONS], missing(""))
    section.heading("What Could Not Be Read")
    section.listing((tell("{}", said) for said in case.skips[:50]), Sentence("Everything that was found could be read."))
    return section


def _configuration(case: Case) -> Iterator[Sentence]:
    models = sorted({(step.agent or "", step.model or "") for step in case.steps if step.kind in ("model", "agent") and step.model})
    for agent, model in models:
        first = next(step for step in case.steps if step.agent == agent and step.model == model)
        yield tell("{} used {}.", agent, code(model), refs=case.cite(first))
    if case.log is None or case.log.alone:
        return
    raw = case.log.folder.text("execution_metadata.yaml", 1 << 20) or ""
    places = case.places
    for number, path, value in islice(_settings(raw), CONFIG_LINES):
        if path.split(".")[0] in ("config", "config_path", "massgen_version", "python_version"):
            ref = places.ref("execution_metadata.yaml") if places is not None else Ref(file="execution_metadata.yaml")
            yield tell("{}", code(f"{path}: {value}"), refs=[Ref(file=ref.file, line=number)])


def _settings(raw: str) -> Iterator[tuple[int, str, str]]:
    """(line, path, value) of each value of a YAML file as MassGen writes it: plain, two spaces a level."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(raw.splitlines(), 1):
        found = _SETTING.match(line)
        if found is None:
            continue
        depth = len(found[1]) + len(found[2] or "")
        while above and above[-1][0] >= depth:
            above.pop()
        if found[4].strip():
            yield number, ".".join([*(key for _, key in above), found[3]]), found[4].strip()
        else:
            above.append((depth, found[3]))


def _files(case: Case) -> Iterator[Sentence]:
    if case.log is None or case.log.alone:
        return
    found = list(_below(case.log.folder, DEPTH))
    kept = [
        path for path in found if "/workspace/" in path or path.endswith(("answer.txt", "vote.json", "execution_trace.md", "changedoc.md"))
    ]
    for path in kept[:FILES]:
        yield tell("{}", code(case.short(path)))
    if len(kept) > FILES:
        yield tell("{} more files.", len(kept) - FILES)


def _below(folder: Folder, depth: int) -> Iterator[str]:
    for name in sorted(folder.files):
        yield folder.file(name)
    for sub in folder.subs() if depth else ():
        yield from _below(sub, depth - 1)
