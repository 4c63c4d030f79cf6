"""The page for people: files of our own, and the events that keep it up to date. Nothing is loaded from elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Final

import anyio.to_thread
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from spantriage.serve.receiving import Refused
from spantriage.serve.service import Service

__all__ = ["ASSETS", "asset", "events"]

ASSETS: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
POLICY: Final = (
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"),
    *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"),
)
WATCHERS: Final = 32  # at the same time
PULSE_S: Final = 0.2
ALIVE_S: Final = 15.0  # after so long without news a comment says that we are there


def asset(path: str) -> Response:
    """One of the page's files."""
    name, kind = ASSETS[path]
    content = files("spantriage.serve").joinpath("page", name).read_bytes()
    return Response(content, media_type=kind, headers={"Content-Security-Policy": "; ".join(POLICY)})


def events(service: Service, count: Callable[[int], int]) -> Callable[[Request], StreamingResponse]:
    """Gives server-sent events: `finding` for each, `state` when agents or runs have changed. `count` adds to those who watch."""

    def stream(request: Request) -> StreamingResponse:
        if count(0) >= WATCHERS:
            raise Refused(429, "too many are watching", retry_after_s=10)
        return StreamingResponse(_watched(service, request, count), media_type="text/event-stream")

    return stream


async def _watched(service: Service, request: Request, count: Callable[[int], int]) -> AsyncIterator[bytes]:
    count(1)
    try:
        number, shown, spoke = 0, b"", time.monotonic()
        while not service.closing and not await request.is_disconnected():
            number, findings = service.board.since(number)
            for finding in findings:
                yield b"event: finding\ndata: " + orjson.dumps(finding.model_dump()) + b"\n\n"
            state = orjson.dumps(await anyio.to_thread.run_sync(service.board.state))
            if state != shown:
                shown = state
                yield b"event: state\ndata: " + state + b"\n\n"
            if findings or state is shown:
                spoke = time.monotonic()
            elif time.monotonic() - spoke > ALIVE_S:
                spoke = time.monotonic()
                yield b": here\n\n"
            await asyncio.sleep(PULSE_S)
    finally:
        count(-1)
