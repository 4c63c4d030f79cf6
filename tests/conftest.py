"""What every test keeps: the books of each worker made in it must balance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from spantriage import intake
from spantriage.ended import Entry
from spantriage.worker import Worker


class Counted(deque[Entry]):
    """A worker's queue that counts what comes in, beside the worker's own books."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[None] = []  # appending is atomic, adding is not

    def append(self, entry: Entry) -> None:
        self.came.append(None)
        super().append(entry)


@pytest.fixture(autouse=True)
def books_that_balance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What came into the queue of each worker is compared with its books when the test is over."""
    workers: list[Worker] = []
    make = Worker.__init__

    def make_and_note(self: Worker, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        workers.append(self)

    monkeypatch.setattr(Worker, "__init__", make_and_note)
    monkeypatch.setattr(intake, "deque", Counted)
    yield
    for worker in workers:
        worker.close(10.0)
        accounts, queue = worker.accounts(), worker.queue
        assert isinstance(queue, Counted)
        assert accounts["received"] == len(queue.came), accounts
        assert accounts["queued"] == 0, accounts
        assert accounts["processed"] + accounts["dropped.queue_full"] == len(queue.came), accounts
