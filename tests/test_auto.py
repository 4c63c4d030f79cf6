"""`import spantriage.auto`, in programs of its own: quiet, repeatable, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BEGIN = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from programs.agent import run
exporter = InMemorySpanExporter()
def setup():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider
def show(**more):
    run(trace.get_tracer("agents"))
    codes = [(span.attributes or {}).get("triage.codes") for span in exporter.get_finished_spans()]
    print(json.dumps({"codes": [code for code in codes if code], "spans": len(codes), **more}))
"""
CODES = [["tool.silent_failure"], ["loop.repeated_call"]]


def program(folder: Path, text: str, **variables: str) -> tuple[dict[str, object], str]:
    """Run the program; the JSON that it printed, and what it said on stderr."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPANTRIAGE_", "OTEL_", "LOGFIRE_"))}
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + text],
        cwd=folder,
        env={**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests"))), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


@pytest.mark.parametrize("order", ["import spantriage.auto\nsetup()", "setup()\nimport spantriage.auto"])
def test_before_or_after_the_provider_the_import_puts_verdicts_on_spans(order: str, tmp_path: Path) -> None:
    said, complaints = program(tmp_path, f"{order}\nshow(strategy=spantriage.auto.TRIAGE.strategy)")

    assert said == {"codes": CODES, "spans": 6, "strategy": "replace"}
    assert complaints == ""
    assert (tmp_path / ".spantriage" / "findings.jsonl").stat().st_size


def test_importing_it_again_changes_nothing(tmp_path: Path) -> None:
    text = """
provider = setup()
import spantriage.auto, importlib
importlib.import_module("spantriage.auto")
show(processors=len(provider._active_span_processor._span_processors))
"""
    said, complaints = program(tmp_path, text)

    assert said == {"codes": CODES, "spans": 6, "processors": 2}
    assert complaints == ""


def test_loading_it_anew_still_gives_each_finding_once(tmp_path: Path) -> None:
    text = """
setup()
import spantriage.auto, importlib
importlib.reload(spantriage.auto)
show()
"""
    said, complaints = program(tmp_path, text)

    assert (said["codes"], complaints) == (CODES, "")
    lines = (tmp_path / ".spantriage" / "findings.jsonl").read_text().splitlines()
    assert len({line.split('"finding_id":"')[1][:16] for line in lines if '"code":"tool.silent_failure"' in line}) == 1


def test_it_makes_no_provider_where_there_is_none(tmp_path: Path) -> None:
    said, complaints = program(tmp_path, "import spantriage.auto\nshow(kind=type(trace.get_tracer_provider()).__name__)")

    assert said == {"codes": [], "spans": 0, "kind": "ProxyTracerProvider"}
    assert complaints == ""


def test_a_tracer_taken_before_the_provider_was_set_is_watched_too(tmp_path: Path) -> None:
    text = """
tracer = trace.get_tracer("early")
import spantriage.auto
setup()
run(tracer)
show()
"""
    said, _ = program(tmp_path, text)

    assert said == {"codes": CODES * 2, "spans": 12}


@pytest.mark.parametrize("word", ["1", "true", "ON"])
def test_it_can_be_switched_off(word: str, tmp_path: Path) -> None:
    said, complaints = program(
        tmp_path, "setup()\nimport spantriage.auto\nshow(off=spantriage.auto.TRIAGE is None)", SPANTRIAGE_DISABLED=word
    )

    assert said == {"codes": [], "spans": 6, "off": True}
    assert complaints == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SPANTRIAGE_GRACE_S": "soon"}, "setting 'grace_s' in environment cannot be 'soon'"),
        ({"SPANTRIAGE_SELECT": "lop"}, "no detector is called 'lop'"),
    ],
)
def test_wrong_settings_switch_it_off_with_one_warning(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    said, complaints = program(tmp_path, "setup()\nimport spantriage.auto\nshow()", **variables)

    assert said == {"codes": [], "spans": 6}
    assert complaints.count("spantriage is off") == 1
    assert words in complaints


def test_a_sink_that_cannot_be_had_is_told_once_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / ".spantriage").write_text("in the way")

    said, complaints = program(tmp_path, "setup()\nimport spantriage.auto\nshow()")

    assert said["codes"] == CODES
    assert len(complaints.splitlines()) == 1
    assert "sink jsonl:.spantriage/findings.jsonl is left out" in complaints


def test_in_a_project_whose_settings_cannot_be_read_it_still_starts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nspantriage = 5")

    said, complaints = program(tmp_path, "setup()\nimport spantriage.auto\nshow()", SPANTRIAGE_SINKS="")

    assert (said["codes"], complaints) == (CODES, "")


def test_a_provider_that_is_none_of_the_sdks_is_left_alone(tmp_path: Path) -> None:
    text = """
class Own(trace.TracerProvider):
    def get_tracer(self, *_, **__):
        return trace.NoOpTracer()
trace.set_tracer_provider(Own())
import spantriage.auto
show(strategy=spantriage.auto.TRIAGE.strategy)
"""
    said, complaints = program(tmp_path, text)

    assert said == {"codes": [], "spans": 0, "strategy": "waiting"}
    assert complaints == ""


def test_the_exporter_named_alone_watches_what_it_is_given(tmp_path: Path) -> None:
    text = """
from spantriage import TriageExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(TriageExporter(sinks=["jsonl:own.jsonl"])))
provider.add_span_processor(SimpleSpanProcessor(exporter))
run(provider.get_tracer("agents"))
provider.shutdown()
print(json.dumps(sorted({json.loads(line)["code"] for line in open("own.jsonl")} - {"trace.evidence_unavailable"})))
"""
    said, complaints = program(tmp_path, text)

    assert said == sorted(code for codes in CODES for code in codes)
    assert complaints == ""


def test_public_names_are_loaded_when_they_are_used(tmp_path: Path) -> None:
    text = """
import subprocess
left = "import sys, spantriage; print([m for m in ('opentelemetry', 'pydantic', 'orjson') if m in sys.modules])"
print(json.dumps(subprocess.check_output([sys.executable, "-c", left], text=True).strip()))
"""
    said, _ = program(tmp_path, text)

    assert said == "[]"
