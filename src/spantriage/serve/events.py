"""Findings on their way to the receiver of the spans: as log events, through the same outbox."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from spantriage import __version__
from spantriage.serve.forwarding import FINDINGS
from spantriage.serve.ledger import Ledger
from spantriage.serve.records import Full
from spantriage.serve.served import set_value
from spantriage.sinks.otlp import EVENT_NAME, FOR_LOGFIRE, SCOPE, SEVERITY, attributes_of

if TYPE_CHECKING:
    from spantriage.finding import Finding

__all__ = ["OutboxSink"]

LOG: Final = logging.getLogger("spantriage")
HELD: Final = 10_000  # findings that wait in memory while the outbox takes none; beyond it the oldest is dropped and counted


class OutboxSink:
    """A sink that writes findings into an outbox. While that is impossible they wait in memory."""

    def __init__(self, outbox: Ledger, *, for_logfire: bool) -> None:
        self._outbox, self._names = outbox, FOR_LOGFIRE if for_logfire else {}
        self._held: deque[Finding] = deque()
        self.dropped = 0

    def write(self, findings: Sequence[Finding]) -> None:
        """Put a batch into the outbox."""
        self._held.extend(findings)
        while len(self._held) > HELD:
            self._held.popleft()
            self.dropped += 1
        self._empty()

    def flush(self, timeout_s: float) -> bool:
        """Try again what could not be written; False when it still cannot."""
        return self._empty()

    def close(self, timeout_s: float) -> None:
        """What cannot be written now is lost, and counted."""
        if not self._empty():
            self.dropped += len(self._held)
            self._held.clear()

    def _empty(self) -> bool:
        if not self._held:
            return True
        batch = list(self._held)
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        name = group.resource.attributes.add()
        name.key, name.value.string_value = "service.name", SCOPE
        scope = group.scope_logs.add()
        scope.scope.name, scope.scope.version = SCOPE, __version__
        scope.log_records.extend(self._event(finding) for finding in batch)
        try:
            self._outbox.append(FINDINGS, len(batch), request.SerializeToString())
        except (OSError, Full):
            return False
        self._held.clear()
        return True

    def _event(self, finding: Finding) -> LogRecord:
        code = self._names.get(finding.code, finding.code)
        number, severity = SEVERITY[finding.severity]
        when = datetime.fromisoformat(finding.time).astimezone(UTC)
        event = LogRecord(
            time_unix_nano=int(when.timestamp() * 1_000_000) * 1_000,
            observed_time_unix_nano=time.time_ns(),
            severity_number=number.value,  # type: ignore[arg-type]  # an enumeration's number
            severity_text=severity,
            trace_id=bytes.fromhex(finding.trace_id),
            span_id=bytes.fromhex(finding.span_id),
            event_name=EVENT_NAME,
        )
        event.body.string_value = f"evaluation: {code}"
        for key, value in attributes_of(finding, code).items():
            pair = event.attributes.add()
            pair.key = key
            set_value(pair.value, value)
        return event
