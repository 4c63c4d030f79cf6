"""Failures of what tools run in: sandboxes, containers, disks, memory, the network under them. Nobody's code, nobody's call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

from spantriage.blame import blames_model
from spantriage.deeds import deed_of
from spantriage.failures import said
from spantriage.model import Step
from spantriage.settled import Settled

__all__ = ["Trouble", "trouble_of", "troubles_of"]

Trouble = Literal["out_of_memory", "timeout", "error"]
HEAD: Final = 500  # characters of an error or of a result's beginning that are looked at
TAIL: Final = 200

_EXIT: Final = r"(?:exit(?:ed)?(?: with)?[ _]?(?:code|status)?\W{1,3}|<returncode>|returncode\W{1,3}|return code\W{1,3})"
_BOX: Final = r"\b(?:sandbox|container|pod|virtual machine|vm|devbox|kernel|browser|terminal session)\b"
_TABLE: Final[tuple[tuple[Trouble, tuple[str, ...]], ...]] = (
    ("out_of_memory",
     (rf"{_EXIT}137\b", rf"{_EXIT}-9\b", r"\bOOM[ -]?kill", r"\boom-kill", r"\bOOMKilled", r"\bout of memory\b", r"^MemoryError\b",
      r"\bMemoryError:",
      r"\bcannot allocate memory\b", r"(?:^|\n|\d )Killed\s*$", r"\bmemory limit (?:was |of .{1,20} )?(?:exceeded|reached)", r"\bENOMEM\b",
      r"(?:killed by|received) (?:signal|SIG)\W{0,2}(?:9|KILL)\b")),
    ("timeout",
     (rf"{_EXIT}124\b", r"\btimed out and (?:has been|was) killed",
      r"\b(?:command|process|script|execution|cell|code|program)\b.{0,60}\btimed out\b",
      r"\b(?:command|process|execution|cell|code)\b.{0,30}\bexceeded\b.{0,30}\b(?:time|timeout)\b", r"\bTimeoutExpired\b",
      rf"{_BOX}.{{0,40}}\btimed out\b", r"\btimed out .{0,40}(?:sandbox|container|docker|pod)\b", r"\btime limit (?:was )?exceeded\b")),
    ("error",
     ((rf"{_BOX}.{{0,50}}\b(?:not running|died|crashed|has been (?:closed|terminated|stopped|killed)|was (?:terminated|stopped|killed)"
     rf"|failed to start"
      r"|is (?:dead|gone|unreachable|not available|unavailable)|could not be (?:created|started|reached)|no longer (?:exists|available)"
      r"|disconnected"
      r"|connection (?:refused|reset|lost|closed))"),
      (r"\b(?:failed to|could not|cannot|unable to) (?:start|create|connect to|reach|attach to|exec in(?:to)?|initiali[sz]e) (?:the |a "
      r"|an )?"
      r"(?:docker|sandbox|container|pod|kernel|browser|vm\b|virtual machine|environment|runner)"),
      r"\bconnection (?:refused|reset)\b.{0,80}(?:sandbox|container|docker|pod)\b",
      r"\b(?:sandbox|container|docker)\S{0,20} (?:not found|error)\b",
      r"\bcannot connect to the docker daemon", r"\bno space left on device\b", r"\bdisk quota exceeded\b", r"\bENOSPC\b",
      r"\bdisk (?:is )?full\b",
      r"\bRPC failed\b", r"\bGnuTLS recv error", r"\bcurl (?:5[26]|18|28|35|6|7)\b[ :(]", r"\bfetch-pack: unexpected disconnect",
      r"\bearly EOF\b",
      r"\bcould not resolve host\b", r"\btemporary failure (?:in name resolution|resolving)", r"\bread-only file system\b",
      r"\btoo many open files\b",
      r"\bnetwork is unreachable\b", r"\bexec format error\b", r"\bDeadKernelError\b", r"\btarget (?:page|closed)\b.{0,60}\bclosed\b",
      r"\b(?:sandbox|docker|container)\w{0,20}(?:error|exception)\b")),
)  # fmt: skip
_PATTERNS: Final = tuple((name, re.compile("|".join(patterns), re.IGNORECASE)) for name, patterns in _TABLE)
_NAMED_OTHERWISE: Final = frozenset(
    {"cancelled", "echo", "rate_limited", "authentication", "permission_denied", "unknown_tool", "provider_error", "context_overflow",
     "truncated_output"}
)  # fmt: skip
# In a result that reports no failure only what a shell itself says counts: the rest may be a document's words.
_OWN_WORDS: Final = re.compile(
    rf"{_EXIT}(?:124|137|-9)\b|\btimed out and (?:has been|was) killed|^\W{{0,4}}(?:command|process|execution)\b.{{0,40}}\btimed out\b"
    r"|\b(?:error|fatal|failed|warning)\b.{0,100}(?:no space left|RPC failed|could not resolve host|GnuTLS recv|network is unreachable"
    r"|read-only file system)"
    r"|(?:no space left on device|disk quota exceeded|cannot allocate memory|read-only file system|could not resolve host: \S+"
    r"|network is unreachable)\s*$"
    r"|(?:^|\n)Killed\s*$|\bcannot connect to the docker daemon",
    re.IGNORECASE | re.MULTILINE,
)
# Without one of these it cannot match; looking is much cheaper than matching.
_HINTS: Final = (
    "137", "124", "-9", "timed out", "killed", "no space", "quota", "allocate", "read-only", "rpc failed", "resolve host", "gnutls",
    "unreachable", "docker daemon",
)  # fmt: skip


def trouble_of(step: Step) -> Trouble | None:
    """Name what is wrong with the place where the step ran; None when the step speaks of something else, or of nothing."""
    if step.kind == "model" or step.sign in _NAMED_OTHERWISE:
        return None
    if step.failed:
        if step.kind != "tool" and blames_model(step):
            return None
        text = said(step.error_type, step.error_message)
        return _name(text[:HEAD]) if len(text) > 2 else None
    if step.kind != "tool" or not step.result:
        return None
    ends = step.result if len(step.result) <= HEAD + TAIL else f"{step.result[:HEAD]}\n{step.result[-TAIL:]}"
    if step.sign != "ok":
        return _name(ends)
    return _name_own(ends) if deed_of(step) not in ("read", "other") else None


@lru_cache(maxsize=1_024)  # three detectors ask, and others that leave such failures to them
def _name_own(ends: str) -> Trouble | None:
    low = ends.lower()
    if not any(hint in low for hint in _HINTS):
        return None
    return _name(ends) if _OWN_WORDS.search(ends) is not None else None


@lru_cache(maxsize=1_024)
def _name(text: str) -> Trouble | None:
    return next((name for name, pattern in _PATTERNS if pattern.search(text)), None)


def troubles_of(settled: Settled, name: Trouble) -> Iterator[tuple[Step, bool]]:
    """Steps of a complete run with this trouble, each with whether a tool of the same agent did its work afterwards."""
    known = settled.memo.get("troubles")
    if not isinstance(known, dict):
        known = settled.memo["troubles"] = {step.span_id: trouble for step in settled.sequence if (trouble := trouble_of(step)) is not None}
    if name not in known.values():
        return
    well: dict[int | None, int] = {}
    for step in settled.sequence:
        if step.kind == "tool" and step.sign == "ok" and step.span_id not in known:
            well[step.agent_span_id] = max(step.start_ns, well.get(step.agent_span_id, 0))
    for step in settled.sequence:
        if known.get(step.span_id) == name:
            yield step, well.get(step.agent_span_id, -1) >= step.end_ns
