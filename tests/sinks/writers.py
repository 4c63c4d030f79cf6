"""Processes that write findings to one file, started by the tests: `writers.py append|crash|limit|fork|denied PATH ...`.

The children are forked here, where no other thread runs.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from finding_samples import batch, finding

from spantriage.errors import SinkError
from spantriage.sinks.jsonl import JsonlSink

MAX_BYTES = 300_000


def fork(work, *arguments) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work(*arguments)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def wait_all(pids: list[int]) -> None:
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert status == 0, status


def append(path: str, processes: str, batches: str, max_bytes: str) -> None:
    """Several processes, two threads each, append batches of changing size at the same time."""

    def work(number: int) -> None:
        rng = random.Random(number)
        sink = JsonlSink(path, max_bytes=int(max_bytes), keep=1_000)

        def write() -> None:
            for _ in range(int(batches) // 2):
                size = rng.randint(1, 40)
                sink.write([*batch(size), finding(root_cause="x" * rng.choice((0, 5_000, 30_000)))])

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sink.held == sink.dropped == 0
        sink.close(1)
        os.write(1, (json.dumps({"writer_id": sink.writer_id, "written": sink.written}) + "\n").encode())  # whole, unlike print

    wait_all([fork(work, number) for number in range(int(processes))])


def crash(path: str, acks: str, kills: str) -> None:
    """Writers that are killed at random moments; what a `write` has returned for stands in the acks."""
    rng = random.Random(7)
    batches = [[*batch(size), finding(root_cause="y" * rng.choice((10, 3_000, 60_000)))] for size in range(1, 60, 3)]

    def work(number: int) -> None:
        chance = random.Random(number)
        sink = JsonlSink(path, max_bytes=MAX_BYTES, keep=10_000)
        log = os.open(acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        while True:
            sink.write(chance.choice(batches))
            os.write(log, f"{sink.writer_id} {sink.written}\n".encode())

    left = int(kills)
    alive = [fork(work, number) for number in range(4)]
    while left:
        time.sleep(rng.uniform(0.01, 0.05))  # the moment is what is being tested
        victim = alive.pop(rng.randrange(len(alive)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        left -= 1
        alive.append(fork(work, 1_000 + left))
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    JsonlSink(path, max_bytes=0).write([finding()])  # closes what the last one left


def limit(path: str) -> None:
    """A file-size limit in mid-batch, later lifted."""
    sink = JsonlSink(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    errors = 0
    for number in range(10):
        try:
            sink.write(batch(20, 20 * number))
        except OSError:
            errors += 1
    held, size = sink.held, Path(path).stat().st_size
    clean = Path(path).read_bytes().endswith(b"\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    sink.write(batch(20, 200))
    print(json.dumps({"errors": errors, "held": held, "size": size, "clean": clean, "left": sink.held, "dropped": sink.dropped}))


def split(path: str) -> None:
    """A fork while another thread is inside the sink and lines wait in memory."""
    sink = JsonlSink(path)
    sink.write(batch(3))
    folder = Path(path).parent
    folder.rename(f"{folder}.away")
    folder.write_text("in the way")
    try:
        sink.write(batch(2, 3))
    except OSError:
        assert sink.held == 2
    inside, done = threading.Event(), threading.Event()

    def occupy() -> None:
        with sink._mutex:
            inside.set()
            done.wait()

    thread = threading.Thread(target=occupy)
    thread.start()
    inside.wait()
    folder.unlink()
    Path(f"{folder}.away").rename(folder)
    child = fork(lambda: sink.write(batch(4, 100)))
    done.set()
    thread.join()
    wait_all([child])
    sink.write(batch(1, 5))


def denied(path: str) -> None:
    """An unprivileged user and a folder that is not theirs."""
    if os.geteuid() == 0:
        os.setuid(65_534)
    try:
        JsonlSink(path)
    except SinkError as error:
        print(error)


if __name__ == "__main__":
    {"append": append, "crash": crash, "limit": limit, "fork": split, "denied": denied}[sys.argv[1]](*sys.argv[2:])
