"""What an attempt keeps in each agent's own folder, for when its logs of events are missing: answers, votes, outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from spantriage import text
from spantriage.sources import times
from spantriage.sources.massgen_log import Happening, Log

__all__ = ["kept", "said_of", "stamp"]

SNAPSHOTS: Final = 1_000  # folders of one agent
ANSWER_CAP: Final = 1 << 20
_STAMP: Final = re.compile(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_(\d{1,6})")


def kept(log: Log, agent: str) -> Iterator[Happening]:
    """The answers and votes in an agent's folder, oldest first."""
    folder = None if log.alone else log.folder.sub(agent)
    for snapshot in list(folder.subs())[:SNAPSHOTS] if folder is not None else ():
        when = stamp(snapshot.name)
        if snapshot.has("vote.json"):
            vote = snapshot.json("vote.json")
            yield Happening("vote_cast", agent, times.read(vote.get("unix_timestamp")) or when, None, vote)
        elif snapshot.has("answer.txt"):
            yield Happening("new_answer", agent, when, None, {"content": snapshot.text("answer.txt", ANSWER_CAP)})


def said_of(log: Log, agent: str) -> str | None:
    """Everything that the agent showed while it worked."""
    folder = None if log.alone else log.folder.sub("agent_outputs")
    return None if folder is None else text.string(folder.text(f"{agent}.txt"))


def stamp(name: str) -> int:
    """A snapshot folder's time, which is local: good enough to put things in order."""
    found = _STAMP.fullmatch(name)
    if found is None:
        return 0
    year, month, day, hour, minute, second, micro = found.groups()
    return times.read(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{micro.ljust(6, '0')}") or 0
