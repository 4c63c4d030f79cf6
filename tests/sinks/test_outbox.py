"""The outbox: a far end that is slow, dead or broken costs the near end nothing."""

from __future__ import annotations

import threading
import time

import pytest

from spantriage.sinks import _outbox
from spantriage.sinks._outbox import Later, Outbox


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outbox, "BACKOFF_S", (0.01, 0.01))


def test_entries_arrive_in_order_in_batches() -> None:
    sent: list[list[int]] = []
    box = Outbox(lambda batch: sent.append(batch) is None, batch=4)
    box.put(range(10))
    assert box.flush(5)
    assert [entry for batch in sent for entry in batch] == list(range(10))
    assert max(map(len, sent)) == 4
    assert (box.sent, box.dropped, box.waiting) == (10, 0, 0)


def test_a_failed_batch_is_tried_again_and_then_counted_as_dropped() -> None:
    tries: list[list[int]] = []

    def send(batch: list[int]) -> bool:
        tries.append(batch)
        if len(tries) == 1:
            raise RuntimeError("broken")
        return batch == [2]

    box = Outbox(send)
    box.put([1])
    assert not box.flush(5)
    assert tries == [[1]] * 3
    box.put([2])
    assert box.flush(5)
    assert (box.sent, box.dropped) == (1, 1)


def test_a_full_box_drops_its_oldest_entries_and_counts_them() -> None:
    entered, release, sent = threading.Event(), threading.Event(), []

    def send(batch: list[int]) -> bool:
        entered.set()
        release.wait()
        sent.extend(batch)
        return True

    box = Outbox(send, size=5, batch=1)
    box.put([0])
    assert entered.wait(5)
    box.put(range(1, 11))
    assert not box.flush(0.01)
    assert (box.dropped, box.waiting) == (5, 6)
    release.set()
    assert box.flush(5)
    assert sent == [0, 6, 7, 8, 9, 10]


def test_closing_counts_what_has_not_left_and_a_later_entry_opens_the_box_again() -> None:
    release, sent = threading.Event(), []

    def send(batch: list[int]) -> bool:
        release.wait()
        sent.extend(batch)
        return True

    box = Outbox(send, batch=1)
    box.put(range(3))
    assert not box.close(0.05)
    release.set()
    assert box.flush(5)
    box.put([9])
    assert box.flush(5)
    assert sent == [0, 9]
    assert (box.sent, box.dropped) == (2, 2)


def test_without_a_thread_flushing_sends_on_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sent: list[int] = []
    box = Outbox(lambda batch: sent.extend(batch) is None)
    box.put([1, 2])
    assert box.flush(1)
    assert sent == [1, 2]
    assert (box.sent, box.waiting) == (2, 0)


def test_what_has_left_is_not_given_again_and_progress_begins_the_attempts_anew() -> None:
    tries: list[list[int]] = []

    def send(batch: list[int]) -> bool:
        tries.append(list(batch))
        if len(tries) % 2 == 0:
            del batch[0]
        return not batch

    box = Outbox(send)
    box.put([1, 2, 3])
    assert box.flush(5)
    assert tries == [[1, 2, 3]] * 2 + [[2, 3]] * 2 + [[3]] * 2
    assert (box.sent, box.dropped) == (3, 0)


def test_a_batch_given_up_counts_what_had_left_as_sent() -> None:
    def send(batch: list[int]) -> bool:
        if batch[0] == 1:
            batch.pop(0)
        return False

    box = Outbox(send)
    box.put([1, 2, 3])
    assert not box.flush(5)
    assert (box.sent, box.dropped, box.waiting) == (1, 2, 0)


def test_what_must_wait_goes_back_and_is_joined_by_what_comes_meanwhile() -> None:
    seen: list[list[int]] = []
    asked = threading.Event()

    def send(batch: list[int]) -> bool | Later:
        seen.append(list(batch))
        asked.set()
        return True if len(seen) > 1 else Later(600, failed=False)

    box = Outbox(send, size=3)
    box.put([1, 2])
    assert asked.wait(5)
    box.put([3, 4])
    box.flush(5)
    assert seen == [[1, 2], [2, 3, 4]]
    assert (box.sent, box.dropped) == (3, 1)


def test_a_pause_lasts_as_long_as_the_far_end_asks() -> None:
    times: list[float] = []

    def send(batch: list[int]) -> bool | Later:
        times.append(time.monotonic())
        return True if len(times) > 1 else Later(0.2)

    box = Outbox(send)
    box.put([1])
    threading.Event().wait(0.05)
    while box.waiting:
        threading.Event().wait(0.005)
    assert times[1] - times[0] >= 0.2
