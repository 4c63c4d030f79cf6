"""The page and its events: what agents say stays text, and nothing comes from elsewhere."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from programs.agent import run
from serving import ask, listening, make_service, post, request_of, until


@contextmanager
def watching(port: int, **headers: str) -> Iterator[Any]:
    """A function that gives the next event of a kind for which something holds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/events", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")

    def until_event(kind: str, holds: Any) -> Any:
        said = ""
        while True:
            line = answer.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                said = line.removeprefix("event: ")
            elif line.startswith("data: ") and said == kind and holds(found := json.loads(line.removeprefix("data: "))):
                return found

    try:
        yield until_event
    finally:
        connection.close()


def test_findings_agents_and_runs_come_as_events(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port, watching(port) as event:
        assert post(port, request_of())[0] == 200
        found = event("finding", lambda finding: finding["code"] == "tool.silent_failure")
        state = event("state", lambda told: told["runs"] and told["runs"][0]["outcome"])
    assert state["agents"][0]["agent"] == "bot"
    assert state["agents"][0]["tool_calls"] == 4
    (told,) = state["runs"]
    assert (told["trace_id"], told["number"], told["agents"]) == (found["trace_id"], 6, ["bot"])
    assert [step["name"] for step in told["steps"]][:2] == ["invoke_agent bot", "chat small"]


def test_who_comes_later_is_told_what_was_found_before(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        post(port, request_of())
        until(lambda: service.board.since(0)[1])
        with watching(port) as event:
            assert event("finding", lambda finding: True)["agent"] == "bot"


def test_an_event_is_one_line_whatever_an_agent_is_called(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    name = "a\n\nevent: state\ndata: {}\n\n<img src=x onerror=alert(1)>\x1b[2J"
    with listening(service) as port, watching(port) as event:
        post(port, request_of(lambda tracer: run(tracer, name)))
        state = event("state", lambda told: told["agents"])
    assert "\x1b" not in state["agents"][0]["agent"]


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")])
def test_the_page_is_strict_about_what_it_loads(path: str, kind: str, tmp_path: Path) -> None:
    with listening(make_service(tmp_path)) as port:
        status, body, headers = ask(port, "GET", path)
    assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"https://" not in body


def test_the_page_never_makes_markup_of_text() -> None:
    page = files("spantriage.serve").joinpath("page")
    script, html = page.joinpath("page.js").read_text(), page.joinpath("index.html").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)
    assert not re.search(r"\son\w+=|style=|<script>", html)


def test_with_a_key_the_page_is_there_and_its_events_are_not(tmp_path: Path) -> None:
    service = make_service(tmp_path, key="sesame")
    with listening(service, local=False) as port:
        assert ask(port, "GET", "/")[0] == 200
        assert ask(port, "GET", "/events")[0] == 401
        post(port, request_of(), Authorization="Bearer sesame")
        with watching(port, Authorization="Bearer sesame") as event:
            event("state", lambda told: told["agents"])


def test_the_service_ends_though_somebody_watches(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port, watching(port) as event:
        event("state", lambda told: True)
        service.close(0.1)  # before its connections are closed
        service.close = lambda timeout_s: None  # type: ignore[method-assign]  # it is closed
    assert service.closing
