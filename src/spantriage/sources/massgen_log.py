"""The files of one attempt, read: what they say of agents, events and times, whichever of them are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from spantriage import text
from spantriage.folder import Folder
from spantriage.model import Kind, Step
from spantriage.sources import ids, times
from spantriage.sources.talk import listed, mapping

__all__ = ["Happening", "Log"]

EVENTS: Final = 200_000  # of one file
NOISE: Final = frozenset({"iteration_start", "iteration_end", "status_change"})
MARKS: Final = {"NEW ANSWER": "new_answer", "VOTE": "vote_cast", "FINAL ANSWER": "final_answer"}
_COLUMN: Final = re.compile(r"Agent \d+ \(([^)|]{1,100})\)")
_ROW: Final = re.compile(r"\|\s*E(\d{1,6})\s*\|")
_MARK: Final = re.compile(r"(NEW ANSWER|VOTE|FINAL ANSWER): ([\w.-]{1,60})")
QUARTER_S: Final = 900  # time zones are this far apart


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the coordination's own log."""

    kind: str
    agent: str | None
    when_ns: int
    said: str | None
    context: dict[str, object]


class Log:
    """One attempt. Every file is read once, when it is first asked for."""

    def __init__(self, folder: Folder, status_name: str, *, alone: bool = False) -> None:
        self.folder = folder
        self.alone = alone  # there is nothing but the status file
        self.path = folder.file(status_name) if alone or folder.has(status_name) else folder.path
        self.models: dict[str, str] = {}
        self.restarted_tokens = 0  # input and output of rounds that were cut off and are in no round's account
        self._status_name = status_name

    @cached_property
    def status(self) -> dict[str, object]:
        """`status.json`, rewritten while the run goes on and left as it ended."""
        return self.folder.json(self._status_name)

    @cached_property
    def summary(self) -> dict[str, object]:
        """`metrics_summary.json`."""
        return {} if self.alone else self.folder.json("metrics_summary.json")

    @cached_property
    def metrics(self) -> dict[str, object]:
        """`metrics_events.json`: one entry for each tool call and finished round."""
        return {} if self.alone else self.folder.json("metrics_events.json")

    @cached_property
    def coordination(self) -> dict[str, object]:
        """`coordination_events.json`."""
        return {} if self.alone else self.folder.json("coordination_events.json")

    @cached_property
    def key(self) -> str:
        """What names the run: the last folders of its path, else those that the status tells."""
        told = mapping(self.status.get("meta")).get("log_dir")
        for path in (self.folder.path if not self.alone else "", told if type(told) is str else ""):
            parts = [part for part in path.replace("\\", "/").split("/") if part]
            begin = next((index for index in range(len(parts) - 1, -1, -1) if parts[index].startswith("log_")), None)
            if begin is not None:
                return "/".join(parts[begin : begin + 3])
        return ""

    @cached_property
    def trace_id(self) -> int:
        """The same wherever the folder was moved to."""
        return ids.log_trace_id(self.key) or ids.trace_id("massgen", self.folder.path, self._status_name)

    @cached_property
    def agents(self) -> dict[str, dict[str, object]]:
        """What the status, else the summary, says of each agent."""
        found: dict[str, dict[str, object]] = {}
        for told in (self.summary.get("agents"), self.status.get("agents")):
            entries = told.items() if isinstance(told, dict) else ((mapping(a).get("agent_id"), a) for a in listed(told))
            for agent, entry in entries:
                name = text.name(agent)
                if name is not None and isinstance(entry, dict):
                    found[name] = {**found.get(name, {}), **entry}
        return found

    @cached_property
    def events(self) -> list[Happening]:
        """What the coordination's log tells, by time, without its noise."""
        found = [each for each in map(_happening, listed(self.coordination.get("events"))[:EVENTS]) if each is not None]
        return sorted((each for each in found if each.kind not in NOISE), key=lambda each: each.when_ns)

    @cached_property
    def told(self) -> list[Happening]:
        """The lines of `events.jsonl` that are of use, by time; their times are local and are put right."""
        if self.alone:
            return []
        lines: list[Happening] = []
        for _, line in self.folder.lines("events.jsonl"):
            when, kind = times.read(line.get("timestamp")), line.get("event_type")
            if when is not None and type(kind) is str and len(lines) < EVENTS:
                lines.append(Happening(kind, text.name(line.get("agent_id")), when, None, mapping(line.get("data"))))
        shift = self._shift(lines[0].when_ns) if lines else 0
        lines = [Happening(each.kind, each.agent, each.when_ns - shift, each.said, each.context) for each in lines]
        return sorted(lines, key=lambda each: each.when_ns)

    @cached_property
    def tabled(self) -> list[Happening]:
        """Answers and votes in the table that is kept for people; it tells their order, and no times."""
        table = None if self.alone else self.folder.text("coordination_table.txt")
        start, end = self.times()
        agents: list[str] = []
        found: list[Happening] = []
        for line in (table or "").splitlines()[:EVENTS]:
            agents = agents or _COLUMN.findall(line)
            row = _ROW.match(line)
            for agent, cell in zip(agents, line.split("|")[2:], strict=False) if row is not None else ():
                mark = _MARK.search(cell)
                if mark is not None and row is not None:
                    label = {"label": mark[2], "voted_for_label": mark[2]}
                    found.append(Happening(MARKS[mark[1]], text.name(agent), start + int(row[1]), None, label))
        step_ns = max(1_000, (end - start) // (len(found) + 1))
        return [Happening(e.kind, e.agent, start + number * step_ns, None, e.context) for number, e in enumerate(found, 1)]

    def of(self, agent: str | None, *kinds: str) -> Iterator[Happening]:
        """The coordination's entries of an agent, of these kinds, by time."""
        return (each for each in self._of_agents.get(agent, ()) if each.kind in kinds)

    @cached_property
    def _of_agents(self) -> dict[str | None, list[Happening]]:
        found: dict[str | None, list[Happening]] = {}
        for event in self.events:
            found.setdefault(event.agent, []).append(event)
        return found

    def told_of(self, agent: str | None, *kinds: str) -> list[Happening]:
        """The lines of `events.jsonl` of an agent, of these kinds, by time."""
        return [each for each in self._told_of_agents.get(agent, ()) if each.kind in kinds]

    @cached_property
    def _told_of_agents(self) -> dict[str | None, list[Happening]]:
        found: dict[str | None, list[Happening]] = {}
        for line in self.told:
            found.setdefault(line.agent, []).append(line)
        return found

    def times(self) -> tuple[int, int]:
        """When the run began and ended."""
        meta, session = mapping(self.status.get("meta")), mapping(self.coordination.get("session_metadata"))
        start = times.read(meta.get("start_time")) or times.read(session.get("start_time"))
        start = start or min((each.when_ns for each in self.events), default=0)
        seconds = text.number(meta.get("elapsed_seconds"))
        ends = [times.read(session.get("end_time")) or 0, start + int((seconds or 0) * times.NS), *(e.when_ns for e in self.events[-1:])]
        return start, max(start, *ends)

    def step(self, kind: Kind, name: str, start_ns: int, end_ns: int, agent: str | None, parent: Step, *key: object) -> Step:
        """A step of this run; `key` is what tells it from all others."""
        span_id = ids.span_id(self.trace_id, kind, agent, *key)
        step = Step(self.trace_id, span_id, parent.span_id, start_ns, max(start_ns, end_ns), kind, name, "massgen")
        step.agent, step.source = agent, self.path
        return step

    def _shift(self, first_ns: int) -> int:
        """By how much local times run ahead, in whole quarters of an hour."""
        start = mapping(self.status.get("meta")).get("start_time") or mapping(self.coordination.get("session_metadata")).get("start_time")
        began = times.read(start)
        return 0 if began is None else round((first_ns - began) / (QUARTER_S * times.NS)) * QUARTER_S * times.NS


def _happening(event: object) -> Happening | None:
    told = mapping(event)
    kind, when = told.get("event_type"), times.read(told.get("timestamp"))
    if type(kind) is not str or when is None:
        return None
    return Happening(kind, text.name(told.get("agent_id")), when, text.string(told.get("details")), mapping(told.get("context")))
