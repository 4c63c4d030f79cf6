"""The attributes that go onto spans: a verdict on the step's own, the reliability record on agents' and roots'.

They are worked out when the span's attributes are first read, which is when an exporter encodes it: on its thread, not
on the one where the span ended. No name contains a word that Logfire scrubs (session, auth, secret, cookie, ...).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from spantriage.cause import RANK, score_of, severity_of
from spantriage.model import CODES_KEY, Verdict
from spantriage.record import Record

if TYPE_CHECKING:
    from spantriage.worker import Worker

__all__ = ["Enriched", "describe", "describe_record"]

RECORD: Final = "triage.agent."


class Enriched(Mapping[str, Any]):
    """A span's attributes with ours behind them. Stands in for the mapping that all processors after us share."""

    __slots__ = ("__weakref__", "_found", "_own", "_worker")

    def __init__(self, own: dict[str, Any], worker: Worker) -> None:
        self._own = own
        self._worker: Worker | None = worker
        self._found: tuple[list[Verdict], Record | None] | None = None

    def show(self, verdicts: list[Verdict], record: Record | None) -> None:
        """Say what is to be seen on the span; too late once somebody has read it."""
        if self._worker is not None and (verdicts or record is not None):
            self._found = (verdicts, record)

    def release(self) -> None:
        """Wait for nothing more: the span was looked at, or was dropped from a full queue."""
        self._worker = None

    def _all(self) -> dict[str, Any]:
        if self._worker is not None:
            self._worker.catch_up()
            self._worker = None
        found = self._found
        if found is not None:
            self._own = {**self._own, **describe(*found)}
            self._found = None
        return self._own

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
