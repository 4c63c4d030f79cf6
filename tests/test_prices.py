"""What model calls cost."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from spantriage import prices
from spantriage.attachment import attach
from spantriage.detectors import all_detectors
from spantriage.detectors.example import answers, asks, build, calls
from spantriage.engine import Engine, Judgement, select
from spantriage.model import Step

JUNE_2025 = 1_750_000_000_000_000_000
MILLION = 1_000_000

pytest.importorskip("genai_prices")


def call(model: str | None = "gpt-4o", provider: str | None = "openai", *, given: int = 1_000, answered: int = 100, **more: object) -> Step:
    usage = {"input_tokens": given, "output_tokens": answered, "start_ns": JUNE_2025}
    return answers("done", model=model, provider=provider, **{**usage, **more})


def judge(*steps: Step) -> Judgement:
    return Engine(select(all_detectors())).judge(build(steps))


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name == "genai_prices" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(prices, "_installed", None)
    monkeypatch.setattr(prices, "_known", {})
    return


def test_cached_input_is_paid_for_apart() -> None:
    plain, cached = prices.cost_of(call()), prices.cost_of(call(cached_tokens=800))
    assert plain == pytest.approx(1_000 * 2.5e-6 + 100 * 10e-6)
    assert cached == pytest.approx(200 * 2.5e-6 + 800 * 1.25e-6 + 100 * 10e-6)


def test_reasoning_is_a_part_of_the_output() -> None:
    assert prices.cost_of(call("o3", reasoning_tokens=90)) == prices.cost_of(call("o3"))


def test_a_long_input_is_paid_for_at_the_price_of_its_tier() -> None:
    short = prices.cost_of(call("gemini-2.5-pro", "gcp.gemini", given=100_000, answered=1))
    long = prices.cost_of(call("gemini-2.5-pro", "gcp.gemini", given=300_000, answered=1))
    assert short is not None
    assert long is not None
    assert long > 3.5 * short


def test_the_price_is_that_of_the_time_of_the_call() -> None:
    before = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
    after = int(datetime(2025, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000_000  # o3 became cheaper on 10 June 2025
    dear, cheap = prices.cost_of(call("o3", start_ns=before)), prices.cost_of(call("o3", start_ns=after))
    assert dear is not None
    assert cheap is not None
    assert dear == pytest.approx(5 * cheap)


@pytest.mark.parametrize(
    ("model", "provider"), [("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic"), ("gemini-2.5-pro", "google"), ("o3", "openai")]
)
@pytest.mark.parametrize("given", [10, 150_000, 250_000])
def test_every_cost_is_what_the_package_itself_would_say(model: str, provider: str, given: int) -> None:
    from genai_prices import Usage, calc_price

    step = call(model, provider, given=given, answered=77, cached_tokens=given // 3)
    usage = Usage(input_tokens=given, cache_read_tokens=given // 3, output_tokens=77)
    said = calc_price(usage, model, provider_id=provider, genai_request_timestamp=datetime.fromtimestamp(JUNE_2025 / 1e9, UTC))
    assert prices.cost_of(step) == pytest.approx(float(said.total_price))


@pytest.mark.parametrize(
    "step",
    [
        call("no-such-model"),
        call("llama3", "ollama"),
        call("gpt-4o", "no-such-provider"),
        call(given=0, answered=0),
        call(input_tokens=None),
        call(output_tokens=None),
        call(cumulative=True),
        call(None),
    ],
)
def test_what_nobody_can_tell_is_unknown_and_not_nothing(step: Step) -> None:
    assert prices.cost_of(step) is None


def test_a_provider_in_front_of_the_models_name_is_read() -> None:
    assert prices.cost_of(call("openai/gpt-4o", None)) == prices.cost_of(call())
    assert prices.cost_of(call("openai/gpt-4o", "litellm")) == prices.cost_of(call())


def test_input_that_excludes_what_was_cached_is_added_to_it() -> None:
    assert prices.cost_of(call(given=100, cached_tokens=900)) == prices.cost_of(call(given=1_000, cached_tokens=900))


def test_a_run_is_priced_and_what_has_no_price_is_counted() -> None:
    record = judge(call(), call("no-such-model"), call(cost_usd=0.5)).state.records["agent"]
    assert record.cost_usd == pytest.approx(0.5 + 0.0035)
    assert record.unpriced_calls == 1


def test_a_cost_that_the_span_states_wins() -> None:
    record = judge(call(cost_usd=7.0)).state.records["agent"]
    assert record.cost_usd == 7.0


def test_judging_a_run_twice_does_not_change_its_steps() -> None:
    run = build((call(),))
    engine = Engine(select(all_detectors()))
    first = engine.judge(run).state.records["agent"].cost_usd
    assert engine.judge(run).state.records["agent"].cost_usd == first
    assert all(step.cost_usd is None for step in run.steps.values())


def test_a_finding_says_what_its_wasted_calls_cost() -> None:
    turns = tuple(
        step
        for _ in range(4)
        for step in (
            asks("stock", model="gpt-4o", provider="openai", input_tokens=MILLION, output_tokens=0),
            calls("stock", result="41"),
        )
    )
    (verdict,) = [v for v in judge(*turns, call()).verdicts if v.code == "loop.repeated_call"]
    assert (verdict.wasted_tokens, verdict.wasted_cost_usd) == (3 * MILLION, pytest.approx(7.5))


def test_wasted_calls_of_which_one_has_no_price_cost_nobody_knows_what() -> None:
    turns = tuple(
        step
        for model in ("gpt-4o", "gpt-4o", "no-such-model", "gpt-4o")
        for step in (asks("stock", model=model, input_tokens=MILLION, output_tokens=0), calls("stock", result="41"))
    )
    (verdict,) = [v for v in judge(*turns, call()).verdicts if v.code == "loop.repeated_call"]
    assert (verdict.wasted_tokens, verdict.wasted_cost_usd) == (3 * MILLION, None)


@pytest.mark.usefixtures("without_package")
def test_without_the_package_costs_stay_unknown_and_are_counted() -> None:
    assert prices.load() is False
    record = judge(call(), call(cost_usd=0.5)).state.records["agent"]
    assert (record.cost_usd, record.unpriced_calls) == (0.5, 1)


def test_prices_are_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(prices, "_installed", None)
    monkeypatch.setattr(prices, "_known", {})
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert prices.cost_of(call()) is not None
    assert prices.cost_of(call("no-such-model")) is None


def test_the_prices_are_not_imported_where_spans_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    program = (
        "import sys; from opentelemetry.sdk.trace import TracerProvider; import spantriage\n"
        "triage = spantriage.attach(provider=TracerProvider(), sinks=[])\n"
        "assert 'genai_prices' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment)


def test_a_live_agents_status_has_its_cost() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    triage = attach(provider=provider, sinks=[])
    try:
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span(
            "invoke_agent bot", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "bot"}
        ):
            for model in ("gpt-4o", "no-such-model"):
                attributes: dict[str, str | int] = {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": model,
                    "gen_ai.usage.input_tokens": MILLION,
                    "gen_ai.usage.output_tokens": 1,
                }
                with tracer.start_as_current_span(f"chat {model}", attributes=attributes):
                    pass
        assert triage.flush()
        status = triage.status()
    finally:
        triage.detach()
    assert status["agents"]["bot"]["cost_usd"] == pytest.approx(2.50001)
    assert status["agents"]["bot"]["unpriced_calls"] == 1
    assert status["self"]["prices_unknown"] == 1
