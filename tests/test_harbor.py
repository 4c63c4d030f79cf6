"""The plugin that `harbor run --plugin spantriage` loads."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

PROGRAM = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from programs.agent import run
from spantriage.harbor import HarborPlugin

async def job():
    plugin = HarborPlugin(grace_s=0.1)
    await plugin.on_job_start(SimpleNamespace(job_dir=Path(sys.argv[1])))
    trace.set_tracer_provider(TracerProvider())
    run(trace.get_tracer("harbor"))
    await plugin.on_job_end(None)

asyncio.run(job())
"""


def test_the_entry_point_is_a_job_plugin() -> None:
    (entry,) = [entry for entry in entry_points(group="harbor.plugins") if entry.name == "spantriage"]
    plugin = entry.load()()
    assert inspect.iscoroutinefunction(plugin.on_job_start)
    assert inspect.iscoroutinefunction(plugin.on_job_end)


def test_findings_of_a_job_stand_in_its_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, timeout=60)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "findings.jsonl").read_text()
    assert "tool.silent_failure" in written
    assert "loop.repeated_call" in written
