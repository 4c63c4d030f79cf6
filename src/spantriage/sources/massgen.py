"""MassGen's log folders: `log_<time>/turn_<n>/attempt_<n>/`, each attempt a run.

| from | what |
|---|---|
| `status.json`, else `metrics_summary.json` | how the run ended, each agent's totals, rounds, replies that were turned down |
| `coordination_events.json` | answers, votes, restarts, rounds that were cut off |
| else `events.jsonl`, else `vote.json` and `answer.txt`, else `coordination_table.txt` | answers and votes |
| `events.jsonl`, else `agent_outputs/` | tools that do not exist |
| `events.jsonl` and `metrics_events.json`, else `execution_trace.md` | tool calls with arguments and results |
| `execution_metadata.yaml` | the agents' models |
| `streaming_debug.log`, where a version still writes it | the commands that were run, for reports |

Any of them may be missing. Where the run's spans are there too, they speak for themselves, and only what spans cannot
say (why a reply was turned down) is added to them: a run is told by both through `massgen.log_path`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spantriage import text
from spantriage.errors import MissingExtra, SourceError
from spantriage.files import Skip, TraceFile
from spantriage.folder import Folder
from spantriage.model import Step
from spantriage.sources import Labels, Piece, Source, ids
from spantriage.sources.massgen_log import Log
from spantriage.sources.massgen_replies import steps_of_replies
from spantriage.sources.massgen_rounds import steps_of_rounds
from spantriage.sources.massgen_tools import steps_of_tools
from spantriage.sources.talk import Failure, fail, listed, mapping

FORM: Final = "massgen"
ATTEMPT: Final = re.compile(r"attempt_\d+")
KNOWN: Final = (
    "status.json", "coordination_events.json", "coordination_table.txt", "metrics_summary.json", "metrics_events.json", "events.jsonl",
    "execution_metadata.yaml", "streaming_debug.log", "massgen.log", "snapshot_mappings.json",
)  # fmt: skip
OWN: Final = frozenset(
    {"coordination_events.json", "coordination_table.txt", "metrics_events.json", "snapshot_mappings.json", "massgen.log"}
)
ENDS: Final = {"error": "Error", "timeout": "TimeoutError"}
COMMAND: Final = re.compile(rb'"command":\s*"((?:[^"\\]|\\.){1,400})"')
COMMANDS: Final = 200  # different ones that are kept
ANSWER_CAP: Final = 64 << 10


def claims(folder: Folder) -> bool:
    """Claims a folder with a few of the files that an attempt leaves behind."""
    there = [name for name in KNOWN if name in folder.files]
    if ATTEMPT.fullmatch(folder.name) is not None:
        return bool(there) or "agent_outputs" in folder.folders
    return len(there) >= 2 and not OWN.isdisjoint(there)


def sniff(head: bytes, name: str) -> bool:
    """Claims a status file that stands alone, unless it is one that we have written of a live run."""
    return b'"coordination"' in head and b'"completion_percentage"' in head and b'"agents"' in head and b'"written_by"' not in head


def read(file: TraceFile) -> Iterator[Piece]:
    """The run of a status file: with what lies around it when that is an attempt's folder."""
    path, skips = Path(file.path), list[Skip]()
    folder = Folder(path.parent, file.limits, skips.append)
    log = Log(folder, path.name, alone=path.name != "status.json" or not claims(folder))
    yield from _steps(log)
    yield from skips


def read_folder(folder: Folder) -> Iterator[Piece]:
    """The run of an attempt."""
    yield from _steps(Log(folder, "status.json"))


def _steps(log: Log) -> Iterator[Piece]:
    if not log.agents and not log.events and not log.told and not log.tabled:
        yield Skip(log.path, 0, "nothing of this run could be read")
        return
    log.models = {} if log.alone else _models(log.folder)
    root = _root(log)
    rounds = list(steps_of_rounds(log, root))
    yield root
    yield from rounds
    yield from steps_of_replies(log, root, rounds)
    yield from steps_of_tools(log, root)
    yield Labels(log.trace_id, _labels(log))


def _root(log: Log) -> Step:
    """The whole run; failed only where MassGen itself says so, since it ends well whatever became of its agents."""
    start, end = log.times()
    step = Step(log.trace_id, ids.span_id(log.trace_id, "root"), None, start, end, "workflow", "coordination.session", FORM)
    step.source = log.path
    step.conversation = text.name("/".join(log.key.split("/")[:1]) or None)
    reason = log.status.get("finish_reason")
    if type(reason) is str and reason in ENDS:
        fail(step, Failure(ENDS[reason], text.plain(log.status.get("finish_reason_details"))))
    step.note = {"log_path": log.path}
    commands = {} if log.alone else _commands(log.folder)
    if commands:
        step.note["commands"] = commands
    return step


def _labels(log: Log) -> dict[str, str]:
    status = log.status
    found = {"form": FORM, "trial_name": log.key, "log_path": log.path}
    if status.get("is_complete") is False:
        found["unfinished"] = "true"
    if log.restarted_tokens:
        found["restarted_tokens"] = str(log.restarted_tokens)
    winner = mapping(status.get("results")).get("winner") or mapping(log.coordination.get("session_metadata")).get("final_winner")
    return {**found, "winner": winner} if type(winner) is str and winner else found


def _commands(folder: Folder) -> dict[str, int]:
    """The commands in the debug stream that older versions keep, with how often each was run."""
    file = folder.open("streaming_debug.log")
    found: Counter[str] = Counter()
    if file is None:
        return found
    with file:
        for line in file.lines():
            for command in COMMAND.findall(line[1]) if not isinstance(line, Skip) else ():
                said = command.decode("utf-8", "replace")
                if said in found or len(found) < COMMANDS:
                    found[said] += 1
    return found


def _models(folder: Folder) -> dict[str, str]:
    """Each agent's model, as the run was configured."""
    raw = folder.text("execution_metadata.yaml", 1 << 20)
    if raw is None:
        return {}
    try:
        from spantriage.plain_yaml import load

        loaded = load(raw)
    except ImportError:
        folder.skip(Skip(folder.file("execution_metadata.yaml"), 0, str(MissingExtra("Reading YAML", "cli"))))
        return {}
    except SourceError as error:
        folder.skip(Skip(folder.file("execution_metadata.yaml"), 0, str(error)))
        return {}
    config = mapping(mapping(loaded).get("config"))
    agents = listed(config.get("agents")) or [config.get("agent")]
    told = ((text.name(each.get("id")), mapping(each.get("backend")).get("model")) for each in map(mapping, agents))
    return {agent: model for agent, model in told if agent is not None and type(model) is str}


SOURCE: Final = Source(FORM, sniff, read, rank=10, claims=claims, read_folder=read_folder)
