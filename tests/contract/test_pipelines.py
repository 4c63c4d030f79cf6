"""What the outside sees of a program with one more line in it: each pipeline in a process of its own, to a real receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from receiver import Receiver

from spantriage.reader import fold, read_findings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOUND = {"tool.silent_failure", "loop.repeated_call"}
PLAIN = ["plain_batch", "plain_simple"]
LOGFIRE = ["logfire_sent", "logfire_tail_sampled", "logfire_unsent", "logfire_twice"]
GIVEN = ["given_to_provider", "wrapped_exporter", "logfire_given"]
OTHERS_SAY = (
    "Logfire API returned status code 404",  # it asks about the token, and our receiver does not know
    "warnings.warn(",
    "OTEL_CONFIG_FILE is set; ignoring configurator kwargs",  # of automatic instrumentation itself
)
NEEDS_LOGFIRE = pytest.mark.skipif(find_spec("logfire") is None, reason="Logfire has no version for this OpenTelemetry SDK")


def start(pipeline: str, order: str, url: str, folder: Path, *, before: tuple[str, ...] = (), **variables: str) -> str:
    """Run the program to its end; what it printed. It must not have complained."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPANTRIAGE_", "OTEL_", "LOGFIRE_"))}
    ended = subprocess.run(
        [*(before or (sys.executable,)), str(HERE / "pipelines.py"), pipeline, order, url],
        cwd=folder,
        env={**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(HERE.parent))), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert [line for line in ended.stderr.splitlines() if not any(words in line for words in OTHERS_SAY)] == []
    return ended.stdout


def verdicts(receiver: Receiver, *, times: int = 1) -> None:
    """The verdicts are on the spans, the record on the agent's, and each finding has come as an event of its span."""
    names = [span["name"] for span in receiver.spans if span["attributes"].get("logfire.span_type") != "pending_span"]
    assert sorted(names) == sorted(
        ["invoke_agent bot", "chat small", "execute_tool weather", "execute_tool stock", "execute_tool stock", "execute_tool stock"] * times
    )
    assert receiver.span("execute_tool weather")["triage.codes"] == ["tool.silent_failure"]
    assert receiver.span("execute_tool weather")["gen_ai.tool.call.result"].startswith("Error: weather")
    assert receiver.span("execute_tool stock")["triage.codes"] == ["loop.repeated_call"]
    assert receiver.span("invoke_agent bot")["triage.agent.tool_calls"] == 4
    assert receiver.span("invoke_agent bot")["triage.agent.codes"] == sorted(FOUND)
    assert receiver.span("invoke_agent bot")["triage.agent.input_tokens"] == 100
    events(receiver, times=times)


def events(receiver: Receiver, *, times: int = 1) -> None:
    spans = {span["span_id"]: span["name"] for span in receiver.spans}
    told: dict[str, dict[str, Any]] = {}
    for event in receiver.events:
        assert event["event"] == "gen_ai.evaluation.result"
        assert event["attributes"]["gen_ai.evaluation.target"] == "bot"
        told.setdefault(event["attributes"]["gen_ai.evaluation.name"], {})[event["attributes"]["triage.finding.id"]] = spans[
            event["span_id"]
        ]
    assert list(told["tool.silent_failure"].values()) == ["execute_tool weather"] * times
    assert list(told["loop.repeated_call"].values()) == ["execute_tool stock"] * times


def on_disk(folder: Path) -> list[str]:
    return sorted(f.code for f in fold(read_findings(folder / ".spantriage" / "findings.jsonl")) if f.severity != "info")


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("pipeline", [*PLAIN, *(pytest.param(name, marks=NEEDS_LOGFIRE) for name in LOGFIRE)])
def test_one_import_puts_verdicts_on_spans_and_sends_findings(pipeline: str, order: str, tmp_path: Path) -> None:
    times = 2 if pipeline == "logfire_twice" and order == "first" else 1
    with Receiver() as receiver:
        said = json.loads(start(pipeline, order, receiver.url, tmp_path))

        if pipeline == "logfire_twice" and order == "last":  # the first run came before us
            del receiver.spans[: sum(span["attributes"].get("logfire.span_type") != "pending_span" for span in receiver.spans) // 2]
        verdicts(receiver, times=times)

    assert said["strategy"] == "replace"
    assert said["received"] == said["processed"] == 6 * times
    assert not {name for name in said if "error" in name or ("dropped" in name and said[name])}
    assert on_disk(tmp_path) == sorted([*FOUND] * times)


@pytest.mark.parametrize("pipeline", [pytest.param(name, marks=NEEDS_LOGFIRE if "logfire" in name else ()) for name in GIVEN])
def test_given_by_hand_it_does_the_same(pipeline: str, tmp_path: Path) -> None:
    with Receiver() as receiver:
        start(pipeline, "none", receiver.url, tmp_path)

        verdicts(receiver)


@pytest.mark.parametrize("pipeline", ["given_to_provider", pytest.param("logfire_given", marks=NEEDS_LOGFIRE)])
@pytest.mark.parametrize("order", ["first", "last"])
def test_given_by_hand_and_imported_too_each_finding_is_one(pipeline: str, order: str, tmp_path: Path) -> None:
    with Receiver() as receiver:
        start(pipeline, order, receiver.url, tmp_path)

        verdicts(receiver)


@pytest.mark.skipif(find_spec("opentelemetry.distro") is None, reason="opentelemetry-distro is not installed")
@pytest.mark.parametrize("order", ["none", "first"])
def test_named_by_a_variable_the_exporter_gives_the_other_exporters_verdicts(order: str, tmp_path: Path) -> None:
    with Receiver() as receiver:
        start(
            "instrumented", order, receiver.url, tmp_path, before=instrument(),
            OTEL_TRACES_EXPORTER="spantriage,otlp", OTEL_LOGS_EXPORTER="otlp", OTEL_METRICS_EXPORTER="none",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        )  # fmt: skip

        verdicts(receiver)

    assert on_disk(tmp_path) == sorted(FOUND)


@pytest.mark.skipif(find_spec("opentelemetry.distro") is None, reason="opentelemetry-distro is not installed")
def test_installed_beside_automatic_instrumentation_it_needs_no_naming(tmp_path: Path) -> None:
    with Receiver() as receiver:
        start(
            "instrumented", "none", receiver.url, tmp_path, before=instrument(),
            OTEL_TRACES_EXPORTER="otlp", OTEL_LOGS_EXPORTER="otlp", OTEL_METRICS_EXPORTER="none",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        )  # fmt: skip

        verdicts(receiver)


DECLARED = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          spantriage:
            select: tool
            sinks: ["otlp:URL", "jsonl:declared.jsonl"]
    - batch:
        exporter:
          otlp_http:
            endpoint: URL/v1/traces
"""


@pytest.mark.skipif(
    find_spec("opentelemetry.distro") is None or find_spec("opentelemetry.configuration") is None,
    reason="opentelemetry-configuration is not installed",
)
def test_declared_in_a_file_the_exporter_takes_its_settings_from_there(tmp_path: Path) -> None:
    with Receiver() as receiver:
        (tmp_path / "otel.yaml").write_text(DECLARED.replace("URL", receiver.url))
        start("instrumented", "none", receiver.url, tmp_path, before=instrument(), OTEL_CONFIG_FILE=str(tmp_path / "otel.yaml"))

        assert receiver.span("execute_tool weather")["triage.codes"] == ["tool.silent_failure"]
        assert "triage.codes" not in receiver.span("execute_tool stock")  # loops were not selected
        assert {event["attributes"]["gen_ai.evaluation.name"] for event in receiver.events} == {"tool.silent_failure"}
    assert {f.code for f in read_findings(tmp_path / "declared.jsonl")} == {"tool.silent_failure"}
    assert not (tmp_path / ".spantriage").exists()


def instrument() -> tuple[str, ...]:
    """The command of OpenTelemetry's automatic instrumentation, with this interpreter."""
    return (str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable)
