"""Commands that agents ran, brought to patterns: `npm install left-pad` and `npm install lodash` are one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage import text
from spantriage.model import Step
from spantriage.report.case import Case
from spantriage.report.figures import length

__all__ = ["Pattern", "advice", "command_of", "commands", "normalise", "patterns", "split"]

_COMMAND: Final = re.compile(r'"(?:command|cmd|bash_command|shell_command)"\s*:\s*"((?:[^"\\]|\\.)*)')
_LISTED: Final = re.compile(r'"(?:command|cmd)"\s*:\s*\[((?:[^\]"]|"(?:[^"\\]|\\.)*")*)')
_PARTS: Final = re.compile(r"\s*(?:&&|\|\||;|\n)\s*")
_ASSIGNED: Final = re.compile(r"^(?:[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|\S*)\s+)+")
_LEADS: Final = frozenset({"sudo", "time", "nohup", "env", "exec", "command"})
_QUIET: Final = frozenset({"cd", "export", "set", "true", "pushd", "popd", "source", "."})  # get ready for what comes after
# How many words name what a command does; the rest are its arguments.
_WORDS: Final = {
    **dict.fromkeys(("npm", "pnpm", "yarn", "pip", "pip3", "uv", "git", "apt", "apt-get", "docker", "cargo", "go", "brew", "conda"), 2),
    **dict.fromkeys(("poetry", "make", "kubectl", "npx", "ls", "python", "python3", "node", "bash", "sh"), 2),
    "openskills": 3,
}
_ADVICE: Final = (  # (pattern, what is wrong with running it again, what to do)
    (r"^openskills read", "The same documentation was read again", "Keep skill documents in the context or in a shared note"),
    (r"^(?:npm|pnpm|yarn|pip3?|uv|apt|apt-get|brew|conda|poetry|cargo)\b.*\b(?:install|add|i|ci|sync)\b",
     "The same packages were installed again", "Keep the installed environment between rounds and restarts"),
    (r"^(?:ls|tree|find|dir)\b", "The same folder was listed again", "List once, and tell the agents what is there"),
    (r"^(?:cat|head|tail|less|sed -n)\b", "The same file was read again", "Keep what was read in the context"),
    (r"crawl|scrape|^(?:curl|wget)\b", "The same page was fetched again", "Cache fetched pages where all agents find them"),
    (r"pytest|\btest\b", "The same tests ran again", "Run them after changes only"),
)  # fmt: skip
ADVICE: Final = tuple((re.compile(pattern, re.IGNORECASE), issue, advice) for pattern, issue, advice in _ADVICE)


@dataclass(slots=True)
class Pattern:
    """One pattern and the calls that ran it."""

    name: str
    calls: list[Step] = field(default_factory=list)
    times: int = 0  # as often as it was run, calls or not
    exact: dict[str, int] = field(default_factory=dict)

    @property
    def timed(self) -> list[float]:
        """Seconds of those calls that have a duration of their own."""
        return [call.duration_ns / 1e9 for call in self.calls if not call.implied and call.duration_ns]

    @property
    def output(self) -> int:
        """Characters of the longest output."""
        return max((length(call.result) or 0 for call in self.calls), default=0)


def commands(case: Case) -> Iterator[tuple[str, Step]]:
    """Every command that was run, with its call."""
    for call in case.calls:
        said = command_of(call)
        if said:
            yield said, call


def command_of(call: Step) -> str | None:
    """The command line that a call was given; None where it was given none."""
    found = _COMMAND.search(call.arguments or "")
    if found is not None:
        return _plain(found[1])
    parts = _LISTED.search(call.arguments or "")
    return None if parts is None else " ".join(_plain(each) for each in re.findall(r'"((?:[^"\\]|\\.)*)"', parts[1])) or None


def _plain(quoted: str) -> str:
    """A JSON string's content without its escapes; one that was cut inside of an escape stays as it is."""
    loaded = text.load(f'"{quoted}"')
    return loaded if isinstance(loaded, str) else quoted


def patterns(case: Case) -> list[Pattern]:
    """All patterns, those that ran most often first. What only a debug stream tells has no calls."""
    found: dict[str, Pattern] = {}
    ran = list(commands(case))
    for said, call in ran:
        for part in split(said):
            _count(found, part, 1).calls.append(call)
    if not ran:
        for step in case.own or case.steps:
            told = (step.note or {}).get("commands")
            for said, number in told.items() if isinstance(told, dict) else ():
                for part in split(_plain(str(said))):
                    _count(found, part, int(number))
    return sorted(found.values(), key=lambda pattern: (-pattern.times, pattern.name))


def _count(found: dict[str, Pattern], part: str, number: int) -> Pattern:
    name = normalise(part)
    pattern = found.setdefault(name, Pattern(name))
    pattern.times += number
    pattern.exact[part] = pattern.exact.get(part, 0) + number
    return pattern


def split(said: str) -> list[str]:
    """The commands of a line, without those that only get ready: `cd app && npm ci` is `npm ci`."""
    parts = [part for part in _PARTS.split(said[:4_000]) if part]
    loud = [part for part in parts if part.split(maxsplit=1)[0] not in _QUIET]
    return loud or parts[:1]


def normalise(part: str) -> str:
    """A command's pattern: the words that say what it does, and `...` for their arguments."""
    words = _ASSIGNED.sub("", part.strip()).split()
    while words and words[0] in _LEADS:
        words.pop(0)
    if not words:
        return part.strip()[:60]
    head = words[0].rsplit("/", 1)[-1]
    kept = min(_WORDS.get(head, 1), len(words))
    if head in ("python", "python3", "node", "bash", "sh") and len(words) > 2 and words[1].startswith("-"):
        kept = 3 if words[1] == "-m" else 2
    return " ".join([head, *words[1:kept]]) + (" ..." if len(words) > kept else "")


def advice(name: str) -> tuple[str, str]:
    """What is wrong with running it often, and what to do."""
    found = next(((issue, cure) for pattern, issue, cure in ADVICE if pattern.search(name)), None)
    return found or ("The same command ran again", "Reuse the first result where nothing has changed since")
