"""Concurrent asyncio agents whose spans nest as the agents do.

What runs under which span is decided by the context in which code runs, and asyncio copies that when a task is *made*.
So spans go astray where work crosses tasks, threads or generators. Four names put it right:

```python
from spantriage.nesting import agent_span, carry, gather, spawn

with agent_span(tracer, "team"):
    await gather(write("intro"), write("body"))  # each agent below "team", none below another
    task = spawn(write("index"))  # the same for one, not forgotten while it runs

    await queue.put(carry(write("notes")))  # a worker made long ago awaits it: below "team" all the same
    future = pool.submit(carry(compute), 3)  # a thread's work too
    async for chunk in carry(stream()):  # a generator keeps its spans to itself between chunks
        ...
```

Where a queue holds values instead of work, send the place along: `queue.put((here(), question))`, and in the worker
`with agent_span(tracer, "worker", parent=place):`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, Final, Literal, ParamSpec, TypeVar, overload

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

__all__ = ["agent_span", "carry", "gather", "here", "spawn"]

T = TypeVar("T")
P = ParamSpec("P")
_TASKS: Final[set[asyncio.Task[Any]]] = set()  # the event loop holds tasks weakly: unheld ones may vanish in the middle


@contextmanager
def agent_span(
    tracer: Tracer, name: str, /, *, parent: otel_context.Context | None = None, **attributes: AttributeValue | None
) -> Iterator[Span]:
    """A span of the agent `name`, below the current span or below `parent` (what `here()` gave). Attributes that are None are left out.

    An exception is recorded, makes the span an error, and goes on. Cancellation ends the span as cancelled.
    """
    above = otel_context.get_current() if parent is None else parent
    given = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name, **attributes}
    span = tracer.start_span(f"invoke_agent {name}", above, attributes={key: value for key, value in given.items() if value is not None})
    inside = set_span_in_context(span, above)
    token = otel_context.attach(inside)
    try:
        yield span
    except (Exception, asyncio.CancelledError) as error:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        raise
    finally:
        if otel_context.get_current() is inside:  # a generator may be closed from elsewhere, where there is nothing to put back
            otel_context.detach(token)
        span.end()


def here() -> otel_context.Context:
    """The place that spans started now would be below, to be sent along with a value."""
    return otel_context.get_current()


def spawn(coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
    """Start a task in a context of its own, a copy of the current one; it is held until it is done."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name, context=copy_context())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return task


@overload
async def gather(*coroutines: Coroutine[Any, Any, T], return_exceptions: Literal[False] = False) -> list[T]: ...
@overload
async def gather(*coroutines: Coroutine[Any, Any, T], return_exceptions: Literal[True]) -> list[T | BaseException]: ...
async def gather(*coroutines: Coroutine[Any, Any, Any], return_exceptions: bool = False) -> Any:
    """Run coroutines at the same time, each in a context of its own; results in their order.

    Unlike `asyncio.gather`, when one fails the others are cancelled and awaited first, so that no span outlives the one around it.
    """
    tasks = [spawn(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks, return_exceptions=return_exceptions))
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


@overload
def carry(work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]: ...
@overload
def carry(work: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]: ...
@overload
def carry(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]: ...
@overload
def carry(work: Callable[P, T]) -> Callable[P, T]: ...
def carry(work: Any) -> Any:
    """The same work, to be run below the span that is current now, wherever and whenever it runs.

    Takes a coroutine, an async generator, or a function, async or not; a function may be called often and at the same
    time. What the work does to its context stays there.
    """
    context = copy_context()
    if inspect.isasyncgen(work):
        return _iterate(work, context)
    if inspect.iscoroutine(work):
        return _await(work, context)
    if not callable(work):
        raise TypeError(f"carry takes a coroutine, an async generator or a function, not {type(work).__name__}")
    return _bind(work, context)


def _bind(work: Callable[..., Any], context: Context) -> Callable[..., Any]:
    """Each call gets a copy: one context cannot be entered twice at the same time."""
    if inspect.iscoroutinefunction(work):

        async def carried_later(*args: Any, **named: Any) -> Any:
            return await _Within(work(*args, **named), context.copy())

        return functools.wraps(work)(carried_later)

    def carried(*args: Any, **named: Any) -> Any:
        if inspect.isasyncgenfunction(work):
            return _iterate(work(*args, **named), context.copy())
        return context.copy().run(work, *args, **named)

    return functools.wraps(work)(carried)


async def _await(work: Awaitable[T], context: Context) -> T:
    done: T = await _Within(work, context)
    return done


async def _iterate(work: AsyncGenerator[T, Any], context: Context) -> AsyncGenerator[T, None]:
    """Each stretch of the generator, its end too, in one context that nobody else uses."""
    try:
        while True:
            try:
                value = await _Within(work.__anext__(), context)
            except StopAsyncIteration:
                return
            yield value
    finally:
        await _Within(work.aclose(), context)


class _Within:
    """Awaits something in this task, its code running in a given context."""

    def __init__(self, work: Awaitable[Any], context: Context) -> None:
        self._work, self._context = work, context

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, run = self._work.__await__(), self._context.run
        try:
            future = run(next, steps)
            while True:
                try:
                    value = yield future
                except GeneratorExit:
                    raise
                except BaseException as error:  # a cancellation, above all
                    future = run(steps.throw, error)
                else:
                    future = run(steps.send, value)
        except StopIteration as done:
            return done.value
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                run(close)
