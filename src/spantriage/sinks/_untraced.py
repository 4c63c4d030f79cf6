"""The context in which sinks send: a request of ours must not become a span of the program's."""

from __future__ import annotations

from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

__all__ = ["UNTRACED"]

_PLAIN_KEY: Final = "suppress_instrumentation"
UNTRACED: Final = Context({_PLAIN_KEY: True, getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN_KEY): True})
