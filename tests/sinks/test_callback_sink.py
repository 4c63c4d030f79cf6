"""Findings for a Python function."""

from __future__ import annotations

import logging

import pytest
from finding_samples import batch, judged

from spantriage.errors import SinkError
from spantriage.finding import Finding
from spantriage.sinks import open_sink
from spantriage.sinks.callback import CallbackSink

SEEN: list[Finding] = []


class Alerts:
    """Something with a method."""

    sent: list[Finding] = []  # noqa: RUF012

    @classmethod
    def send(cls, found: Finding) -> None:
        cls.sent.append(found)


async def later(found: Finding) -> None:
    SEEN.append(found)


def test_each_finding_is_given_to_the_function() -> None:
    seen: list[Finding] = []
    CallbackSink(seen.append).write(judged())
    assert seen == list(judged())


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), RecursionError()])
def test_what_the_function_raises_is_counted_and_goes_no_further(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def call(found: Finding) -> None:
        seen.append(found.finding_id)
        raise error

    sink = CallbackSink(call)
    with caplog.at_level(logging.WARNING, "spantriage"):
        sink.write(batch(3))
        sink.write(batch(2, 3))
    assert len(seen) == sink.errors == 5
    assert len(caplog.records) == 1
    assert sink.flush(0)


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupt(_: Finding) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallbackSink(interrupt).write(batch(1))


def test_what_the_function_does_to_a_finding_stays_its_own() -> None:
    def spoil(found: Finding) -> None:
        found.summary = "spoilt"
        found.evidence.clear()

    findings = batch(1)
    CallbackSink(spoil).write(findings)
    assert findings[0].summary != "spoilt"
    assert findings[0].evidence


def test_a_function_can_be_named() -> None:
    sink = open_sink(f"callback:{__name__}:Alerts.send")
    sink.write(batch(2))
    assert len(Alerts.sent) == 2


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "module:function"),
        ("json", "module:function"),
        ("no.such.module:f", "ModuleNotFoundError"),
        ("json:no_such", "AttributeError"),
        ("json:__name__", "needs a function"),
        (f"{__name__}:later", "never be awaited"),
    ],
)
def test_a_name_that_leads_to_no_function_is_refused_with_the_reason(target: str, reason: str) -> None:
    with pytest.raises(SinkError, match=reason):
        open_sink(f"callback:{target}")
