"""Dead receivers and killed services: what was acknowledged is not lost, and the accounts say so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from live import ended
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from programs.agent import run
from receiver import Receiver
from serving import listening, make_service, post, request_of, until

from spantriage.serve.service import Limits


def test_a_dead_receiver_gets_everything_once_it_is_back(tmp_path: Path) -> None:
    with Receiver() as upstream:
        upstream.answers = 503
        service = make_service(tmp_path, forward=upstream.url)
        with listening(service) as port:
            for _ in range(5):
                assert post(port, request_of())[0] == 200
            upstream.wait_for(lambda: upstream.asked >= 3)
            told = service.accounts()
            assert (told["done"] + told["waiting"], told["forward.sent.spans"]) == (30, 0)
            assert service.forwarder is not None
            assert service.forwarder.failing == "status 503"
            upstream.answers = 200
            upstream.wait_for(lambda: len(upstream.spans) == 30)
        told = service.accounts()
    assert len({span["span_id"] for span in upstream.spans}) == 30
    assert (told["accepted"], told["forward.sent.spans"], told["forward.waiting"]) == (30, 30, 0)
    assert len(upstream.events) == told["forward.sent.findings"] > 0


def test_a_full_spool_pushes_back_and_loses_nothing(tmp_path: Path) -> None:
    body = request_of()
    limits = Limits(spool_bytes=3 * len(body), inbox_bytes=3 * len(body))
    with Receiver() as upstream:
        upstream.answers = 503
        service = make_service(tmp_path, forward=upstream.url, limits=limits)
        with listening(service) as port:
            statuses = []
            while not statuses or statuses[-1] == 200:
                statuses.append(post(port, request_of())[0])
                assert len(statuses) < 50
            assert statuses[-1] == 429
            until(lambda: service.road.held == "spool: full")
            upstream.answers = 200
            accepted = 6 * statuses.count(200)
            upstream.wait_for(lambda: len(upstream.spans) == accepted)
            assert post(port, request_of())[0] == 200
    told = service.accounts()
    assert told["accepted"] == told["done"] == told["forward.sent.spans"] == accepted + 6 == len({s["span_id"] for s in upstream.spans})


def test_what_a_receiver_refuses_for_good_is_counted(tmp_path: Path) -> None:
    with Receiver() as upstream:
        upstream.answers = 400
        service = make_service(tmp_path, forward=upstream.url)
        with listening(service) as port:
            assert post(port, request_of())[0] == 200
            until(lambda: service.accounts()["forward.refused.spans"] == 6)
    assert service.accounts()["forward.waiting"] == 0


def test_what_is_too_large_together_is_sent_one_by_one(tmp_path: Path) -> None:
    with Receiver() as upstream:
        upstream.answers = 503
        service = make_service(tmp_path, forward=upstream.url, backoff_s=(0.3,))
        with listening(service) as port:
            assert post(port, request_of())[0] == 200
            upstream.wait_for(lambda: upstream.asked >= 1)
            for _ in range(3):
                assert post(port, request_of())[0] == 200
            until(lambda: service.accounts()["done"] == 24)
            upstream.answers = 413
            until(lambda: service.accounts()["forward.refused.spans"] == 24)  # even alone they are too large


@contextmanager
def command(state: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The service as a process of its own, with its port."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "SPANTRIAGE_GRACE_S": "0.1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "spantriage", "serve", "--otlp", "127.0.0.1:0", "--store", str(state), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=state.parent,
    )
    try:
        assert started.stderr is not None
        line = started.stderr.readline()
        assert "listening on" in line, line + started.stderr.read()
        yield started, int(line.rpartition(":")[2])
    finally:
        started.kill()
        started.wait()
        if started.stderr is not None:
            started.stderr.close()


def findings_in(store: Path) -> dict[str, dict[str, object]]:
    lines = [orjson.loads(line) for path in (store / "findings").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return {line["finding_id"]: line for line in lines}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals on Windows")
def test_a_service_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    store = tmp_path / "store"
    spans = ended()
    first, second = spans[:3], spans[3:]  # between two of the calls that are repeated
    with Receiver() as upstream:
        upstream.answers = 503
        with command(store, "--forward", upstream.url) as (process, port):
            for _ in range(5):
                assert post(port, request_of())[0] == 200
            assert post(port, encode_spans(first).SerializeToString())[0] == 200
            process.send_signal(signal.SIGKILL)  # at once: what comes first on the road may not be judged yet
            process.wait()
        upstream.answers = 200
        with command(store, "--forward", upstream.url) as (process, port):
            assert post(port, encode_spans(second).SerializeToString())[0] == 200
            upstream.wait_for(lambda: len({span["span_id"] for span in upstream.spans}) == 36)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM)
    trace_id = f"{spans[0].context.trace_id:032x}"
    codes = {line["code"] for line in findings_in(store).values() if line["trace_id"] == trace_id and line["severity"] != "info"}
    assert codes >= {"tool.silent_failure", "loop.repeated_call"}


def test_an_address_in_use_is_said_plainly(tmp_path: Path) -> None:
    with command(tmp_path / "one") as (_, port):
        said = subprocess.run(
            [sys.executable, "-m", "spantriage", "serve", "--otlp", f"127.0.0.1:{port}", "--state", str(tmp_path / "two")],
            capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
        )  # fmt: skip
    assert said.returncode == 2
    assert "address already in use" in said.stderr.lower()
    assert "Traceback" not in said.stderr


def test_the_runs_of_many_requests_at_once_are_all_there(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    bodies = [request_of(lambda tracer, number=number: run(tracer, f"bot {number}")) for number in range(40)]
    service = make_service(tmp_path, store=str(tmp_path / "store"), state="")
    with listening(service) as port:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda body: post(port, body)[0], bodies)) == {200}
        until(lambda: service.accounts()["done"] == 240)
    agents = service.worker.status()["agents"]
    assert len(agents) == 40
    assert {record["tool_calls"] for record in agents.values()} == {4}
