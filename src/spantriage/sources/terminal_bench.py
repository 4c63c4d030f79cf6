"""Terminal-Bench 1.x: each trial folder (`results.json`, `agent-logs`, `sessions`, `panes`) is a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.folder import Folder
from spantriage.sources import Piece, Source, ids, times
from spantriage.sources.harbor_causes import cause_of, mode_of
from spantriage.sources.talk import Failure, Usage, listed, mapping
from spantriage.sources.trials import Phase, Trial

FORM: Final = "terminal-bench"
RESULT: Final = "results.json"
TRIAL: Final = re.compile(r".+\.\d+-of-\d+\..+")
PARTS: Final = frozenset({"agent-logs", "sessions", "panes"})
WELL: Final = frozenset({"unset", "none", ""})


def claims(folder: Folder) -> bool:
    """Claims a folder with a result and what an agent's terminal left behind."""
    return RESULT in folder.files and (TRIAL.fullmatch(folder.name) is not None or not PARTS.isdisjoint(folder.folders))


def sniff(head: bytes, name: str) -> bool:
    """Claims results of trials, alone or of a whole run."""
    return b'"is_resolved"' in head and b'"failure_mode"' in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The trials of a file. Those whose own folders lie beside it are told by these."""
    beside = Folder(Path(file.path).parent, file.limits)
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
            continue
        told = mapping(found.value)
        for result in map(mapping, listed(told.get("results")) or [told]):
            if beside.sub(str(result.get("task_id")), str(result.get("trial_name"))) is None:
                yield from _trial(result, file.path, None)


def read_folder(folder: Folder) -> Iterator[Piece]:
    """The run of a trial."""
    told = folder.json(RESULT)
    if told:
        yield from _trial(told, folder.file(RESULT), folder)


def _trial(told: dict[str, object], path: str, folder: Folder | None) -> Iterator[Piece]:
    name = text.name(told.get("trial_name")) or "trial"
    known = ids.from_uuid(told.get("id"))
    start, end = times.read(told.get("trial_started_at")) or 0, times.read(told.get("trial_ended_at"))
    mode = text.string(told.get("failure_mode")) or ""
    kind, part = (None, None) if mode in WELL else mode_of(mode)
    labels = {"trial_name": name, "task_name": text.name(told.get("task_id")) or name.partition(".")[0]}
    outcome = "passed" if told.get("is_resolved") is True else "error" if kind else "failed" if told.get("is_resolved") is False else None
    labels |= {} if outcome is None else {"outcome": outcome, "reward": "1" if outcome == "passed" else "0"}
    labels |= {} if kind is None else {"cause": cause_of(kind)}
    tests = mapping(told.get("parser_results"))
    failed = [test for test, result in tests.items() if result != "passed"]
    labels |= {"tests": f"{len(tests) - len(failed)} of {len(tests)} passed"} if tests else {}
    trial = Trial(known[0] if known is not None else ids.trace_id(FORM, name, start), path, FORM, labels, start, end or start)
    root = trial.root()
    yield root
    failure = None if kind is None else Failure(kind, f"{mode.replace('_', ' ')}")
    if part == "setup":
        yield trial.phase(Phase("agent_setup", "setup", start, times.read(told.get("agent_started_at"))), root, failure)
    phase = Phase("agent_execution", "agent", times.read(told.get("agent_started_at")), times.read(told.get("agent_ended_at")), "agent")
    agent = trial.phase(phase, root, failure if part == "agent" else None)
    yield agent
    for place in ("agent-logs", "sessions") if folder is not None else ():
        found = folder.sub(place) if folder is not None and not trial.calls else None
        yield from trial.transcript(found, agent)
    yield trial.rest(agent, Usage(text.count(told.get("total_input_tokens")), text.count(told.get("total_output_tokens"))))
    if told.get("test_started_at") is not None or part == "verifier":
        phase = Phase("verifier", "other", times.read(told.get("test_started_at")), times.read(told.get("test_ended_at")))
        step = trial.phase(phase, root, failure if part == "verifier" else None)
        step.result = labels.get("tests")
        yield step
    yield trial.close()


SOURCE: Final = Source(FORM, sniff, read, rank=11, settles=True, claims=claims, read_folder=read_folder)
