"""Findings on the terminal."""

from __future__ import annotations

import io
import sys

import pytest
from finding_samples import finding, judged

from spantriage.errors import ConfigError
from spantriage.sinks import open_sink


class Terminal(io.StringIO):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def use_terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """Called in the test itself: between its phases pytest exchanges the streams."""
    made = Terminal()
    patch.setattr(sys, "stderr", made)
    patch.delenv("NO_COLOR", raising=False)
    patch.setenv("TERM", "xterm")
    return made


def test_a_finding_is_one_readable_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    found = finding(agent="writer", primary=True)
    open_sink("console").write([found])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"warning   tool.error  writer: Tool search failed with ValueError (root cause)  trace={found.trace_id} span={found.span_id}\n"
    )


def test_stdout_can_be_asked_for_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    open_sink("console:stdout").write(judged())
    assert len(capsys.readouterr().out.splitlines()) == len(judged())
    with pytest.raises(ConfigError, match="stderr or stdout"):
        open_sink("console:stdlog")


def test_the_same_finding_is_shown_again_only_when_it_changed(capsys: pytest.CaptureFixture[str]) -> None:
    sink = open_sink("console")
    gone = {"severity": "info", "score": 0.0}
    for changes in ({}, {}, {"severity": "critical"}, gone, gone, {"finding_id": "new", **gone}):
        sink.write([finding(**changes)])
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith("warning ")
    assert second.startswith("critical ")
    assert "(updated)" in second
    assert third.startswith("withdrawn ")


def test_colours_only_on_a_terminal_that_wants_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    open_sink("console").write([finding()])
    assert terminal.getvalue().count("\x1b[") == 4
    open_sink("console:stdout").write([finding()])
    assert "\x1b" not in capsys.readouterr().out
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        terminal.truncate(0)
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            open_sink("console").write([finding()])
        assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31mred",
        "\x1b]8;;http://x\x07link\x1b]8;;\x07",
        "\x9b31m",
        "a\nwarning   forged",
        "a\r\tb",
        "\u202egnp.exe",
        "[bold]x[/nonsense]",
        "\u2028",
        "\x07",
    ],
)
def test_no_text_of_an_agent_is_taken_for_a_command(monkeypatch: pytest.MonkeyPatch, hostile: str) -> None:
    terminal = use_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    open_sink("console").write([finding(summary=hostile, agent=hostile, code=hostile, trace_id=hostile, span_id=hostile)])
    said = terminal.getvalue()
    assert said.endswith("\n")
    assert said[:-1].isprintable()


def test_a_stream_that_knows_few_letters_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Terminal("ascii")
    monkeypatch.setattr(sys, "stderr", made)
    open_sink("console").write([finding(summary="Überlauf 日本")])
    assert "\\xdcberlauf" in made.getvalue()


def test_a_closed_stream_is_an_oserror_and_a_missing_one_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Terminal()
    made.close()
    sink = open_sink("console")
    monkeypatch.setattr(sys, "stderr", made)
    with pytest.raises(OSError, match="closed"):
        sink.write([finding()])
    monkeypatch.setattr(sys, "stderr", None)
    sink.write([finding(finding_id="other")])
