"""One finding as one line of JSON: never too long, never broken, never the ruin of its batch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import orjson

from spantriage.text import clean, clip

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["LINE_CAP", "encode"]

LINE_CAP: Final = 1 << 16  # bytes, with the newline
_WORDS_CAP: Final = 500  # characters of each text, where a line without evidence is still too long
# What a stub says where the finding's own value is of another type or cannot be written.
_DEFAULTS: Final[dict[str, object]] = {
    "code": "unknown",
    "category": "unknown",
    "kind": "incident",
    "severity": "warning",
    "score": 0.0,
    "confidence": "low",
    "primary": False,
    "trace_id": "0" * 32,
    "span_id": "0" * 16,
    "summary": "(this finding could not be written)",
    "actionable": "none",
    "time": "1970-01-01T00:00:00.000000+00:00",
    "detector_version": "unknown",
    "source": "unknown",
}
_OPTIONAL: Final[dict[str, type]] = {"wasted_tokens": int, "wasted_cost_usd": float}  # the others are texts
_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "kind": ("incident", "outcome"),
    "severity": ("info", "warning", "error", "critical"),
    "confidence": ("high", "medium", "low"),
}


def encode(finding: Finding, writer_id: str, seq: int) -> tuple[bytes, bool]:
    """The line, newline included, and whether it is whole. A finding that cannot be encoded becomes a stub that can."""
    try:
        if not 0 <= finding.score <= 1:
            raise ValueError("score")
        fields = {
            **finding.__dict__,
            "evidence": [evidence.__dict__ for evidence in finding.evidence],
            "writer_id": writer_id,
            "seq": seq,
        }
        line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        return (line if len(line) <= LINE_CAP else _shrink(fields)), True
    except Exception as error:  # whatever is wrong with this one, the others of its batch must be written
        return _stub(finding, writer_id, seq, type(error).__name__), False


def _shrink(fields: dict[str, object]) -> bytes:
    """Let evidence go from the end until the line fits; if that is not enough, cut the texts, saying how much is missing."""
    evidence = fields["evidence"]
    assert isinstance(evidence, list)
    while evidence:
        evidence.pop()
        line = orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        if len(line) <= LINE_CAP:
            return line
    short = {name: clip(clean(value), _WORDS_CAP) if isinstance(value, str) else value for name, value in fields.items()}
    return orjson.dumps(short, option=orjson.OPT_APPEND_NEWLINE)


def _stub(finding: Finding, writer_id: str, seq: int, error: str) -> bytes:
    """What can be said of a finding that cannot be written whole. It reads as a finding; `reason` tells what it is."""
    fields: dict[str, object] = {}
    for name in type(finding).model_fields:
        value, default = _plain(getattr(finding, name, None)), _DEFAULTS.get(name)
        kind = _OPTIONAL.get(name, str) if default is None else type(default)
        fields[name] = value if type(value) is kind and (name not in _ALLOWED or value in _ALLOWED[name]) else default
    score = fields["score"]
    fields["score"] = score if isinstance(score, float) and 0 <= score <= 1 else 0.0
    fields["finding_id"] = fields["finding_id"] or f"{writer_id}-{seq}"
    fields |= {"evidence": [], "reason": f"stub: {error}", "writer_id": writer_id, "seq": seq}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: object) -> str | int | float | None:
    """A scalar that JSON can hold, or None."""
    if isinstance(value, str):
        return clip(clean(value), _WORDS_CAP)
    if isinstance(value, int):
        return value if 0 <= value < 1 << 63 else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None
