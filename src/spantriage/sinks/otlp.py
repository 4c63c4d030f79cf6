"""Findings as OpenTelemetry log events, each in the context of the span that it is about.

`otlp` hands them to the logger provider that the program has (Logfire's too), silently while there is none;
`otlp:http://127.0.0.1:4318` sends them to a collector by itself. The event is `gen_ai.evaluation.result`, on which
Logfire's page of live evaluations is built: it groups by target (the agent) and name (the code).

Python's logs API still lives in modules with an underscore; all that is imported of it is imported here.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import Context

from spantriage import __version__
from spantriage.errors import SinkError
from spantriage.model import Severity
from spantriage.redact import redact
from spantriage.sinks._outbox import Outbox
from spantriage.sinks._untraced import UNTRACED
from spantriage.text import clean

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import ReadableLogRecord

    from spantriage.finding import Finding

__all__ = ["EVENT_NAME", "FOR_LOGFIRE", "SCOPE", "SEVERITY", "OtlpSink", "attributes_of", "open"]

LOG: Final = logging.getLogger("spantriage")
SCOPE: Final = "spantriage"
EVENT_NAME: Final = "gen_ai.evaluation.result"
TIMEOUT_S: Final = 5.0  # of one export with its retries
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
SEVERITY: Final[dict[Severity, tuple[SeverityNumber, str]]] = {
    "info": (SeverityNumber.INFO, "INFO"),
    "warning": (SeverityNumber.WARN, "WARN"),
    "error": (SeverityNumber.ERROR, "ERROR"),
    "critical": (SeverityNumber.FATAL, "FATAL"),
}
# Attribute -> field. No name holds a word that Logfire scrubs (session, auth, secret, api_key, ...), hence "usage".
_ATTRIBUTES: Final = (
    ("gen_ai.evaluation.score.value", "score"),
    ("gen_ai.evaluation.score.label", "category"),
    ("gen_ai.evaluation.explanation", "summary"),
    ("gen_ai.evaluation.evaluator.version", "detector_version"),
    ("triage.finding.id", "finding_id"),
    ("triage.trial", "trial_name"),
    ("triage.task", "task_name"),
    ("triage.wasted.usage", "wasted_tokens"),
    ("triage.wasted.cost_usd", "wasted_cost_usd"),
    *((f"triage.{field}", field) for field in ("severity", "kind", "subcategory", "root_cause", "actionable", "reason", "outcome")),
    *((f"triage.{field}", field) for field in ("primary", "withdrawn")),
)
# Logfire replaces every text with "auth" in it by a note, so that a code would be lost that has it in its name.
FOR_LOGFIRE: Final = {"model.authentication": "model.access_denied"}


def open(target: str = "") -> OtlpSink:  # noqa: A001  # what every sink calls it
    """Open the program's own logger provider, or an OTLP/HTTP collector's URL. Raises SinkError for anything else."""
    return OtlpSink(target or None)


def attributes_of(finding: Finding, code: str | None = None) -> dict[str, Any]:
    """The event's attributes; what is unknown or false is left out, except the agent, by which pages group."""
    code = str(_inert(code or finding.code))
    found: dict[str, Any] = {"gen_ai.evaluation.name": code}
    for name, field in _ATTRIBUTES:
        value = getattr(finding, field)
        if value is not None and value is not False:
            found[name] = _inert(value)
    found["gen_ai.evaluation.target"] = _inert(finding.agent or "unknown")
    found["gen_ai.evaluation.evaluator.source"] = orjson.dumps({"name": code, "arguments": None}).decode()
    if finding.source != "live":
        found["triage.source"] = _inert(finding.source)
    if finding.evidence:
        found["triage.evidence.spans"] = [evidence.span_id for evidence in finding.evidence]
    return found


def _inert(value: object) -> object:
    """One lone surrogate would lose the whole batch in encoding."""
    return clean(value) if isinstance(value, str) and not value.isprintable() else value


def _record(finding: Finding, code: str) -> LogRecord:
    number, severity = SEVERITY[finding.severity]
    span = trace.SpanContext(int(finding.trace_id, 16), int(finding.span_id, 16), is_remote=False, trace_flags=_SAMPLED)
    return LogRecord(
        timestamp=(datetime.fromisoformat(finding.time) - _EPOCH) // timedelta(microseconds=1) * 1_000,
        observed_timestamp=time.time_ns(),
        context=trace.set_span_in_context(trace.NonRecordingSpan(span), Context()),
        severity_number=number,
        severity_text=severity,
        body=f"evaluation: {_inert(code)}={_inert(finding.category)!r}",
        attributes=attributes_of(finding, code),
        event_name=EVENT_NAME,
    )


class OtlpSink:
    """Emits each finding as a log event, by the program's logger provider or, with a URL, by one of its own."""

    def __init__(self, url: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._own = None if url is None else _Collector(url, timeout_s)
        self._provider: LoggerProvider | None = None
        self._logger: Logger | None = None
        self._flushing: threading.Thread | None = None
        self.failed = 0  # findings that could not be made into an event, or that a log processor refused

    @property
    def dropped(self) -> int:
        """Findings that did not leave, as far as that can be known: the program's own provider does not tell."""
        return self.failed + (0 if self._own is None else self._own.outbox.dropped)

    def write(self, findings: Sequence[Finding]) -> None:
        """Emit a batch. Does not wait for the network, unless the program's own log processors do."""
        logger = self._find_logger()
        names = FOR_LOGFIRE if type(logger).__module__.startswith("logfire") else {}
        token = otel_context.attach(Context())  # the caller's may say that telemetry is suppressed, and Logfire would obey
        try:
            for finding in findings:
                try:
                    logger.emit(_record(finding, names.get(finding.code, finding.code)))
                except Exception:  # a finding that is no event, or a foreign processor's error: the next one may do
                    self.failed += 1
                    LOG.debug("finding %s did not become an event", finding.finding_id, exc_info=True)
        finally:
            otel_context.detach(token)

    def flush(self, timeout_s: float) -> bool:
        """Have the provider send what it holds; False when that takes longer."""
        if self._own is not None:
            return self._own.outbox.flush(timeout_s)
        return self._flush_within(getattr(get_logger_provider(), "force_flush", None), timeout_s)

    def close(self, timeout_s: float) -> None:
        """Flush; end what is our own. A later `write` works again."""
        self.flush(timeout_s)
        if self._own is not None:
            self._own.shutdown()

    def _find_logger(self) -> Logger:
        """Look the provider up anew each time: it may be configured, or exchanged, later than we are."""
        provider = get_logger_provider() if self._own is None else self._own.provider()
        if self._logger is None or provider is not self._provider:
            self._provider, self._logger = provider, provider.get_logger(SCOPE, __version__)
        return self._logger

    def _flush_within(self, force_flush: Callable[[int], object] | None, timeout_s: float) -> bool:
        """The SDK's batch processor ignores the timeout it is given; a dead endpoint would hold us for long."""
        if force_flush is None:
            return True
        flushing = self._flushing
        if flushing is None or not flushing.is_alive():
            flushing = threading.Thread(target=_call, args=(force_flush, int(timeout_s * 1_000)), name="spantriage-flush", daemon=True)
            try:
                flushing.start()
            except RuntimeError:  # the interpreter is going down; the provider's own exit hook sends what it holds
                return False
            self._flushing = flushing
        flushing.join(max(0.0, timeout_s))
        return not flushing.is_alive()


def _call(force_flush: Callable[[int], object], timeout_ms: int) -> None:
    try:
        force_flush(timeout_ms)
    except Exception:  # a foreign provider's affair
        LOG.debug("the logger provider could not be flushed", exc_info=True)


class _Collector:
    """A logger provider of our own, whose only processor this is; records leave by an outbox: a dead collector holds up nothing."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._endpoint, self._timeout_s = _endpoint(url), timeout_s
        # Loaded at once: at the end of the process, when the first finding may come, the SDK cannot make a resource any more.
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider as SdkLoggerProvider
        from opentelemetry.sdk.resources import Resource

        self._make_exporter, self._make_provider, self._resource = OTLPLogExporter, SdkLoggerProvider, Resource.create()
        self._pid = 0
        self._exporter: OTLPLogExporter | None = None
        self._provider: LoggerProvider | None = None
        self.outbox: Outbox[ReadableLogRecord] = Outbox(self._export)

    def provider(self) -> LoggerProvider:
        """Made with the first event, when the program's resource is known, and anew in a forked child."""
        if self._provider is None or self._pid != os.getpid():
            self._exporter = self._make_exporter(endpoint=self._endpoint, timeout=self._timeout_s)
            resource = getattr(trace.get_tracer_provider(), "resource", self._resource)
            provider = self._make_provider(resource, shutdown_on_exit=False)
            provider.add_log_record_processor(self)  # type: ignore[arg-type]  # has its methods; importing the class costs time
            self._provider, self._pid = provider, os.getpid()
        return self._provider

    def on_emit(self, log_record: ReadableLogRecord) -> None:
        self.outbox.put([log_record])

    def enabled(self, **_: object) -> bool:
        return True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.outbox.flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """Let what has not left go; the next event starts anew."""
        self.outbox.close(0)
        exporter, self._exporter, self._provider = self._exporter, None, None
        if exporter is not None:
            exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's is untyped

    def _export(self, batch: list[ReadableLogRecord]) -> bool:
        exporter = self._exporter
        token = otel_context.attach(UNTRACED)  # the request must not become a span
        try:
            return exporter is not None and exporter.export(batch).name == "SUCCESS"
        finally:
            otel_context.detach(token)


def _endpoint(url: str) -> str:
    """The URL of the logs signal below a collector's address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SinkError(f"sink otlp needs a URL such as http://127.0.0.1:4318, not {redact(url)!r}")
    path = parts.path.rstrip("/").removesuffix("/v1/logs")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/v1/logs", parts.query, ""))
