"""Findings over a real loopback server: what is sent, what is not, and what a bad receiver can do: nothing."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path

import pytest
from finding_samples import batch, finding
from web_server import WebServer

from spantriage.errors import ConfigError
from spantriage.finding import Finding
from spantriage.sinks import open_sink, shown
from spantriage.sinks._alerts import Alerts
from spantriage.sinks._web import is_public
from spantriage.sinks.webhook import WebhookSink

SHORT = (0.01, 0.02)
HOSTILE = "<!channel> <@U123> & @here <https://evil.example|click> \x1b[31m \u202e \ud800"


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as made:
        yield made


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def error(number: int = 0, **changes: object) -> Finding:
    return finding(**{"finding_id": f"{number:016x}", "severity": "error", "score": 0.9, **changes})


def withdrawn(number: int = 0) -> Finding:
    return finding(finding_id=f"{number:016x}", severity="info", score=0.0)


def test_a_severe_finding_is_posted_as_its_json(server: WebServer) -> None:
    sink = open_sink(f"webhook:{server.url}?key=abc%2Fd&threshold=error&x=1")
    sink.write([error(1), finding(severity="warning", finding_id="f" * 16)])
    assert sink.flush(5)
    ((path, headers, body),) = server.posts
    assert path == "/hook/s3cret?key=abc%2Fd&x=1"
    assert headers["Content-Type"] == "application/json"
    assert Finding.model_validate_json(body).finding_id == f"{1:016x}"
    assert json.loads(body)["seq"] == 1
    sink.close(1)


def test_the_password_of_a_url_goes_into_the_header(server: WebServer) -> None:
    sink = open_sink(f"webhook:http://me:p%40ss@127.0.0.1:{server.port}/")
    sink.write([error()])
    assert sink.flush(5)
    assert server.posts[0][1]["Authorization"] == "Basic bWU6cEBzcw=="
    assert server.posts[0][1]["Host"] == f"127.0.0.1:{server.port}"


def test_what_was_sent_is_sent_again_only_worse_or_withdrawn(server: WebServer) -> None:
    sink = WebhookSink(server.url)
    for found in (
        error(1),
        error(1, summary="the same in other words"),
        error(1, severity="warning"),
        error(1, severity="critical"),
        withdrawn(1),
        withdrawn(1),
        withdrawn(2),
        finding(finding_id="3", severity="info", score=0.4),
    ):
        sink.write([found])
        assert sink.flush(5)
    assert [(told["severity"], told["score"]) for told in server.told] == [("error", 0.9), ("critical", 0.9), ("info", 0.0)]
    assert {told["finding_id"] for told in server.told} == {f"{1:016x}"}


def test_a_withdrawal_of_what_never_arrived_is_not_sent(server: WebServer) -> None:
    server.answers = [(404, {})]
    sink = WebhookSink(server.url)
    sink.write([error(1)])
    assert sink.flush(5)
    sink.write([withdrawn(1)])
    sink.write([error(2), withdrawn(2)])
    assert sink.flush(5)
    assert len(server.posts) == 1
    assert (sink.refused, sink.dropped, sink.messages) == (1, 1, 0)


def test_a_finding_is_news_again_after_the_window() -> None:
    clock = Clock()
    alerts = Alerts("warning", 60, clock)
    assert alerts.pick([error(1), error(1)]) == [error(1)]
    clock.now += 61
    assert alerts.pick([error(1), withdrawn(1), error(1)]) == [error(1), withdrawn(1), error(1)]
    assert alerts.repeats == 1


def test_beyond_the_rate_the_rest_is_one_summary_with_counts_by_code(server: WebServer) -> None:
    sink = WebhookSink(server.url, rate=3)
    found = [error(n, code="tool.error" if n % 2 else "loop.cycle") for n in range(9)]
    sink.write([*found, error(9, severity="critical")])
    assert sink.flush(5)
    assert [told.get("severity") for told in server.told] == ["critical", "error", "error"]
    assert server.told[2] == {
        "kind": "summary",
        "severity": "error",
        "summary": "8 more findings: tool.error 4, loop.cycle 4",
        "findings": 8,
        "counts": {"tool.error": 4, "loop.cycle": 4},
        "time": server.told[2]["time"],
    }
    assert (sink.messages, sink.summarised, sink.dropped) == (3, 8, 0)


def test_the_rest_waits_until_the_minute_is_over(server: WebServer) -> None:
    clock = Clock()
    sink = WebhookSink(server.url, rate=2, clock=clock)
    sink.write([error(0)])
    server.wait_for(lambda told: len(told) == 1)
    clock.now += 50
    sink.write([error(1)])
    server.wait_for(lambda told: len(told) == 2)
    while sink.outbox.waiting:
        threading.Event().wait(0.005)
    sink.write([error(2), error(3)])
    threading.Event().wait(0.3)
    assert (len(server.posts), sink.outbox.waiting) == (2, 2)
    clock.now += 10  # the first is a minute old; the thread, which sleeps in real time, is woken by the flush
    assert sink.flush(5)
    assert [told.get("findings") for told in server.told] == [None, None, 2]


@pytest.mark.parametrize("status", [429, 503, 500, 408])
def test_a_busy_receiver_is_asked_again(server: WebServer, status: int) -> None:
    server.answers = [(status, {}), (status, {})]
    sink = WebhookSink(server.url, backoff_s=SHORT)
    sink.write([error(1)])
    assert sink.flush(5)
    assert len(server.posts) == 3
    assert (sink.messages, sink.dropped, sink.failures) == (1, 0, 2)


@pytest.mark.parametrize("said", ["1", formatdate(time.time() + 3_000, usegmt=True)])
def test_retry_after_is_honoured_even_when_hurried(server: WebServer, said: str) -> None:
    server.answers = [(429, {"Retry-After": said})]
    sink = WebhookSink(server.url, backoff_s=SHORT)
    began = time.monotonic()
    sink.write([error(1), error(2)])
    assert not sink.flush(0.5)
    assert len(server.posts) == 1
    if said == "1":
        assert sink.flush(5)
        assert time.monotonic() - began >= 1
        assert [told["finding_id"] for told in server.told[1:]] == [f"{1:016x}", f"{2:016x}"]
    sink.close(0.1)
    watch(lambda: sink.dropped == (0 if said == "1" else 2))


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 403, 404, 410])
def test_a_redirect_or_a_no_is_final(server: WebServer, status: int, caplog: pytest.LogCaptureFixture) -> None:
    with WebServer() as other:
        server.answers = [(status, {"Location": other.url})]
        sink = WebhookSink(server.url, backoff_s=SHORT)
        with caplog.at_level(logging.DEBUG):
            sink.write([error(1), error(2)])
            assert sink.flush(5)
        assert not other.posts
    assert [path for path, _, _ in server.posts] == ["/hook/s3cret"] * 2
    assert (sink.messages, sink.dropped) == (1, 1)
    assert "s3cret" not in caplog.text
    assert ("redirect" in caplog.text) == (status < 400)


def test_a_broken_finding_does_not_hold_up_the_others(server: WebServer) -> None:
    sink = WebhookSink(server.url, shape="slack", backoff_s=SHORT)
    sink.write([error(1, score=None), error(2)])
    assert sink.flush(5)
    assert len(server.posts) == sink.messages == 1
    assert sink.dropped == 1


def test_slack_gets_text_and_blocks_in_which_nothing_is_markup(server: WebServer) -> None:
    sink = open_sink(f"webhook:{server.url}?shape=slack&rate=2")
    hostile = {"agent": HOSTILE, "summary": HOSTILE * 40, "root_cause": HOSTILE, "actionable": HOSTILE, "code": HOSTILE}
    sink.write([error(n, **hostile) for n in range(4)])
    assert sink.flush(5)
    assert len(server.told) == 2
    for told in server.told:
        said = [told["text"], *(t["text"] for b in told["blocks"] for t in (b.get("elements") or [b["text"]]))]
        assert {block["type"] for block in told["blocks"]} == {"header", "section", "context"}
        assert {t["type"] for b in told["blocks"] for t in (b.get("elements") or [b["text"]])} == {"plain_text"}
        for words in said:
            assert not {*"<>\x1b\u202e"} & {*words}
            assert "@here" not in words
            assert "@U123" not in words
            assert 0 < len(words) <= 3_000
            assert words.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").count("&") == 0
        assert len(told["blocks"][0]["text"]["text"]) <= 150


def test_slack_is_told_why_and_what_to_do(server: WebServer) -> None:
    sink = WebhookSink(server.url, shape="slack")
    sink.write(
        [error(1, code="tool.error", agent="writer", summary="It broke", root_cause="disk full", actionable="Buy one", primary=True)]
    )
    sink.flush(5)
    sink.write([withdrawn(1)])
    sink.flush(5)
    first, second = server.told
    assert first["text"] == "error: tool.error (writer) - root cause: It broke"
    assert [b["text"]["text"] for b in first["blocks"][1:-1]] == ["It broke", "Why: disk full", "What to do: Buy one"]
    assert second["text"].startswith("withdrawn: ")


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "127.0.0.1", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a00:1::", "255.255.255.255", "ff02::1", "::",
    ],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(server: WebServer, address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    sink = WebhookSink(f"https://hooks.example:{server.port}/x", backoff_s=(), resolve=lambda host, port: [address])
    sink.write([error(1)])
    assert not sink.flush(5)
    assert sink.dropped == 1
    assert not server.posts


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_this_machine_is_reached_only_when_it_is_named(server: WebServer) -> None:
    named = WebhookSink(f"http://localhost:{server.port}/", resolve=lambda host, port: ["10.0.0.1", "127.0.0.1"])
    named.write([error(1)])
    assert named.flush(5)
    assert len(server.posts) == 1


def test_the_address_that_was_looked_at_is_the_one_connected_to(server: WebServer) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    sink = WebhookSink(f"http://localhost:{server.port}/", resolve=resolve)
    sink.write([error(1)])
    assert sink.flush(5)
    assert asked == ["localhost"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "needs a URL"),
        ("https://", "needs a URL"),
        ("hooks.example/tok3n", "needs a URL"),
        ("ftp://hooks.example/tok3n", "needs a URL"),
        ("https://[::1/tok3n", "needs a URL"),
        ("https://hooks.example:99999/tok3n", "needs a URL"),
        ("http://hooks.example/tok3n", "needs https"),
        ("http://127.0.0.1.evil.example/tok3n", "needs https"),
        ("http://2130706433/tok3n", "needs https"),
        ("https://hooks.example/tok3n?allow=other.example,third.example", "may not go to hooks.example"),
        ("https://hooks.example/tok3n?shape=pigeon", "'shape'"),
        ("https://hooks.example/tok3n?threshold=info", "'threshold'"),
        ("https://hooks.example/tok3n?rate=0", "'rate'"),
        ("https://hooks.example/tok3n?timeout_s=never", "'timeout_s'"),
        ("https://hooks.example/tok3n?treshold=error", "much like 'threshold'"),
    ],
)
def test_a_url_that_is_not_allowed_is_refused_without_telling_it(target: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as raised:
        open_sink(f"webhook:{target}")
    assert "tok3n" not in str(raised.value)


def test_the_url_is_told_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("https://hooks.example/tok3n is unreachable")

    with caplog.at_level(logging.DEBUG):
        sink = WebhookSink("https://me:tok3n@hooks.example/tok3n?allow=hooks.example,b&key=tok3n", backoff_s=(), resolve=resolve)
        sink.write([error(1)])
        assert not sink.flush(5)
    assert "tok3n" not in caplog.text + repr(sink) + repr(sink._receiver)
    assert "hooks.example" in caplog.text


def test_a_sink_left_out_is_named_by_its_scheme_alone(caplog: pytest.LogCaptureFixture) -> None:
    from collections import Counter

    from spantriage.delivery import Delivery

    delivery = Delivery(Counter())
    delivery.open(["webhook:http://hooks.example/tok3n", "webhok:https://hooks.example/tok3n"], strict=False)
    assert len(caplog.records) == 2
    assert "tok3n" not in caplog.text
    assert [shown(spec) for spec in ("webhook:https://h/tok3n", "command:mail tok3n", "webhok:tok3n", "otlp", "jsonl:f.jsonl")] == [
        "webhook:...", "command:...", "webhok:...", "otlp", "jsonl:f.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["refused", "black hole", "drips", "nonsense"])
def test_a_dead_receiver_holds_up_neither_writing_nor_closing(kind: str) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        port = hole.getsockname()[1]
        if kind != "refused":
            hole.listen()
        stop = threading.Event()

        def drip() -> None:
            other, _ = hole.accept()
            with other, suppress(OSError):
                while not stop.wait(0.05):
                    other.sendall(b"H" if kind == "drips" else b"nonsense\r\n\r\n")

        thread = threading.Thread(target=drip if kind in ("drips", "nonsense") else lambda: None, daemon=True)
        thread.start()
        sink = WebhookSink(f"http://127.0.0.1:{port}/", timeout_s=0.3, backoff_s=())
        began = time.monotonic()
        for number in range(200):
            sink.write([error(number * 10 + n) for n in range(10)])
        wrote = time.monotonic()
        assert not sink.flush(2)
        sink.close(0.2)
        closed = time.monotonic()
        stop.set()
    assert wrote - began < 2
    assert closed - wrote < 3
    assert sink.dropped == 2_000
    assert sink.messages == 0


def test_everything_is_accounted_for_when_the_receiver_comes_and_goes(server: WebServer) -> None:
    server.answers = [(200, {}), (500, {}), (404, {}), (500, {}), (500, {}), (200, {})]
    sink = WebhookSink(server.url, rate=5, backoff_s=SHORT)
    sink.write(found := [error(n) for n in range(12)])
    assert sink.flush(5)
    singly = sink.messages - 1
    assert singly + sink.summarised + sink.dropped == len(found)
    assert sink.outbox.waiting == 0


def test_a_closed_sink_works_again_with_the_next_finding(server: WebServer) -> None:
    sink = WebhookSink(server.url)
    for number in range(2):
        sink.write([error(number)])
        sink.close(5)
    sink.close(0.1)
    assert len(server.posts) == 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the server's thread; what it holds does not matter to the child
def test_a_forked_child_sends_its_own_and_only_its_own(server: WebServer) -> None:
    sink = WebhookSink(server.url)
    sink.write([error(1)])
    assert sink.flush(5)
    pid = os.fork()
    if not pid:
        sink.write([error(1), error(2)])
        os._exit(0 if sink.flush(5) else 1)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert [told["finding_id"] for told in server.told] == [f"{n:016x}" for n in (1, 2)]


def test_requests_are_no_spans_of_the_programs(server: WebServer) -> None:
    from opentelemetry import context

    seen: list[bool] = []
    make = socket.create_connection

    def look(*arguments, **named):
        seen.append(any("suppress_instrumentation" in key and value for key, value in context.get_current().items()))
        return make(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", look)
        sink = WebhookSink(server.url)
        sink.write([error(1)])
        assert sink.flush(5)
    assert seen == [True]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate")
@pytest.mark.parametrize("good", [True, False])
def test_a_certificate_is_checked(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", f"subjectAltName=DNS:{'localhost' if good else 'other.example'}"], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    sink = WebhookSink(f"https://localhost:{server.port}/", backoff_s=(), resolve=lambda host, port: ["127.0.0.1"])
    sink.write(batch(1)[:0])
    sink.write([error(1)])
    assert sink.flush(5) is good
    assert (sink.messages, sink.dropped) == ((1, 0) if good else (0, 1))


def watch(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
