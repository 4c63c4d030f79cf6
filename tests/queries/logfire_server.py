"""A server with the wire form of Logfire's query API, on this machine: its answers come from DuckDB."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pyarrow as pa

from spantriage.errors import QueryError
from spantriage.queries.duck import Duck

TOKEN = "pylf_v1_local_readtokenreadtokenreadtoken"


class LogfireServer:
    """Answers POST /v2/query with Arrow; refuses like Logfire what it would refuse. `busy`: seconds to wait, one for each call."""

    def __init__(self, rows: pa.Table, *, most: int = 10_000) -> None:
        self.asked: list[dict[str, Any]] = []
        self.busy: list[str | None] = []
        self.most = most
        self._rows = rows
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self.asked.append(body)
            if handler.path != "/v2/query":
                return _send(handler, 404, {"detail": "Not Found"})
            if handler.headers["authorization"] != TOKEN:
                return _send(handler, 401, {"detail": "Invalid token"})
            if self.busy:
                wait = self.busy.pop(0)
                headers = {} if wait is None else {"Retry-After": wait}
                return _send(handler, 429, {"detail": "Rate limit exceeded for organization x: per minute limit reached."}, headers)
            if "min_timestamp" not in body:
                return _send(handler, 422, {"detail": [{"loc": ["body", "min_timestamp"], "msg": "Field required"}]})
            try:
                found = Duck(self._rows).run(body["sql"])
            except QueryError as error:
                return _send(handler, 400, {"detail": str(error)})
        found = found.slice(0, min(body.get("limit", 100), self.most))
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, found.schema) as writer:
            writer.write_table(found)
        return _send(handler, 200, stream.getvalue().to_pybytes())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _send(handler: BaseHTTPRequestHandler, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/vnd.apache.arrow.stream" if isinstance(said, bytes) else "application/json")
    handler.send_header("Content-Length", str(len(data)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


Sleep = Callable[[float], None]
