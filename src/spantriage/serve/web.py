"""The service on the web: `POST /v1/traces`, `/healthz`, `/metrics`, the page at `/` and its `/events`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio.to_thread
import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from spantriage.serve.pages import ASSETS, asset, events
from spantriage.serve.receiving import JSON, PROTOBUF, Refused, complain
from spantriage.serve.service import Service

__all__ = ["make_app"]

LOG: Final = logging.getLogger("spantriage")
THREADS: Final = 4  # that read requests
EXIT_S: Final = 8.0
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})  # names by which a browser may call a service of this machine
Handler = Callable[[Request], Awaitable[Response]]


def make_app(service: Service, *, local: bool = True) -> Starlette:
    """The application, which starts the service and ends it. `local`: it listens to this machine alone, under its own names."""
    receiver = _Receiver(service)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        await anyio.to_thread.run_sync(service.close, EXIT_S)

    async def healthz(_: Request) -> Response:
        good, told = service.health()
        return Response(orjson.dumps(told), 200 if good else 503, media_type=JSON)

    async def metrics(_: Request) -> Response:
        from spantriage.serve.figures import exposition

        text = await anyio.to_thread.run_sync(exposition, service)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    watching = [0]

    def count(more: int) -> int:
        watching[0] += more
        return watching[0]

    stream = events(service, count)

    async def watch(request: Request) -> Response:
        return stream(request)

    async def page(request: Request) -> Response:
        return asset(request.url.path)

    def guarded(handler: Handler, *, is_open: bool = False) -> Handler:
        async def guard(request: Request) -> Response:
            try:
                if local and not _is_here(request.headers.get("host", "")):
                    raise Refused(403, "this name is not this machine's")  # another site's name may lead a browser here
                if not is_open:
                    service.admit(request.headers.get("authorization", ""))
                response = await handler(request)
            except Refused as refused:
                response = _refuse(request, refused)
            service.counters[str(response.status_code)] += 1
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guard

    routes = [
        Route("/v1/traces", guarded(receiver.post), methods=["POST"]),
        Route("/healthz", guarded(healthz, is_open=True), methods=["GET"]),
        Route("/metrics", guarded(metrics), methods=["GET"]),
        Route("/events", guarded(watch), methods=["GET"]),
        *(Route(path, guarded(page, is_open=True), methods=["GET"]) for path in ASSETS),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


class _Receiver:
    """Takes requests in, within limits of size and time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._inflight = 0  # bytes
        self._limiter: anyio.CapacityLimiter | None = None

    async def post(self, request: Request) -> Response:
        service, limits = self._service, self._service.limits
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limits.body_bytes:
            raise Refused(413, f"the body is larger than {limits.body_bytes} bytes")
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(limits.request_s):
                await self._read(request, parts)
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(THREADS)
            given = b"".join(parts), request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
            kind, answer = await anyio.to_thread.run_sync(service.take, *given, limiter=self._limiter)
        except TimeoutError:
            raise Refused(408, f"the request took longer than {limits.request_s:g} s") from None
        except ClientDisconnect:
            raise Refused(400, "the client has gone") from None
        finally:
            self._inflight -= sum(map(len, parts))
        return Response(answer, media_type=kind)

    async def _read(self, request: Request, parts: list[bytes]) -> None:
        limits, size = self._service.limits, 0
        async for part in request.stream():
            size += len(part)
            self._inflight += len(part)
            parts.append(part)
            if size > limits.body_bytes:
                raise Refused(413, f"the body is larger than {limits.body_bytes} bytes")
            if self._inflight > limits.inflight_bytes:
                raise Refused(429, "too many requests are being received", retry_after_s=1)


def _refuse(request: Request, refused: Refused) -> Response:
    kind = JSON if request.headers.get("content-type", "").startswith(JSON) else PROTOBUF
    headers = {"Connection": "close"}  # what is left of the body is not read
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.status == 415:
        headers["Accept-Encoding"] = "gzip"
    if request.method == "GET":
        return Response(refused.message + "\n", refused.status, headers, "text/plain")
    return Response(complain(kind, refused), refused.status, headers, kind)


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.lower() in HERE
