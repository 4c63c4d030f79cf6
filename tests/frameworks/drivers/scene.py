"""The stage that every driver plays on: a model server, a tracer provider with spantriage in it, and a tool that may fail.

`python openai_agents.py unknowntool findings.jsonl logfire` plays one scenario with one instrumentation. The agent may
fail as its framework lets it: what it raises is printed, and the driver ends well.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import spantriage
from spantriage.demo.server import ModelServer

NAME = "forecaster"
TOOL = "get_weather"
QUESTION = "Do I need an umbrella in Paris?"
PROMPT = "Answer questions about the weather. Use your tools."
KEY = "none"

# Scenarios whose model works and whose tool does not; all others are the server's own.
TOOL_FAILS = ("toolerrstr", "toolraises")
SETTINGS = {
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "OPENAI_API_KEY": KEY,
    "ANONYMIZED_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "AGNO_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What an agent is to be built with."""

    scenario: str
    base_url: str

    @property
    def model(self) -> str:
        """The model's name, by which the server knows what to play."""
        return "ok" if self.scenario in TOOL_FAILS else self.scenario

    def get_weather(self, city: str) -> str:
        """The weather in a city.

        Args:
            city: Name of the city.
        """
        if self.scenario == "toolraises":
            raise ConnectionError("the weather station does not answer")
        if self.scenario == "toolerrstr":
            return f"Error: no weather for {city}, service unavailable (503)"
        return f"Sunny in {city}, 23 degrees"


def plain_provider() -> TracerProvider:
    """A provider of the plain SDK, made the program's."""
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    return provider


def under_logfire(*instrument: str) -> Callable[[], object]:
    """Logfire, sending nothing, with some of its `instrument_...` functions called."""

    def start() -> object:
        import logfire

        logfire.configure(send_to_logfire=False, console=False)
        for name in instrument:
            getattr(logfire, f"instrument_{name}")()
        return None

    return start


def instrumented(module: str, instrumentor: str) -> Callable[[], object]:
    """An instrumentor of OpenInference, OpenLLMetry or OpenTelemetry itself, on a plain provider."""

    def start() -> object:
        provider = plain_provider()
        getattr(importlib.import_module(module), instrumentor)().instrument(tracer_provider=provider)
        return provider

    return start


def play(run: Callable[[Scene], object], instrumentations: Mapping[str, Callable[[], object]]) -> None:
    """Play the scenario of the command line with `run`, which may be a coroutine function."""
    scenario, path = sys.argv[1:3]
    chosen = sys.argv[3] if len(sys.argv) > 3 else next(iter(instrumentations))
    os.environ.update(SETTINGS)
    triage = spantriage.attach(provider=instrumentations[chosen](), sinks=[f"jsonl:{path}"])
    with ModelServer() as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        try:
            said = run(Scene(scenario, server.base_url))
            print("said:", asyncio.run(said) if inspect.iscoroutine(said) else said)
        except Exception as error:  # how an agent ends is the framework's affair
            print("raised:", type(error).__name__, str(error)[:300])
    triage.flush(5.0)
    triage.detach()
    print("judged:", triage.status()["self"]["processed"], "spans")
