"""Programs of many processes, threads and tasks: `python crowds.py CASE [ARGUMENT...]`. Each prints one JSON object."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from typing import Any

from faulty_sink import FaultySink
from live import Exported
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from spantriage import TriageExporter, attach
from spantriage.attachment import Triage

PROVIDER = TracerProvider()
TRACER = PROVIDER.get_tracer("agents")


def watch(path: str | None = None, **settings: Any) -> Triage:
    return attach(provider=PROVIDER, sinks=[] if path is None else [f"jsonl:{path}"], **settings)


def fail(tracer: Tracer, tool: str, agent: str = "bot") -> None:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": agent, "gen_ai.tool.name": tool}
    tracer.start_span(f"execute_tool {tool}", attributes={**attributes, "gen_ai.tool.call.result": "Error: not today"}).end()


def fork(work: Any, *given: Any, leave: Any = os._exit) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work(*given)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    leave(0)
    raise AssertionError


def wait_all(pids: list[int]) -> None:
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


# -- killed -----------------------------------------------------------------------------------------------------------------


def killed(path: str, kills: str) -> None:
    """Children that find things and say so once these have been flushed, until they are killed."""
    chance = random.Random(7)
    acknowledged: list[str] = []
    for number in range(int(kills)):
        ours, theirs = os.pipe()
        pid = fork(find_for_ever, path, number, theirs)
        os.close(theirs)
        first = os.read(ours, 1)  # it is at work
        time.sleep(chance.uniform(0.0, 0.05))  # the moment is what is being tested
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with os.fdopen(ours) as told:
            acknowledged += [line.strip() for line in (first.decode() + told.read()).splitlines(keepends=True) if line.endswith("\n")]
    print(json.dumps(acknowledged))


def find_for_ever(path: str, child: int, out: int) -> None:
    triage = watch(path)
    number = 0
    while True:
        number += 1
        fail(TRACER, f"tool-{child}-{number}")
        if triage.flush():
            os.write(out, f"tool-{child}-{number}\n".encode())


# -- forked -----------------------------------------------------------------------------------------------------------------


def find(tool: str, times: int = 10) -> None:
    """What a child does that is started the usual way: work, and return."""
    for number in range(times):
        fail(TRACER, f"{tool}-{number}")


def find_and_flush(triage: Triage, tool: str) -> None:
    find(tool)
    assert triage.flush()


def forked(path: str, method: str) -> None:
    """Parent and children, by every way to start a child."""
    triage = watch(path)
    find("parent-before")
    if method == "os":
        wait_all([fork(find_and_flush, triage, f"child-{number}") for number in range(4)])
    elif method == "sys.exit":
        wait_all([fork(find, f"child-{number}", leave=sys.exit) for number in range(4)])
    elif method == "nested":
        wait_all([fork(nest, triage, f"child-{number}") for number in range(2)])
    elif method == "held":
        hold(triage)
    elif method == "exporter":
        exporter(path)
    else:
        context = multiprocessing.get_context(method)
        if method == "fork":
            children = [context.Process(target=find, args=(f"child-{n}",)) for n in range(4)]
        else:
            children = [context.Process(target=find_elsewhere, args=(f"child-{n}", path)) for n in range(2)]
        for child in children:
            child.start()
        for child in children:
            child.join(20)
            assert child.exitcode == 0
    find("parent-after")
    assert triage.flush()
    print(json.dumps(triage.status()["self"]))


def find_elsewhere(tool: str, path: str) -> None:
    """A child that was not forked sets itself up."""
    watch(path)
    find(tool)


def nest(triage: Triage, tool: str) -> None:
    find_and_flush(triage, tool)
    wait_all([fork(find_and_flush, triage, f"{tool}x")])


def hold(triage: Triage) -> None:
    """Fork while the worker is inside our locks and a sink hangs."""
    worker, sink = triage.processor.worker, FaultySink("hang")
    worker.add_sink(sink)
    fail(TRACER, "held")
    assert sink.entered.wait(10)
    inside, done = threading.Event(), threading.Event()

    def occupy() -> None:
        with worker._gate:
            inside.set()
            done.wait()

    thread = threading.Thread(target=occupy)
    thread.start()
    inside.wait()

    def work(tool: str) -> None:
        sink.mend()
        find_and_flush(triage, tool)

    children = [fork(work, f"child-{number}") for number in range(4)]
    done.set()
    thread.join()
    wait_all(children)
    sink.mend()


def exporter(path: str) -> None:
    """The exporter that wraps another, in a provider of its own."""
    inner = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(TriageExporter(inner, sinks=[f"jsonl:{path}"])))
    tracer = provider.get_tracer("agents")
    fail(tracer, "exported")

    def work(tool: str) -> None:
        for number in range(10):
            fail(tracer, f"{tool}-{number}")
        assert all("triage.codes" in (span.attributes or {}) for span in inner.get_finished_spans())
        provider.shutdown()

    wait_all([fork(work, f"child-{number}") for number in range(4)])
    provider.shutdown()


# -- at the same time ---------------------------------------------------------------------------------------------------------


def threads(number: str, spans: str, queue: str) -> None:
    """Threads that end spans as fast as they can."""
    triage = watch(queue_size=int(queue))
    gate = threading.Barrier(int(number))
    sys.setswitchinterval(1e-4)

    def work(thread: int) -> None:
        gate.wait()
        with TRACER.start_as_current_span(f"thread {thread}"):
            for _ in range(int(spans)):
                attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": f"bot {thread}"}
                TRACER.start_span("execute_tool x", attributes=attributes).end()

    workers = [threading.Thread(target=work, args=(n,)) for n in range(int(number))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    triage.flush(60)
    status = triage.status()
    calls = sum(record["tool_calls"] for record in status["agents"].values())
    still_open = len(triage.processor.worker.runs.open.spans)
    print(json.dumps({**status["self"], "calls": calls, "agents": len(status["agents"]), "still_open": still_open}))


def tasks(number: str) -> None:
    """Tasks that are cancelled in the middle of a span."""
    triage = watch()

    async def work(task: int) -> None:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"bot {task % 10}"}
        with TRACER.start_as_current_span("invoke_agent", attributes=attributes):
            fail(TRACER, "before", f"bot {task % 10}")
            await asyncio.sleep(60)

    async def main() -> None:
        made = [asyncio.create_task(work(task)) for task in range(int(number))]
        await asyncio.sleep(0)
        for task in made:
            task.cancel()
        ends = await asyncio.gather(*made, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)

    asyncio.run(main())
    triage.flush(30)
    status = triage.status()
    calls = sum(record["tool_calls"] for record in status["agents"].values())
    print(json.dumps({**status["self"], "calls": calls, "agents": len(status["agents"])}))


def interrupted(signals: str) -> None:
    """A signal handler and abandoned generators end spans while spans end, are read, flushed and asked about."""
    exported = Exported()
    PROVIDER.add_span_processor(SimpleSpanProcessor(exported))
    triage = watch(grace_s=0.0)
    ended = {"handler": 0, "generator": 0, "program": 0}

    def count(who: str, tool: str) -> None:
        fail(TRACER, tool)
        ended[who] += 1

    def generate() -> Any:
        try:
            yield
        finally:
            count("generator", "abandoned")

    def handle(*_: object) -> None:
        count("handler", "interrupting")
        if ended["handler"] % 50 == 0:
            triage.status()
            triage.flush(0.05)

        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, 0.003))  # not while this one is at work: they would pile up

    chance = random.Random(3)
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    gc.set_threshold(23)
    deadline = time.monotonic() + 20
    while ended["handler"] < int(signals) and time.monotonic() < deadline:
        circle: list[Any] = [generate()]
        next(circle[0])
        circle.append(circle)
        del circle
        count("program", "calm")
        if ended["program"] % 100 == 0:
            triage.flush(0.05)
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    triage.flush(20)
    print(json.dumps({**triage.status()["self"], "ended": ended, "exported": len(exported.spans)}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
