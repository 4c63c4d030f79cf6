"""How the tests of this folder run programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass
class Ended:
    """A program that has ended."""

    stdout: str
    stderr: str
    at: float  # on the clock that all processes share


Program = Callable[..., Ended]


def environment() -> dict[str, str]:
    """Without settings of anybody's; with our folders to import from."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SPANTRIAGE_", "OTEL_", "LOGFIRE_"))}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**inherited, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(HERE.parent)))}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run a script of this folder to its end, which must come within `timeout_s`."""

    def run(script: str, *arguments: object, timeout_s: float = 30.0) -> Ended:
        with subprocess.Popen(
            [sys.executable, HERE / script, *map(str, arguments)],
            cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                stdout, stderr = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail(f"{script} {arguments} did not end within {timeout_s} s: {process.communicate()[1]}")
        assert process.returncode == 0, stderr
        return Ended(stdout, stderr, time.monotonic())

    return run
