"""What the tests of the sinks share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [path for path in (str(HERE), str(HERE.parent)) if path not in sys.path]


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a script of this folder in a process of its own; what it prints."""

    def run_script(script: str, *arguments: object, environment: dict[str, str] | None = None) -> str:
        ended = subprocess.run(
            [sys.executable, HERE / script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run_script
