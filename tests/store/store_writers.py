"""Rows for stores, and a process that writes them until it is told to stop, or killed.

`python store_writers.py FOLDER NUMBER ROTATE_BYTES`: prints how many rows are with the operating system after each batch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from spantriage.store.layout import create
from spantriage.store.lines import line
from spantriage.store.rows import Status, resource_row, rows_of
from spantriage.store.spool import Spool

RESOURCE = resource_row({"service.name": "writers"})
SECOND = 1_000_000_000
BEGIN = 1_795_183_295 * SECOND


class Span:
    """An ended span."""

    def __init__(self, name: str, start: int = BEGIN, lasted: int = SECOND) -> None:
        self.name, self.start_time, self.end_time = name, start, start + lasted
        self.events: list[Any] = []
        self.links: list[Any] = []
        self.instrumentation_scope = None


def row(number: int, *, writer: int = 1, attributes: dict[str, Any] | None = None, start: int = BEGIN) -> dict[str, Any]:
    """A row with an id of its own."""
    ids = (writer + 1, (writer << 32) + number + 1, None)
    made = {"massgen.agent_id": f"agent_{writer}", "n": number} if attributes is None else attributes
    return rows_of(Span(f"step {number % 7}", start + number), made, ids, Status(None, None), RESOURCE, content=True)[0]


def write(folder: Path, numbers: range, *, writer: int = 1, rotate_bytes: int = 1 << 20) -> Spool:
    """Write so many rows; the writer is still open."""
    spool = Spool(create(folder), rotate_bytes=rotate_bytes)
    spool.append(b"".join(line(row(number, writer=writer)) for number in numbers))
    return spool


def main() -> None:
    """Write batches of 64 rows."""
    folder, number, rotate_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    batches = int(sys.argv[4])
    spool = Spool(create(folder), rotate_bytes=rotate_bytes)
    for batch in range(batches):
        spool.append(b"".join(line(row(batch * 64 + each, writer=number)) for each in range(64)))
        print((batch + 1) * 64, flush=True)
    sys.stdin.read()  # stay, with the file open


if __name__ == "__main__":
    main()
