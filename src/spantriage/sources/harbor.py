"""Harbor: each trial folder of a job is a run, with one or several steps, whatever agent was in it.

A trial that ended with an exception says in `cause` whose doing that was, in Harbor's own words; a reward given all the
same is kept beside it. Folders of older or changed harnesses, without `result.json`, are read as far as they go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spantriage import text
from spantriage.files import TraceFile
from spantriage.folder import Folder
from spantriage.model import Step
from spantriage.sources import Piece, Source, ids, times
from spantriage.sources.grading import grade, reward_of, tests_of
from spantriage.sources.harbor_causes import cause_of
from spantriage.sources.talk import Failure, Usage, listed, mapping
from spantriage.sources.trials import Phase, Trial

FORM: Final = "harbor"
RESULT: Final = "result.json"
TRIAL: Final = re.compile(r".+__[A-Za-z0-9]{4,12}")
OWN: Final = frozenset({"exception.txt", "trial.log", "run_manifest.json", "reward.txt"})
PARTS: Final = frozenset({"agent", "verifier"})
PHASES: Final = (("environment_setup", "setup"), ("agent_setup", "setup"), ("agent_execution", "agent"), ("verifier", "other"))
LATE_NS: Final = 5 * times.NS  # an exception is noted down this long after its phase
RAISED: Final = re.compile(
    r"^([A-Za-z_][\w.]{0,120}?(?:Error|Exception|Timeout|Interrupt|Exit)|RuntimeError)\s*:\s*(.*)", re.MULTILINE | re.DOTALL
)


def claims(folder: Folder) -> bool:
    """Claims a trial's folder: by what its result is about, else by its name and what lies in it."""
    if RESULT in folder.files:
        head = folder.head(RESULT)
        return b'"trial_name"' in head or (TRIAL.fullmatch(folder.name) is not None and b'"n_total_trials"' not in head)
    if "trajectory.json" in getattr(folder.sub("agent"), "files", ()):
        return True
    return TRIAL.fullmatch(folder.name) is not None and not (OWN.isdisjoint(folder.files) and PARTS.isdisjoint(folder.folders))


def sniff(head: bytes, name: str) -> bool:
    """Claims the result of a trial that stands alone."""
    return b'"trial_name"' in head and b'"task_checksum"' in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The trial of a result file, with what lies around it when that is the trial's folder."""
    path, skips = Path(file.path), list[Piece]()
    folder = Folder(path.parent, file.limits, skips.append)
    yield from _trial(folder, path.name, alone=path.name != RESULT)
    yield from skips


def read_folder(folder: Folder) -> Iterator[Piece]:
    """The run of a trial."""
    yield from _trial(folder, RESULT, alone=False)


def _trial(folder: Folder, name: str, *, alone: bool) -> Iterator[Piece]:
    told = folder.json(name)
    verifier = None if alone else folder.sub("verifier")
    exceptions = list(_exceptions(told, None if alone else folder))
    trial = _begin(told, folder, name)
    reward = reward_of(told, verifier if verifier is not None else None if alone else folder)
    first = exceptions[0][0] if exceptions else None
    kind = None if first is None else first.kind or "Exception"
    found = {
        "outcome": grade(reward, kind),
        "cause": None if kind is None else cause_of(kind),
        "reward": None if reward is None else f"{reward:g}",
    }
    trial.labels.update({key: value for key, value in found.items() if value is not None})
    root = trial.root()
    yield root
    yield from _phases(trial, told, folder, root, exceptions, alone=alone)
    yield trial.close()


def _begin(told: dict[str, object], folder: Folder, name: str) -> Trial:
    trial_name = text.name(told.get("trial_name")) or folder.name
    known = ids.from_uuid(told.get("id"))
    trace_id = known[0] if known is not None else ids.trace_id(FORM, trial_name, told.get("started_at"))
    start = times.read(told.get("started_at")) or 0
    whole = told.get("config") or (folder.json("config.json") if folder.has("config.json") else None)
    agent, config = mapping(told.get("agent_info")), mapping(mapping(whole).get("agent"))
    labels = {
        "trial_name": trial_name,
        "task_name": text.name(told.get("task_name")) or trial_name.rsplit("__", 1)[0],
        "agent": text.name(agent.get("name") or config.get("name")),
        "model": text.name(mapping(agent.get("model_info")).get("name") or config.get("model_name")),
    }
    path = folder.file(name) if name in folder.files else folder.path
    known_labels = {key: value for key, value in labels.items() if value}
    return Trial(trace_id, path, FORM, known_labels, start, times.read(told.get("finished_at")) or start)


def _phases(
    trial: Trial,
    told: dict[str, object],
    folder: Folder,
    root: Step,
    exceptions: list[tuple[Failure, int | None, str | None]],
    *,
    alone: bool,
) -> Iterator[Piece]:
    """What was done one after the other; several steps each have an agent's and a verifier's phase of their own."""
    results = [mapping(each) for each in listed(told.get("step_results"))]
    agent = trial.labels.get("agent") or "agent"
    phases = [_phase(name, kind, mapping(told.get(name)), agent) for name, kind in PHASES if mapping(told.get(name))]
    if not results and not any(phase.kind == "agent" for phase in phases):
        phases.append(Phase("agent_execution", "agent", None, None, agent))
    blamed = _blame(phases, [e for e in exceptions if e[2] is None])
    for phase in phases:
        step = trial.phase(phase, root, blamed.get(phase.name))
        yield step
        if phase.kind == "agent" and not results:
            yield from _work(trial, step, mapping(told.get("agent_result")), None if alone else folder.sub("agent"))
        elif phase.name == "verifier":
            _grade(trial, step, None if alone else folder.sub("verifier"))
    for number, result in enumerate(results):
        yield from _step(trial, result, number, folder, root, exceptions, alone=alone)


def _step(
    trial: Trial,
    result: dict[str, object],
    number: int,
    folder: Folder,
    root: Step,
    exceptions: list[tuple[Failure, int | None, str | None]],
    *,
    alone: bool,
) -> Iterator[Piece]:
    name = text.name(result.get("step_name")) or str(number)
    at = None if alone else folder.sub("steps", name)
    agent = trial.labels.get("agent") or "agent"
    phases = [_phase(key, kind, mapping(result.get(key)), agent) for key, kind in PHASES[2:] if mapping(result.get(key)) or kind == "agent"]
    blamed = _blame(phases, [e for e in exceptions if e[2] == name])
    for phase in phases:
        failure = blamed.get(phase.name)
        step = trial.phase(Phase(f"{name}: {phase.name}", phase.kind, phase.start_ns, phase.end_ns, phase.agent), root, failure)
        yield step
        if phase.kind == "agent":
            yield from _work(trial, step, mapping(result.get("agent_result")), None if at is None else at.sub("agent"))
        else:
            _grade(trial, step, None if at is None else at.sub("verifier"))


def _work(trial: Trial, step: Step, told: dict[str, object], folder: Folder | None) -> Iterator[Piece]:
    """The agent's phase: what it said and did, and what is known of its use of tokens as a whole."""
    yield from trial.transcript(folder, step)
    yield trial.rest(
        step,
        Usage(
            text.count(told.get("n_input_tokens")),
            text.count(told.get("n_output_tokens")),
            text.count(told.get("n_cache_tokens")),
            None,
            text.number(told.get("cost_usd")),
        ),
    )


def _grade(trial: Trial, step: Step, verifier: Folder | None) -> None:
    tests = tests_of(verifier)
    if tests is not None:
        number, failed, names = tests
        trial.labels["tests"] = f"{number - failed} of {number} passed"
        step.result = trial.labels["tests"] + (f"; failed: {', '.join(names)}" if names else "")


def _phase(name: str, kind: str, told: dict[str, object], agent: str) -> Phase:
    start, end = times.read(told.get("started_at")), times.read(told.get("finished_at"))
    return Phase(
        name, "agent" if kind == "agent" else "setup" if kind == "setup" else "other", start, end, agent if kind == "agent" else None
    )


def _exceptions(told: dict[str, object], folder: Folder | None) -> Iterator[tuple[Failure, int | None, str | None]]:
    """What ended the trial or a step of it: the exception, when, and in which step."""
    for place, name in ((told, None), *((mapping(each), each) for each in listed(told.get("step_results")))):
        info = mapping(place.get("exception_info"))
        if info:
            step = None if name is None else text.name(mapping(name).get("step_name")) or ""
            failure = Failure(text.string(info.get("exception_type")), text.plain(info.get("exception_message")))
            yield failure, times.read(info.get("occurred_at")), step
    if folder is not None and not told.get("exception_info") and folder.has("exception.txt"):
        said = (folder.text("exception.txt", 1 << 20) or "").strip()
        raised = list(RAISED.finditer(said[-20_000:]))
        yield Failure(raised[-1][1], raised[-1][2]) if raised else Failure("Exception", said[-500:] or None), None, None


def _blame(phases: list[Phase], exceptions: list[tuple[Failure, int | None, str | None]]) -> dict[str, Failure]:
    """The phase that each exception ended: by time, else by what it says it is."""
    blamed: dict[str, Failure] = {}
    for failure, when, _ in exceptions:
        cause = cause_of(failure.kind or "")
        during = [
            p for p in phases if when is not None and p.start_ns is not None and p.start_ns <= when <= (p.end_ns or p.start_ns) + LATE_NS
        ]
        wanted = {"verifier_failed": "other", "sandbox_failed": "setup"}.get(cause, "agent")
        fitting = [p for p in phases if p.kind == wanted]
        found = during[-1:] or fitting[-1:] or phases[-1:]
        if found:
            blamed.setdefault(found[0].name, failure)
    return blamed


SOURCE: Final = Source(FORM, sniff, read, rank=12, settles=True, claims=claims, read_folder=read_folder)
