"""A first finding that comes only when the process is already ending: `at_exit.py URL`."""

from __future__ import annotations

import atexit
import sys

from finding_samples import judged

from spantriage.sinks import open_sink

sink = open_sink(f"otlp:{sys.argv[1]}")
findings = judged()


@atexit.register
def write() -> None:
    sink.write(findings)
    print(sink.flush(5))
