"""Each agent's record over several runs: those that are over, and with `add` those that are not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Mapping, MutableMapping
from typing import Final

from spantriage.record import Record

__all__ = ["MAX_AGENTS", "Totals", "add"]

MAX_AGENTS: Final = 2_000  # names kept, the latest


class Totals:
    """Of runs that are over. Bounded."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def items(self) -> ItemsView[str, Record]:
        """The agents' names and records."""
        return self._records.items()

    def copy(self) -> dict[str, Record]:
        """Records of their own, which may be added to."""
        found: dict[str, Record] = {}
        add(found, self._records)
        return found

    def take(self, records: Mapping[str, Record]) -> int:
        """Take in the records of a run that is over; returns how many agents had to be forgotten for them."""
        add(self._records, records)
        for name in records:
            self._records.move_to_end(name)
        forgotten = max(0, len(self._records) - MAX_AGENTS)
        for _ in range(forgotten):
            self._records.popitem(last=False)
        return forgotten

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()


def add(into: MutableMapping[str, Record], records: Mapping[str, Record]) -> None:
    """Add a later run's records; the outcome is that of the agent's latest run."""
    for name, record in records.items():
        total = into.setdefault(name, Record())
        total.merge(record)
        total.outcome = record.outcome
