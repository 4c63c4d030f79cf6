"""Concurrent agents nest as they were started, through tasks, queues, threads and generators; each way by itself goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from live import make_provider, watching
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from spantriage.nesting import agent_span, carry, gather, here, spawn

WORD: contextvars.ContextVar[str] = contextvars.ContextVar("WORD", default="outside")


class Traced:
    """A tracer, and which span ended below which."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer: Tracer = make_provider(SimpleSpanProcessor(self.exporter)).get_tracer("test")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name.removeprefix("invoke_agent "): span for span in self.exporter.get_finished_spans()}

    @property
    def above(self) -> dict[str, str | None]:
        names = {span.context.span_id: name for name, span in self.spans.items() if span.context is not None}
        return {name: None if span.parent is None else names[span.parent.span_id] for name, span in self.spans.items()}

    async def ask(self, name: str) -> str:
        """A model call that gives others the chance to run in between."""
        with self.tracer.start_as_current_span(name):
            await asyncio.sleep(0)
        return name

    async def agent(self, name: str) -> str:
        with agent_span(self.tracer, name):
            await asyncio.sleep(0)
            return await self.ask(f"llm of {name}")

    async def stream(self, name: str) -> AsyncGenerator[str, None]:
        with agent_span(self.tracer, name):
            for number in range(2):
                yield await self.ask(f"{name} {number}")


@pytest.fixture
def traced(caplog: pytest.LogCaptureFixture) -> Iterator[Traced]:
    yield Traced()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


def test_the_span_says_whose_it_is(traced: Traced) -> None:
    with agent_span(traced.tracer, "ann", **{"gen_ai.request.model": "m", "round": 2, "gen_ai.agent.id": None}):
        pass
    assert traced.spans["ann"].name == "invoke_agent ann"
    assert dict(traced.spans["ann"].attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "ann", "gen_ai.request.model": "m", "round": 2,
    }  # fmt: skip


def test_agents_gathered_or_spawned_are_below_their_round_and_not_below_each_other(traced: Traced) -> None:
    async def main() -> None:
        with agent_span(traced.tracer, "team"):
            task = spawn(traced.agent("c"), name="c")
            assert await gather(traced.agent("a"), traced.agent("b")) == ["llm of a", "llm of b"]
            assert await task == "llm of c"
            await traced.ask("last")

    asyncio.run(main())
    assert traced.above == {
        "team": None, "a": "team", "b": "team", "c": "team", "llm of a": "a", "llm of b": "b", "llm of c": "c", "last": "team",
    }  # fmt: skip


def test_gathered_agents_may_gather(traced: Traced) -> None:
    async def lead(name: str) -> None:
        with agent_span(traced.tracer, name):
            await gather(*(traced.agent(f"{name}.{n}") for n in range(3)))

    async def main() -> None:
        with agent_span(traced.tracer, "team"):
            await gather(lead("x"), lead("y"))

    asyncio.run(main())
    for name in ("x", "y"):
        assert {traced.above[f"{name}.{n}"] for n in range(3)} == {name}
        assert traced.above[name] == "team"


def test_a_worker_made_before_the_round_works_below_the_round(traced: Traced) -> None:
    async def main(carried: bool) -> str | None:
        queue: asyncio.Queue[object] = asyncio.Queue()

        async def work() -> None:
            while True:
                await (await queue.get())  # type: ignore[misc]  # an awaitable
                queue.task_done()

        with agent_span(traced.tracer, "session"):
            workers = [asyncio.create_task(work()) for _ in range(2)]
            await asyncio.sleep(0)
            with agent_span(traced.tracer, "round"):
                for number in range(4):
                    job = traced.ask(f"llm {number}")
                    await queue.put(carry(job) if carried else job)
                await queue.join()
            for worker in workers:
                worker.cancel()
        found = {traced.above[f"llm {number}"] for number in range(4)}
        traced.exporter.clear()
        return found.pop() if len(found) == 1 else None

    assert asyncio.run(main(carried=True)) == "round"
    assert asyncio.run(main(carried=False)) == "session"  # why there is something to carry


def test_a_worker_that_gets_values_works_below_the_place_sent_along(traced: Traced) -> None:
    async def main() -> None:
        queue: asyncio.Queue[tuple[object, str]] = asyncio.Queue()

        async def work() -> None:
            while True:
                place, name = await queue.get()
                with agent_span(traced.tracer, name, parent=place):
                    await traced.ask(f"llm of {name}")
                queue.task_done()

        with agent_span(traced.tracer, "session"):
            worker = asyncio.create_task(work())
            for number in range(2):
                with agent_span(traced.tracer, f"round {number}"):
                    await queue.put((here(), f"agent {number}"))
                    await queue.join()
            worker.cancel()

    asyncio.run(main())
    assert traced.above == {
        "session": None, "round 0": "session", "round 1": "session", "agent 0": "round 0", "agent 1": "round 1",
        "llm of agent 0": "agent 0", "llm of agent 1": "agent 1",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["generator", "function", "by itself"])
def test_generators_interleaved_in_one_task_keep_their_spans_apart(traced: Traced, how: str) -> None:
    async def main() -> None:
        with agent_span(traced.tracer, "session"):
            start = carry(traced.stream) if how == "function" else traced.stream
            both = [carry(start(name)) if how == "generator" else start(name) for name in ("a", "b")]
            for _ in range(2):
                for each in both:
                    await anext(each)
                    await traced.ask("between")
            for each in both:
                with pytest.raises(StopAsyncIteration):
                    await anext(each)
            await traced.ask("after")

    asyncio.run(main())
    right = {"session": None, "a": "session", "b": "session", "a 0": "a", "a 1": "a", "b 0": "b", "b 1": "b"}
    right |= {"between": "session", "after": "session"}
    assert (traced.above == right) is (how != "by itself")


def test_a_generator_left_early_ends_its_span_where_it_began(traced: Traced) -> None:
    async def main() -> None:
        with agent_span(traced.tracer, "session"):
            stream = carry(traced.stream("a"))
            async for _ in stream:
                break
            await stream.aclose()
            await traced.ask("after")

    asyncio.run(main())
    assert traced.above == {"session": None, "a": "session", "a 0": "a", "after": "session"}
    assert traced.spans["a"].status.status_code is StatusCode.UNSET


def test_a_generator_forgotten_in_the_middle_ends_its_span_without_noise(traced: Traced) -> None:
    async def main() -> None:
        with agent_span(traced.tracer, "session"):
            stream = carry(traced.stream("a"))
            await anext(stream)
            del stream
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
            await traced.ask("after")

    asyncio.run(main())
    assert traced.above == {"session": None, "a": "session", "a 0": "a", "after": "session"}


def test_a_threads_work_is_below_the_agent_that_gave_it(traced: Traced) -> None:
    def compute(number: int, *, word: str) -> str:
        with traced.tracer.start_as_current_span(f"{word} {number}"):
            return word * number

    with ThreadPoolExecutor(2) as pool, agent_span(traced.tracer, "a"):
        bound = carry(compute)
        assert [f.result() for f in [pool.submit(bound, n, word="x") for n in range(1, 4)]] == ["x", "xx", "xxx"]
    assert traced.above == {"a": None, "x 1": "a", "x 2": "a", "x 3": "a"}
    assert bound.__name__ == "compute"


def test_what_carried_work_does_to_its_context_stays_there() -> None:
    async def work() -> tuple[str, asyncio.Task[None] | None]:
        before = WORD.get()
        WORD.set("inside")
        await asyncio.sleep(0)
        return before + WORD.get(), asyncio.current_task()

    async def main() -> None:
        WORD.set("then")
        carried = carry(work())
        function = carry(work)
        WORD.set("now")
        assert (await carried)[0] == "theninside"
        assert await function() == ("theninside", asyncio.current_task())
        assert (await function())[0] == "theninside"
        assert WORD.get() == "now"

    asyncio.run(main())


def test_cancelling_and_time_limits_reach_carried_work(traced: Traced) -> None:
    told: list[str] = []
    timed_out = asyncio.Event()

    async def hang() -> None:
        with agent_span(traced.tracer, "hung"):
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(60)
            except TimeoutError:
                told.append("time is up")
                timed_out.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append("cancelled")
                raise

    async def main() -> None:
        task = asyncio.create_task(carry(hang()))
        await timed_out.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert told == ["time is up", "cancelled"]
    assert traced.spans["hung"].status.status_code is StatusCode.ERROR


def test_a_failure_goes_on_and_is_on_the_span(traced: Traced) -> None:
    async def fail() -> None:
        with agent_span(traced.tracer, "a"):
            raise ValueError("broken")

    async def main() -> None:
        with agent_span(traced.tracer, "team"):
            with pytest.raises(ValueError, match="broken"):
                await carry(fail())
            assert [type(each) for each in await gather(fail(), traced.agent("b"), return_exceptions=True)] == [ValueError, str]

    asyncio.run(main())
    span = traced.spans["a"]
    assert span.status.description == "ValueError: broken"
    assert [event.name for event in span.events] == ["exception"]
    assert traced.spans["team"].status.status_code is StatusCode.UNSET


def test_when_one_of_the_gathered_fails_the_others_end_before_what_is_around_them(traced: Traced) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    async def slow() -> None:
        with agent_span(traced.tracer, "slow"):
            await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(ValueError, match="broken"), agent_span(traced.tracer, "team"):
            await gather(fail(), slow())

    asyncio.run(main())
    assert list(traced.spans) == ["slow", "team"]
    assert traced.above == {"slow": "team", "team": None}


def test_a_spawned_task_is_held_until_it_is_done() -> None:
    async def main() -> None:
        done = asyncio.Event()

        async def work() -> None:
            waits = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.02, waits.set_result, None)
            await waits
            done.set()

        spawn(work())
        gc.collect()
        async with asyncio.timeout(5):
            await done.wait()

    asyncio.run(main())


def test_what_cannot_be_carried_is_refused() -> None:
    with pytest.raises(TypeError, match="carry takes"):
        carry(3)  # type: ignore[call-overload]  # what the test is about


def test_each_agents_record_holds_its_own_calls_alone() -> None:
    from live import Kept

    watcher = watching(Kept())
    tracer = make_provider(watcher).get_tracer("test")

    async def work(name: str, calls: int) -> None:
        with agent_span(tracer, name):
            for _ in range(calls):
                with tracer.start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10}):
                    await asyncio.sleep(0)

    async def main() -> None:
        with agent_span(tracer, "team"):
            await gather(work("a", 3), work("b", 1), work("c", 2))

    asyncio.run(main())
    watcher.force_flush()
    agents = watcher.worker.status()["agents"]
    assert {name: agents[name]["model_calls"] for name in "abc"} == {"a": 3, "b": 1, "c": 2}
    watcher.shutdown()
