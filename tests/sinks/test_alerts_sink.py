"""Alerts by rules: who is told of what, how often, when not, and that it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from finding_samples import finding
from live import Kept
from web_server import WebServer

from spantriage.errors import ConfigError, SinkError
from spantriage.finding import Finding
from spantriage.progress import AgentProgress, Progress
from spantriage.record import Record
from spantriage.sinks import open_sink
from spantriage.sinks._rules import Rule, read_rules
from spantriage.sinks.alerts import AlertsSink

NUMBERS = iter(range(1, 1_000_000))


class Told:
    """A sink under rules, with a clock that the test moves."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        self.now, self.wall = 1_000.0, datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
        self.kept = Kept()
        made = [Rule(**{"name": f"rule{number}", "to": ("callback:a:b",), "group_s": 0.0, **rule}) for number, rule in enumerate(rules)]
        self.sink = AlertsSink(made, targets={"callback:a:b": self.kept}, clock=lambda: self.now, wall=lambda: self.wall)

    def after(self, seconds: float, *findings: Finding) -> list[str]:
        """What is told when so much later these findings come: severity and summary of each message."""
        self.now += seconds
        self.kept.findings.clear()
        self.sink.write(findings)
        self.sink.tick()
        return [f"{message.severity}: {message.summary}" for message in self.kept.findings]


def one(code: str = "tool.error", severity: str = "error", **more: object) -> Finding:
    named = {"finding_id": f"{next(NUMBERS):016x}", "code": code, "severity": severity, "agent": "bot", "summary": f"{code} happened"}
    return finding(**{**named, "score": 0.9, **more})


@pytest.mark.parametrize(
    ("rule", "matching", "others"),
    [
        ({"codes": ["loop"]}, one("loop.cycle"), [one("tool.error")]),
        ({"codes": ["tool.error"]}, one("tool.error"), [one("tool.unknown")]),
        ({"severity": "critical"}, one(severity="critical"), [one(severity="error")]),
        ({"agents": ["coder*"]}, one(agent="coder 2"), [one(agent="reviewer")]),
        ({"kind": "outcome"}, one(kind="outcome"), [one(kind="incident")]),
    ],
)
def test_a_rule_tells_what_it_matches_and_nothing_else(rule: dict[str, Any], matching: Finding, others: Sequence[Finding]) -> None:
    told = Told(rule)
    assert told.after(0, *others) == []
    assert told.after(1, matching) == [f"{matching.severity}: {matching.summary}"]


def test_a_message_names_the_rule_and_stands_at_the_span() -> None:
    told, matching = Told({"name": "tools"}), one()
    told.after(0, matching)
    (message,) = told.kept.findings
    assert (message.code, message.trace_id, message.span_id) == ("alert.tools", matching.trace_id, matching.span_id)


def test_the_same_finding_is_told_once_and_the_same_trouble_not_again_so_soon() -> None:
    told, first = Told({"repeat_s": 100, "recovers_s": 1_000}), one()
    assert len(told.after(0, first)) == 1
    assert told.after(1, first) == []
    assert told.after(1, one()) == []
    assert told.after(100) == ["error: 2 findings (tool.error ×2). The worst: tool.error happened"]
    assert told.after(200) == []


def test_groups_are_told_apart() -> None:
    told = Told({"group_by": ["agent"]})
    assert len(told.after(0, one(agent="a"), one("loop.cycle", agent="a"), one(agent="b"))) == 2


def test_a_message_waits_for_company() -> None:
    told = Told({"group_s": 5.0})
    assert told.after(0, one()) == []
    assert told.after(3, one()) == []
    assert told.after(3) == ["error: 2 findings (tool.error ×2). The worst: tool.error happened"]


def test_a_rate_is_of_findings_within_a_time() -> None:
    told = Told({"at_least": 3, "within_s": 60})
    assert told.after(0, one()) == []
    assert told.after(50, one()) == []
    assert told.after(50, one()) == []  # the first is too long ago
    assert told.after(5, one()) == ["error: 3 findings (tool.error ×3). The worst: tool.error happened"]


def test_recovery_is_told_when_nothing_more_comes() -> None:
    told = Told({"recovers_s": 60})
    told.after(0, one())
    assert told.after(59) == []
    assert told.after(2) == ["info: Recovered. It was: tool.error happened"]
    assert told.kept.findings[0].withdrawn
    assert told.after(1_000) == []
    assert len(told.after(0, one())) == 1  # and then it begins again


def test_what_is_withdrawn_is_over() -> None:
    told, first = Told({}), one()
    told.after(0, first)
    taken_back = first.model_copy(update={"severity": "info", "score": 0.0})
    assert told.after(1, taken_back) == ["info: Recovered. It was: tool.error happened"]


def test_what_is_withdrawn_before_it_was_told_is_never_told() -> None:
    told, first = Told({"group_s": 5.0}), one()
    told.after(0, first)
    assert told.after(1, first.model_copy(update={"severity": "info", "score": 0.0})) == []
    assert told.after(100) == []


def test_without_recovery_only_the_trouble_is_told() -> None:
    told = Told({"recovers_s": 0, "repeat_s": 100})
    assert len(told.after(0, one())) == 1
    assert told.after(50, one()) == []
    assert told.after(5_000) == []
    assert len(told.after(0, one())) == 1


def test_in_quiet_hours_all_but_the_critical_waits_until_their_end() -> None:
    told = Told({"quiet": ["22:00-07:00"], "timezone": "Europe/Berlin", "within_s": 60})
    told.wall = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)  # half past ten in Berlin
    assert told.after(0, one(code="loop.cycle")) == []
    assert told.after(1, one(severity="critical")) == ["critical: tool.error happened"]
    told.wall = datetime(2026, 3, 3, 6, 30, tzinfo=UTC)
    assert told.after(500) == ["error: loop.cycle happened"]


class Standing:
    """A survey that says what the test wants."""

    def __init__(self) -> None:
        self.record = Record()

    def mark(self) -> object:
        return None

    def take(self) -> Progress | None:
        return Progress(None, 0, {"bot": (AgentProgress("streaming", "ok"), self.record)})


def test_a_burn_rate_is_told_and_its_end() -> None:
    told, standing = Told({"burn_usd_per_hour": 6.0, "within_s": 600, "recovers_s": 300}), Standing()
    standing.record.cost_usd = 5.0
    told.sink.watch(standing)
    assert told.after(0) == []  # what was spent before is not known to be recent
    standing.record.cost_usd = 5.9
    assert told.after(60) == []
    standing.record.cost_usd = 6.1
    assert told.after(60) == ["error: 6.60 USD an hour are spent, more than 6"]
    assert told.after(200) == []
    assert told.after(600) == ["info: Recovered. It was: 6.60 USD an hour are spent, more than 6"]


def test_red_flags_are_told_once() -> None:
    told, standing = Told({"red_flags": True, "severity": "warning"}), Standing()
    told.sink.watch(standing)
    assert told.after(0) == []
    standing.record.total_buffer_chars_lost = 6_000
    assert told.after(10) == ["warning: chars_lost"]
    assert told.after(10) == []


def test_a_receiver_that_fails_is_counted_and_the_others_are_told() -> None:
    class Broken(Kept):
        def write(self, findings: Sequence[Finding]) -> None:
            raise OSError("gone")

    kept = Kept()
    rule = Rule(name="all", to=("webhook:a", "webhook:b"), group_s=0.0)
    sink = AlertsSink([rule], targets={"webhook:a": Broken(), "webhook:b": kept}, clock=lambda: 0.0)
    sink.write([one()])
    sink.tick()
    assert (len(kept.findings), sink.dropped) == (1, 1)


def test_rules_in_a_file_reach_a_web_server_by_themselves(tmp_path: Path) -> None:
    with WebServer() as server:
        path = tmp_path / "alerts.toml"
        path.write_text(f'[[rule]]\nname = "all"\nseverity = "warning"\nrecovers_s = 1.0\nto = ["webhook:{server.url}?shape=slack"]\n')
        sink = open_sink(f"alerts:{path}")
        sink.write([one(severity="warning")])
        server.wait_for(lambda told: len(told) == 2)
        sink.close(2.0)
    begun, ended = (message["blocks"][0]["text"]["text"] for message in server.told)
    assert (begun, ended) == ("warning: alert.all (bot)", "recovered: alert.all (bot)")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "[[rule]] tables"),
        ("[[rules]]\n", "[[rule]] tables"),
        ('[[rule]]\nname = "a"\n', "rule 1, to: Field required"),
        ('[[rule]]\nname = "a"\nto = ["webhook:x"]\ncode = "loop"\n', "rule 1, code: Extra inputs"),
        ('[[rule]]\nname = "a"\nto = ["otlp"]\n', "rule 1, to: .*each begins with one of"),
        ('[[rule]]\nname = "a"\nto = ["command:x"]\nseverity = "info"\n', "rule 1, severity"),
        ('[[rule]]\nname = "a"\nto = ["command:x"]\nquiet = ["22-7"]\n', "such as 22:00-07:00"),
        ('[[rule]]\nname = "a"\nto = ["command:x"]\ntimezone = "Mars/Olympus"\n', "no time zone"),
        ('[[rule]]\nname = "a"\nto = ["command:x"]\n[[rule]]\nname = "a"\nto = ["command:x"]\n', "another rule 'a'"),
        ("[[rule]\n", "alerts.toml: "),
    ],
)
def test_a_wrong_rule_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says.replace("[[rule]]", r"\[\[rule\]\]")):
        read_rules(path)


def test_a_secret_in_a_wrong_target_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text('[[rule]]\nname = "a"\nto = ["https://hooks.example/s3cret"]\n')
    with pytest.raises(ConfigError) as caught:
        read_rules(path)
    assert "s3cret" not in str(caught.value)


def test_files_and_programs_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        open_sink(f"alerts:{tmp_path / 'none.toml'}")
    path = tmp_path / "alerts.toml"
    path.write_text('[[rule]]\nname = "a"\nto = ["command:there-is-no-such-program"]\n')
    with pytest.raises(SinkError):
        open_sink(f"alerts:{path}")
