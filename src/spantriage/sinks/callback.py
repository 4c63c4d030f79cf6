"""Findings for a Python function: `callback:module:function`, or any callable given to `CallbackSink`."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from spantriage.errors import SinkError

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["CallbackSink", "open"]

LOG: Final = logging.getLogger("spantriage")


def open(target: str) -> CallbackSink:  # noqa: A001  # what every sink calls it
    """Import `module:function` (`package.module:object.method` too). Raises SinkError when there is no such callable."""
    module, _, path = target.partition(":")
    if not module or not path:
        raise SinkError(f"sink callback needs module:function, not {target!r}")
    try:
        function: Any = importlib.import_module(module)
        for name in path.split("."):
            function = getattr(function, name)
    except Exception as error:  # importing runs whatever the module does
        raise SinkError(f"sink callback cannot import {target}: {type(error).__name__}: {error}") from error
    return CallbackSink(function)


class CallbackSink:
    """Calls `function(finding)` for each finding, on the worker's thread. What it raises is counted and goes no further."""

    def __init__(self, function: Callable[[Finding], object]) -> None:
        if not callable(function):
            raise SinkError(f"sink callback needs a function, not {type(function).__name__}")
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            raise SinkError("sink callback needs a plain function: an async one would never be awaited")
        self.function = function
        self.errors = 0

    def write(self, findings: Sequence[Finding]) -> None:
        """Call the function with a copy of each finding, so that what it changes stays its own."""
        for finding in findings:
            try:
                self.function(finding.model_copy(deep=True))
            except (Exception, SystemExit) as error:  # sys.exit() in a callback must not end the worker
                self.errors += 1
                if self.errors == 1:
                    LOG.warning("a callback for findings failed with %s; it is called again with the next", type(error).__name__)

    def flush(self, timeout_s: float) -> bool:
        """Nothing is held back."""
        return True

    def close(self, timeout_s: float) -> None:
        """Nothing to let go."""
