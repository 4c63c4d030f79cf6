"""Budgets that an agent asks about while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from spantriage.attachment import Triage, attach
from spantriage.budget import KEPT, Budget, Guard
from spantriage.detectors.example import answers, calls

Notice = tuple[str, str, float, float]


@pytest.fixture
def watched() -> Iterator[tuple[Triage, Tracer]]:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[])
    yield triage, provider.get_tracer("test")
    triage.detach()


@contextmanager
def at_work(tracer: Tracer, name: str = "bot") -> Iterator[None]:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    with tracer.start_as_current_span(f"invoke_agent {name}", attributes=attributes):
        yield


def think(tracer: Tracer, tokens: int = 100, name: str | None = "bot", **more: str) -> None:
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai",
        **more,
    }
    if name is not None:
        attributes["gen_ai.agent.name"] = name
    with tracer.start_as_current_span("chat", attributes=attributes) as span:
        span.set_attributes({"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 0})


def act(tracer: Tracer, result: str = "41", arguments: str = "{}") -> None:
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.agent.name": "bot", "gen_ai.tool.name": "stock"}
    with tracer.start_as_current_span("execute_tool stock", attributes=attributes) as span:
        span.set_attributes({"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": result})


def test_an_agent_is_stopped_when_its_steps_are_used_up(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=3)
    with at_work(tracer):
        said = []
        for _ in range(4):
            said.append(triage.should_stop("bot"))
            think(tracer)
    assert said == [False, False, False, True]


def test_the_callback_is_told_once_who_used_how_much_of_what(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    told: list[Notice] = []
    triage.budget(tokens=250, on_exceeded=lambda *notice: told.append(notice))
    with at_work(tracer):
        for _ in range(5):
            think(tracer)
    triage.flush()
    ((agent, what, used, limit),) = told
    assert (agent, what, limit) == ("bot", "tokens", 250)
    assert used >= 300


def test_dollars_are_counted_at_list_price(watched: tuple[Triage, Tracer]) -> None:
    pytest.importorskip("genai_prices")
    triage, tracer = watched
    triage.budget(usd=2.0)
    with at_work(tracer):
        think(tracer, tokens=500_000)
        assert not triage.should_stop("bot")
        think(tracer, tokens=500_000)
        assert triage.should_stop("bot")


def test_repeats_are_the_same_call_with_the_same_result_in_a_row(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(repeats=3)
    with at_work(tracer):
        for result in ("41", "41", "40", "40"):
            act(tracer, result)
        assert not triage.should_stop("bot")
        act(tracer, "40")
        assert triage.should_stop("bot")


def test_wall_time_runs_while_nothing_ends(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    called = threading.Event()
    triage.budget(wall_s=0.05, on_exceeded=lambda *_: called.set())
    with at_work(tracer):
        assert called.wait(10)
        assert triage.should_stop("bot")


def test_one_agents_budget_is_none_of_anothers(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=2, agent="bot")
    with at_work(tracer), at_work(tracer, "other"):
        for name in ("bot", "bot", "other", "other"):
            think(tracer, name=name)
        assert (triage.should_stop("bot"), triage.should_stop("other")) == (True, False)


def test_a_budget_of_the_run_is_shared(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=3, per="run")
    with at_work(tracer), at_work(tracer, "other"):
        think(tracer, name="bot")
        think(tracer, name="other")
        assert not triage.should_stop("bot")
        think(tracer, name="other")
        assert (triage.should_stop("bot"), triage.should_stop("other")) == (True, True)


def test_the_next_run_begins_with_a_full_budget(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=1)
    with at_work(tracer):
        think(tracer)
        assert triage.should_stop("bot")
    with at_work(tracer):
        assert not triage.should_stop("bot")


def test_a_step_without_a_name_counts_for_the_agent_at_work(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=1)
    with at_work(tracer):
        think(tracer, name=None)
        assert triage.should_stop("bot")


def test_asked_outside_of_any_span_it_answers_for_all_runs_of_the_agent(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=1)
    assert not triage.should_stop("bot")
    span = tracer.start_span("invoke_agent bot", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"})
    think(tracer)
    assert triage.should_stop("bot")
    span.end()


def test_a_model_call_that_two_instrumentations_tell_of_is_one_step(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    triage.budget(steps=2)
    with at_work(tracer):
        with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.agent.name": "bot"}):
            think(tracer)
        assert not triage.should_stop("bot")
        think(tracer)
        assert triage.should_stop("bot")


def test_what_a_callback_raises_is_counted_and_goes_no_further(watched: tuple[Triage, Tracer]) -> None:
    def fail(*_: object) -> None:
        raise KeyError("mine")

    triage, tracer = watched
    triage.budget(steps=1, on_exceeded=fail)
    with at_work(tracer):
        think(tracer)
        assert triage.should_stop("bot")
    triage.flush()
    assert triage.status()["self"]["budget_callback_errors"] == 1
    assert "hook_errors" not in triage.status()["self"]


def test_without_a_budget_nobody_is_stopped(watched: tuple[Triage, Tracer]) -> None:
    triage, tracer = watched
    with at_work(tracer):
        for _ in range(50):
            think(tracer)
        assert not triage.should_stop("bot")
    assert not triage.should_stop("nobody")


def test_a_budget_in_the_settings_stops_and_is_told_by_a_finding() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[], budget_steps=2)
    codes: set[tuple[str, str | None]] = set()
    triage.on_finding(lambda finding: codes.add((finding.code, finding.reason)))
    tracer = provider.get_tracer("test")
    with at_work(tracer):
        for _ in range(3):
            think(tracer)
        assert triage.should_stop("bot")
    triage.detach()
    assert ("cost.budget_exceeded", "agent.steps") in codes


def test_what_is_remembered_is_bounded() -> None:
    guard = Guard()
    guard.add(Budget(steps=1))
    for run in range(KEPT + 10):
        guard.take(run, "bot", answers("so"))
    assert not guard.should_stop("bot", 0)
    assert guard.should_stop("bot", KEPT + 9)


def test_a_run_that_is_over_is_forgotten() -> None:
    guard = Guard()
    guard.add(Budget(steps=1))
    guard.take(1, "bot", calls("stock"))
    assert guard.should_stop("bot", 1)
    guard.forget(1)
    assert not guard.should_stop("bot", 1)
    assert not guard.should_stop("bot", None)
