"""Records on disk: in order, once, whatever happens to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spantriage.serve.ledger import Ledger
from spantriage.serve.records import Full, Record


def make(folder: Path, **given: int) -> Ledger:
    return Ledger(folder, **{"cap_bytes": 1 << 20, **given})


def settle(ledger: Ledger, record: Record) -> None:
    ledger.done(record.number, record.things, len(record.body))


def bodies(ledger: Ledger) -> list[bytes]:
    found = []
    while (record := ledger.read()) is not None:
        found.append(record.body)
    return found


def test_records_come_back_in_their_order_over_many_files(tmp_path: Path) -> None:
    ledger = make(tmp_path, segment_bytes=30)
    put = [f"record {number}".encode() for number in range(10)]
    for body in put:
        ledger.append(1, 1, body)
    assert bodies(ledger) == put
    assert len(list(tmp_path.glob("*.log"))) > 3
    ledger.append(1, 1, b"one more")
    assert bodies(ledger) == [b"one more"]
    ledger.close()


def test_the_next_process_goes_on_behind_what_is_done(tmp_path: Path) -> None:
    ledger = make(tmp_path, segment_bytes=30)
    for number in range(6):
        ledger.append(1, 2, f"record {number}".encode())
    for _ in range(3):
        record = ledger.read()
        assert record is not None
        settle(ledger, record)
    ledger.prune(lambda _: False)
    ledger.close()

    again = make(tmp_path)
    assert (again.waiting, again.done_number) == (6, 3)
    again.skip_done()
    assert bodies(again) == [b"record 3", b"record 4", b"record 5"]
    assert again.append(1, 1, b"new") == 7
    assert bodies(again) == [b"new"]
    again.close()


def test_with_all_done_nothing_comes_again(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.append(1, 1, b"a")
    record = ledger.read()
    assert record is not None
    settle(ledger, record)
    ledger.close()  # not pruned: the process was killed
    again = make(tmp_path)
    again.skip_done()
    assert again.read() is None
    again.append(1, 1, b"b")
    assert bodies(again) == [b"b"]
    again.close()


def test_what_is_kept_is_not_read_twice_and_is_read_by_the_next_process(tmp_path: Path) -> None:
    ledger = make(tmp_path, segment_bytes=1)
    for body in (b"a", b"b"):
        ledger.append(1, 1, body)
        record = ledger.read()
        assert record is not None
        settle(ledger, record)
    ledger.prune(lambda segment: segment.first == 1)
    ledger.append(1, 1, b"c")
    assert bodies(ledger) == [b"c"]
    ledger.close()
    again = make(tmp_path)
    assert bodies(again) == [b"a", b"c"]
    again.prune(lambda _: False)
    assert len(list(tmp_path.glob("*.log"))) == 1  # "c" is not done
    again.close()


def test_a_torn_end_is_passed_over(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.append(1, 1, b"whole")
    ledger.append(1, 1, b"torn by the end of the machine")
    ledger.close()
    (path,) = tmp_path.glob("*.log")
    os.truncate(path, path.stat().st_size - 5)
    again = make(tmp_path)
    assert again.waiting == 1
    assert again.append(1, 1, b"next") == 2
    assert bodies(again) == [b"whole", b"next"]
    again.close()


def test_a_damaged_record_is_counted_and_the_next_one_read(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.append(1, 3, b"damaged")
    ledger.append(1, 1, b"sound")
    ledger.close()
    (path,) = tmp_path.glob("*.log")
    path.write_bytes(path.read_bytes().replace(b"damaged", b"dam\x00ged"))
    again = make(tmp_path)
    assert bodies(again) == [b"sound"]
    assert (again.damaged, again.waiting) == (1, 1)
    again.close()


def test_a_damaged_note_of_what_is_done_does_all_again(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    ledger.append(1, 1, b"a")
    record = ledger.read()
    assert record is not None
    settle(ledger, record)
    ledger.close()
    (tmp_path / "done").write_bytes(b"\xff" * 12)
    again = make(tmp_path)
    assert bodies(again) == [b"a"]
    again.close()


def test_it_is_full_until_something_is_done(tmp_path: Path) -> None:
    ledger = make(tmp_path, cap_bytes=100)
    ledger.append(1, 1, bytes(60))
    with pytest.raises(Full):
        ledger.append(1, 1, bytes(60))
    record = ledger.read()
    assert record is not None
    settle(ledger, record)
    assert ledger.append(1, 1, bytes(500)) == 2  # a single one is taken whatever its size
    ledger.close()
