"""What a webhook says, in the receiver's own shape. Agent text is inert in each: no markup, no mention, no control character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import orjson

from spantriage.cause import RANK
from spantriage.finding import Finding, timestamp
from spantriage.sinks._line import encode
from spantriage.text import clean, clip

__all__ = ["SHAPES", "Shape"]

HEAD_CAP: Final = 150  # characters, Slack's own limits
TEXT_CAP: Final = 2_900
CODES: Final = 50  # codes that a summary lists


class Shape(NamedTuple):
    """How one kind of receiver wants to be told of a finding, and of many at once."""

    one: Callable[[Finding, str, int], bytes]  # with the writer's id and number of the message
    many: Callable[[Sequence[Finding], int], bytes]  # with the time, ns since the epoch


def _one(finding: Finding, writer_id: str, seq: int) -> bytes:
    return encode(finding, writer_id, seq)[0].rstrip()


def _many(findings: Sequence[Finding], time_ns: int) -> bytes:
    """A finding has a `finding_id`; a summary has `kind` "summary" and `counts` by code."""
    fields = {"kind": "summary", "severity": _worst(findings), "summary": _words(findings), "findings": len(findings)}
    return orjson.dumps({**fields, "counts": dict(_counts(findings)), "time": timestamp(time_ns)})


def _slack_one(finding: Finding, writer_id: str, seq: int) -> bytes:
    state = ("recovered" if finding.reason == "recovered" else "withdrawn") if finding.withdrawn else finding.severity
    head = f"{state}: {clean(finding.code)} ({clean(finding.agent or 'unknown')})" + " - root cause" * finding.primary
    said = [finding.summary]
    if finding.root_cause and not finding.withdrawn:
        said.append(f"Why: {finding.root_cause}")
    if finding.actionable not in ("none", "") and not finding.withdrawn:
        said.append(f"What to do: {finding.actionable}")
    return _slack(head, said, f"trace {finding.trace_id}  span {finding.span_id}  score {finding.score:.2f}  {finding.time}")


def _slack_many(findings: Sequence[Finding], time_ns: int) -> bytes:
    counts = [f"{code}: {number}" for code, number in _counts(findings)]
    return _slack(f"{_worst(findings)}: {len(findings)} more findings", ["\n".join(counts)], timestamp(time_ns))


def _slack(head: str, said: Sequence[str], foot: str) -> bytes:
    """A fallback text, and blocks of plain text: Slack looks for no markup in these."""
    sections = [{"type": "section", "text": _plain(words, TEXT_CAP)} for words in said]
    blocks = [{"type": "header", "text": _plain(head, HEAD_CAP)}, *sections, {"type": "context", "elements": [_plain(foot, TEXT_CAP)]}]
    text = _inert(f"{head}: {said[0]}", TEXT_CAP)
    return orjson.dumps({"text": text, "mrkdwn": False, "parse": "none", "link_names": False, "unfurl_links": False, "blocks": blocks})


def _plain(words: str, cap: int) -> dict[str, object]:
    return {"type": "plain_text", "text": _inert(words, cap) or "-", "emoji": False}


def _inert(words: str, cap: int) -> str:
    """Slack's three characters escaped, and an @ that calls nobody: receivers that take Slack's shape look for "@here" in plain words."""
    words, size = clean(words), cap
    while True:
        said = clip(words, size).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
        if len(said) <= cap:
            return said
        size = size * 3 // 4


def _counts(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    """Codes with their numbers, the most frequent first; what is taken back counts apart."""
    return Counter("(withdrawn)" if f.withdrawn else clean(f.code) for f in findings).most_common(CODES)


def _worst(findings: Sequence[Finding]) -> str:
    return max((f.severity for f in findings), key=lambda severity: RANK.get(severity, 0))


def _words(findings: Sequence[Finding]) -> str:
    return f"{len(findings)} more findings: " + ", ".join(f"{code} {number}" for code, number in _counts(findings)[:6])


SHAPES: Final = {"generic": Shape(_one, _many), "slack": Shape(_slack_one, _slack_many)}
