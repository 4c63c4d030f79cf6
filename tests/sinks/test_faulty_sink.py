"""The sink that the fault tests use misbehaves as it promises, and every scheme opens."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from faulty_sink import FaultySink, Mode
from finding_samples import batch, judged

from spantriage.errors import ConfigError
from spantriage.sinks import open_sink, schemes


@pytest.mark.parametrize(("mode", "taken"), [("raise", 0), ("short", 2)])
def test_a_failing_sink_raises_and_takes_what_it_says(mode: Mode, taken: int) -> None:
    sink = FaultySink(mode)
    with pytest.raises(OSError, match="this sink"):
        sink.write(batch(4))
    assert len(sink.taken) == taken
    sink.mend()
    sink.write(batch(1))
    assert len(sink.taken) == taken + 1


def test_a_slow_sink_takes_everything_late() -> None:
    sink = FaultySink("slow", delay_s=0.05)
    started = time.monotonic()
    sink.write(batch(4))
    assert time.monotonic() - started >= 0.05
    assert len(sink.taken) == 4


def test_a_hanging_sink_waits_until_it_is_mended() -> None:
    sink = FaultySink("hang")
    thread = threading.Thread(target=sink.write, args=(batch(4),))
    thread.start()
    assert sink.entered.wait(5)
    assert not sink.flush(0.01)
    assert not sink.taken
    sink.mend()
    thread.join(5)
    assert len(sink.taken) == 4


def test_every_scheme_is_known_and_another_is_named_as_unknown(tmp_path: Path) -> None:
    assert {"jsonl", "otlp", "metrics", "console", "callback", "webhook", "command", "status_json"} <= {*schemes()}
    with pytest.raises(ConfigError, match="carrier-pigeon"):
        open_sink("carrier-pigeon:home")


def test_a_sink_may_be_closed_twice_and_flushed_when_empty(tmp_path: Path) -> None:
    here = (f"jsonl:{tmp_path / 'f.jsonl'}", f"status_json:{tmp_path / 'status.json'}", "webhook:http://127.0.0.1:9/", "command:true")
    for spec in (*here, "otlp", "metrics", "console", f"callback:{__name__}:ignore"):
        sink = open_sink(spec)
        assert sink.flush(0.5)
        sink.close(0.5)
        sink.close(0.5)
        sink.write(judged()[:0])


def ignore(found: object) -> None:
    return
