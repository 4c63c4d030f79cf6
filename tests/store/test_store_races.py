"""Writers that die, writers beside each other, and packing while others read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from store_writers import row, write

from spantriage import query
from spantriage.store.layout import look
from spantriage.store.lines import line
from spantriage.store.packing import pack
from spantriage.store.spool import Spool, is_closed

WRITERS = Path(__file__).with_name("store_writers.py")
COUNT = "select count(*) as n, count(distinct span_id) as ids from records"


def start(folder: Path, number: int, *, rotate_bytes: int = 1 << 20, batches: int = 1_000_000) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITERS), str(folder), str(number), str(rotate_bytes), str(batches)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def counted(folder: Path) -> tuple[int, int]:
    found = query(COUNT, folder).to_pylist()[0]
    return found["n"], found["ids"]


def test_a_writer_that_is_killed_loses_nothing_that_it_has_acknowledged(tmp_path: Path) -> None:
    process = start(tmp_path, 1, rotate_bytes=40_000)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(40)][-1]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    acknowledged = max([acknowledged, *map(int, rest.split()[:-1])])
    rows, ids = counted(tmp_path)
    assert rows == ids >= acknowledged
    assert rows % 64 == 0, "a batch is one write: it is there or it is not"
    assert all(map(is_closed, (tmp_path / "spool").iterdir())), "the lock of the dead is gone"
    assert pack(tmp_path, grace_s=0).rows == rows
    assert counted(tmp_path) == (rows, ids)
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize(
    "tail", [b'{"trace_id":"00', b"\0" * 4096, b"not JSON at all\n", b'{"end_timestamp": "x"}\n', b"\xff\xfe\n\n\n[1,2"]
)
def test_a_torn_tail_adds_no_row_and_hides_none(tmp_path: Path, tail: bytes) -> None:
    first = write(tmp_path, range(100))
    assert first.path is not None
    first.rotate()
    with first.path.open("ab") as file:
        file.write(tail)
    second = write(tmp_path, range(100, 150))
    assert second.path != first.path, "a new writer never goes on in an old file"
    assert counted(tmp_path) == (150, 150)
    second.rotate()
    assert pack(tmp_path, grace_s=0).rows == 150
    assert counted(tmp_path) == (150, 150)
    assert (tmp_path / "damaged").exists() is (b"\n" in tail), "whole lines that cannot be read are set aside, not deleted"


def test_a_batch_that_the_disk_refuses_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = write(tmp_path, range(10))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 100:
            return real(fd, data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            spool.append(line(row(10))[:150])
    spool.append(line(row(11)))
    assert counted(tmp_path) == (11, 11)


def test_four_writers_and_a_packer_and_counts_that_never_go_back(tmp_path: Path) -> None:
    batches, numbers = 60, range(1, 5)
    processes = [start(tmp_path, number, rotate_bytes=60_000, batches=batches) for number in numbers]
    seen: list[int] = []
    faults: list[object] = []
    done = threading.Event()

    def repeat(what: Callable[[], object]) -> None:
        try:
            while not done.is_set():
                what()
        except BaseException as error:
            faults.append(error)

    def read() -> None:
        if (tmp_path / "meta.json").exists():
            rows, ids = counted(tmp_path)
            faults.extend([(rows, ids)] if rows != ids else [])
            seen.append(rows)

    def compact() -> None:
        if (tmp_path / "meta.json").exists():
            pack(tmp_path, grace_s=0.3)

    threads = [threading.Thread(target=repeat, args=(what,)) for what in (read, compact)]
    for thread in threads:
        thread.start()
    try:
        for process in processes:
            assert process.stdout is not None
            assert [int(process.stdout.readline()) for _ in range(batches)][-1] == batches * 64
        processes[0].kill()
        assert counted(tmp_path)[0] == len(numbers) * batches * 64
    finally:
        done.set()
        for thread in threads:
            thread.join()
        for process in processes:
            end(process)
    assert not faults
    assert seen == sorted(seen)
    pack(tmp_path, grace_s=0)
    assert counted(tmp_path) == (len(numbers) * batches * 64,) * 2
    assert not list((tmp_path / "spool").iterdir())
    assert len(look(tmp_path).parquet) <= 9, "small files are merged"


def test_an_open_segment_is_not_packed_and_a_second_packer_leaves(tmp_path: Path) -> None:
    spool = write(tmp_path, range(10))
    assert pack(tmp_path).segments == 0
    spool.rotate()
    assert pack(tmp_path).segments == 1
    assert pack(tmp_path).segments == 0, "it is still there for readers, and packed already"
    assert counted(tmp_path) == (10, 10)
    assert pack(tmp_path, grace_s=0).deleted == 1


def test_small_files_are_merged_while_a_reader_has_listed_them(tmp_path: Path) -> None:
    for number in range(9):
        write(tmp_path, range(number * 10, number * 10 + 10)).rotate()
        pack(tmp_path, grace_s=3_600)
    listed = look(tmp_path)
    assert counted(tmp_path) == (90, 90)
    assert len(listed.parquet) == 2, "eight went into one, and one came after it"
    assert all(path.exists() for path in listed.parquet)
    assert pack(tmp_path, grace_s=0).deleted == 8 + 9
    assert counted(tmp_path) == (90, 90)


def test_a_parquet_file_that_was_never_finished_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, range(10)).rotate()
    pack(tmp_path)
    day = next((tmp_path / "parquet").iterdir())
    (day / ".abc.parquet.99.tmp").write_bytes(b"PAR1 half of it")
    assert counted(tmp_path) == (10, 10)


def test_a_writer_leaves_its_file_to_the_parent_after_a_fork(tmp_path: Path) -> None:
    spool = write(tmp_path, range(10))
    before = spool.path
    child = os.fork()
    if child == 0:
        spool.disown()
        spool.append(line(row(50, writer=2)))
        spool.rotate()
        os._exit(0)
    os.waitpid(child, 0)
    assert isinstance(spool, Spool)
    spool.append(line(row(10)))
    assert spool.path == before
    assert counted(tmp_path) == (12, 12)
    assert len(list((tmp_path / "spool").iterdir())) == 2
