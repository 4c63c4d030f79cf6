"""Programs that die, fork, hang and end at bad moments: each is a real process, looked at from outside."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spantriage.reader import read_findings

TESTS = Path(__file__).parent.parent
HEAD = """
import os, sys, time, json
sys.path.insert(0, {tests!r})
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from programs.agent import run
provider = TracerProvider()
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("program")
"""


def program(body: str) -> list[str]:
    return [sys.executable, "-c", HEAD.format(tests=str(TESTS)) + body]


def run(body: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(body), capture_output=True, text=True, cwd=cwd, timeout=60, env={**os.environ, **environment})


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


LEAVING = """
import spantriage
triage = spantriage.attach(sinks=["otlp:http://127.0.0.1:%d", "jsonl:findings.jsonl"])
run(tracer)
print(time.time(), flush=True)
"""


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_a_program_with_a_dead_receiver_ends_within_two_and_a_half_seconds(kind: str, tmp_path: Path) -> None:
    if kind == "refused":
        done = run(LEAVING % closed_port(), tmp_path)
    else:
        with silent_server() as port:
            done = run(LEAVING % port, tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.time() - float(done.stdout.split()[0]) <= 2.5
    assert {finding.code for finding in read_findings(tmp_path / "findings.jsonl")} >= {"tool.silent_failure", "loop.repeated_call"}


KILLED = """
import spantriage
triage = spantriage.attach(sinks=["jsonl:findings.jsonl"], grace_s=0)
number = 0
while True:
    number += 1
    run(tracer, f"bot {number}")
    if triage.flush():
        print(number, flush=True)
"""


def test_what_was_flushed_before_a_kill_is_whole_on_disk(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[set[str]] = []
    for _ in range(5):
        with subprocess.Popen(program(KILLED), stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.15))  # the moment of death is the point, and must be any
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        acknowledged.append({f"bot {line}" for line in (first + rest).split()})
    reading = read_findings(tmp_path / "findings.jsonl")
    found: dict[str, int] = {}
    for finding in reading:
        if finding.code == "tool.silent_failure" and finding.agent:
            found[finding.agent] = found.get(finding.agent, 0) + 1
    for names in acknowledged:
        assert names, "nothing was acknowledged before the kill"
        assert all(name in found for name in names)
    assert len(reading.skipped) <= 5  # at most the torn line of each death


FORKED = """
import multiprocessing, spantriage
triage = spantriage.attach(sinks=["jsonl:findings.jsonl"], grace_s=0)
run(tracer, "parent before")
triage.flush()

def child(name):
    run(tracer, name)
    if name.startswith("fork"):
        triage.flush()

pid = os.fork()
if pid == 0:
    child("fork")
    print(json.dumps(triage.status()["self"]), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
process = multiprocessing.get_context("fork").Process(target=child, args=("multiprocessing",))
process.start()
process.join(30)
assert process.exitcode == 0
run(tracer, "parent after")
triage.flush()
print(json.dumps(triage.status()["self"]), flush=True)
"""


def test_forked_children_give_their_own_findings_once(tmp_path: Path) -> None:
    done = run(FORKED, tmp_path)
    assert done.returncode == 0, done.stderr
    child, parent = (json.loads(line) for line in done.stdout.splitlines())
    assert (child["received"], parent["received"]) == (6, 12)
    agents: dict[str | None, set[str | None]] = {}
    for finding in read_findings(tmp_path / "findings.jsonl", strict=True):
        agents.setdefault(finding.agent, set()).add(finding.writer_id)
    assert agents.keys() == {"parent before", "fork", "multiprocessing", "parent after"}
    assert all(len(writers) == 1 for writers in agents.values())
    assert agents["parent before"] == agents["parent after"]
    assert len(set.union(*agents.values())) == 3


THREADED = """
import threading, spantriage
triage = spantriage.attach(sinks=[], grace_s=0, queue_size=100_000)
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(16)
def work(number):
    barrier.wait()
    for turn in range(100):
        run(tracer, f"bot {number}")
threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
triage.flush(30)
status = triage.status()
print(json.dumps([status["self"]["received"], sum(a["tool_calls"] for a in status["agents"].values()), len(status["agents"])]))
"""


def test_many_threads_lose_and_double_nothing(tmp_path: Path) -> None:
    done = run(THREADED, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [16 * 100 * 6, 16 * 100 * 4, 16]


CANCELLED = """
import asyncio, spantriage
triage = spantriage.attach(sinks=[], grace_s=0, queue_size=100_000)
async def agent(number):
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"}):
        await asyncio.sleep(60)
async def main():
    tasks = [asyncio.create_task(agent(number)) for number in range(1000)]
    await asyncio.sleep(0)
    for task in tasks: task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
asyncio.run(main())
triage.flush(30)
print(json.dumps(triage.status()["self"]))
"""


def test_cancelled_tasks_are_each_counted_once(tmp_path: Path) -> None:
    done = run(CANCELLED, tmp_path)
    assert done.returncode == 0, done.stderr
    accounts = json.loads(done.stdout)
    assert (accounts["received"], accounts["processed"], accounts["queued"]) == (1000, 1000, 0)


ENDING = """
import atexit
def last():
    run(tracer, "at exit")
atexit.register(last)  # before ours, so it runs after
import spantriage
triage = spantriage.attach(sinks=["jsonl:findings.jsonl"])
run(tracer, "before")
"""


def test_spans_that_end_while_the_program_leaves_are_still_told(tmp_path: Path) -> None:
    done = run(ENDING, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {finding.agent for finding in read_findings(tmp_path / "findings.jsonl", strict=True)} >= {"before"}


SELF = """
import urllib.request, spantriage
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
seen = []
real = urllib.request.OpenerDirector.open
triage = spantriage.attach(sinks=["otlp:http://127.0.0.1:%d"], grace_s=0)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))
try:
    from opentelemetry.instrumentation.requests import RequestsInstrumentor
    RequestsInstrumentor().instrument(tracer_provider=provider)
except ImportError:
    pass
try:
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    URLLib3Instrumentor().instrument(tracer_provider=provider)
except ImportError:
    pass
run(tracer)
triage.flush(3)
print(len(exporter.get_finished_spans()))
"""


def test_our_own_requests_leave_no_spans(tmp_path: Path) -> None:
    done = run(SELF % closed_port(), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6"]
