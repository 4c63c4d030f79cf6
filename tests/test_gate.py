"""The lock that sends away who comes twice."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from spantriage.gate import Gate


def test_one_at_a_time() -> None:
    gate, inside, most = Gate(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with gate:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert gate.enter(0)
    gate.leave()


def test_the_same_thread_is_sent_away_at_once_and_stays_inside() -> None:
    gate = Gate()
    with gate:
        began = time.monotonic()
        assert not gate.enter(5)
        assert not gate.enter()
        assert time.monotonic() - began < 1
        with pytest.raises(RuntimeError, match="inside already"), gate:
            pass
        refused: list[bool] = []
        other = threading.Thread(target=lambda: refused.append(gate.enter(0.01)))
        other.start()
        other.join()
        assert refused == [False]
    assert gate.enter(0)
    gate.leave()


def test_who_waited_in_vain_may_come_again() -> None:
    gate, inside, done = Gate(), threading.Event(), threading.Event()

    def occupy() -> None:
        with gate:
            inside.set()
            done.wait()

    thread = threading.Thread(target=occupy)
    thread.start()
    inside.wait()
    assert not gate.enter(0.01)
    done.set()
    thread.join()

    assert gate.enter(1)
    gate.leave()


def test_an_interrupt_at_any_moment_leaves_the_gate_as_it_found_it() -> None:
    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    gate, stopped = Gate(), 0
    before = signal.signal(signal.SIGALRM, stop)
    try:
        for number in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00002 + number * 0.0000005)
                for _ in range(1_000):
                    if gate.enter(0.01):
                        try:
                            pass
                        finally:
                            gate.leave()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Stop:
                stopped += 1
            assert gate.enter(0), number
            gate.leave()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert stopped > 100
