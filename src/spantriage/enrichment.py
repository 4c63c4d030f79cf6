"""The attributes that go onto spans: a verdict on the step's own, the reliability record on agents' and roots'.

They are worked out when the span's attributes are first read, which is when an exporter encodes it: on its thread, not
on the one where the span ended. No name contains a word that Logfire scrubs (session, auth, secret, cookie, ...).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes

from spantriage.cause import RANK, score_of, severity_of
from spantriage.model import CODES_KEY, Verdict
from spantriage.record import Record

if TYPE_CHECKING:
    from spantriage.worker import Worker

__all__ = ["Enriched", "describe", "describe_record"]

RECORD: Final = "triage.agent."


class Enriched(BoundedAttributes):
    """A span's attributes with ours behind them. Stands in for the mapping that all processors after us share.

    It is of the SDK's own class because the SDK asks that one how many attributes a span has lost to its limit, and
    because other processors write into it with that class's methods.
    """

    __slots__ = ("_found", "_waits", "_worker")
    maxlen = None
    max_value_len = None
    dropped = 0
    _immutable = True
    _extended_attributes = False  # asked for by older SDKs
    _lock = threading.Lock()  # for writers among other processors, of whom there is at most one or two

    def __init__(self, own: dict[str, Any], worker: Worker, dropped: int = 0) -> None:  # no super(): it would copy and clean all
        self._dict = own
        self._worker = worker
        self._waits = True
        self._found: dict[str, Any] | None = None
        if dropped:
            self.dropped = dropped

    def show(self, verdicts: list[Verdict], record: Record | None) -> None:
        """Say what is to be seen on the span; too late once somebody has read it."""
        if self._waits and (verdicts or record is not None):
            self._found = describe(verdicts, record)  # at once: both go on changing

    def release(self) -> None:
        """Wait for nothing more: the span was looked at, or was dropped from a full queue."""
        self._waits = False

    def found(self) -> dict[str, Any]:
        """What is shown beside the span's own attributes, as far as the worker has come; for those who read no attributes."""
        return self._found or {}

    def copy(self) -> dict[str, Any]:
        """A plain dict with the same content."""
        return dict(self._all())

    def _all(self) -> dict[str, Any]:
        try:
            if self._waits:
                self._worker.catch_up()
            found = self._found
            if found is not None:
                self._dict = {**self._dict, **found}
        except Exception:  # an exporter must get its span, whatever we do
            self._worker.count("enrich_errors")
        self._waits, self._found = False, None
        return self._dict

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __contains__(self, key: object) -> bool:
        return key in self._all()

    def __bool__(self) -> bool:
        return True  # asked by ReadableSpan.attributes, which must not count as reading

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundedAttributes:
        copied = BoundedAttributes()
        copied._dict, copied.dropped = deepcopy(self._all(), memo), self.dropped
        return copied

    def __repr__(self) -> str:
        return repr(self._all())


def describe(verdicts: list[Verdict], record: Record | None) -> dict[str, Any]:
    """`triage.*` of a step: all codes; category, severity and score of the worst; on agents and roots the record."""
    described: dict[str, Any] = {}
    if verdicts:
        worst = max(verdicts, key=lambda v: (RANK[severity_of(v)], score_of(v)))
        described = {
            CODES_KEY: sorted({v.detector.code for v in verdicts}),
            "triage.category": worst.detector.category,
            "triage.severity": severity_of(worst),
            "triage.score": score_of(worst),
        }
        if worst.detector.subcategory is not None:
            described["triage.subcategory"] = worst.detector.subcategory
    if record is not None:
        describe_record(record, described)
    return described


def describe_record(record: Record, described: dict[str, Any]) -> None:
    """`triage.agent.*`: the record as flat scalars; what is unknown is left out."""
    for name, value in record.flat():
        described[RECORD + name] = value
