"""What every test keeps: the books of each worker made in it must balance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spantriage.intake import Entry
from spantriage.worker import Worker


@pytest.fixture(autouse=True)
def books_that_balance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Spans are counted on their way in, beside the worker's own books, and compared when the test is over."""
    books: list[tuple[Worker, list[None]]] = []
    make, put = Worker.__init__, Worker.put

    def make_and_note(self: Worker, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        self.came = []  # type: ignore[attr-defined]  # the test's own book
        books.append((self, self.came))  # type: ignore[attr-defined]  # as above

    def put_and_note(self: Worker, entry: Entry) -> None:
        self.came.append(None)  # type: ignore[attr-defined]  # as above
        put(self, entry)

    monkeypatch.setattr(Worker, "__init__", make_and_note)
    monkeypatch.setattr(Worker, "put", put_and_note)
    yield
    for worker, came in books:
        worker.close(10.0)
        accounts = worker.accounts()
        assert accounts["received"] == len(came), accounts
        assert accounts["queued"] == 0, accounts
        assert accounts["processed"] + accounts["dropped.queue_full"] == len(came), accounts
