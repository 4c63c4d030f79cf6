"""A model server that needs no network, no key and no model: OpenAI's API on the loopback interface.

The model name chooses the scenario (see `scenarios.py`): `ok` works, `loop` asks for one tool for ever, `http429` is
rate-limited. Python's standard library is all it takes.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from spantriage.demo import wire
from spantriage.demo.scenarios import SCENARIOS, Reply

if TYPE_CHECKING:
    from socket import socket
    from types import TracebackType

__all__ = ["ModelServer"]

BODY_CAP: Final = 16 << 20  # bytes of a request
READ_TIMEOUT_S: Final = 10.0  # how long a client may take to send its request
PIECES_BEFORE_DROP: Final = 2
ERROR_KINDS: Final = {401: "invalid_request_error", 429: "requests", 500: "server_error"}


class ModelServer:
    """The server, at work inside a `with` block: `with ModelServer() as server: client(base_url=server.base_url)`.

    `delay_s` is how long the model `slow` takes to answer. Bound to 127.0.0.1 on a free port; closed on exit.
    """

    def __init__(self, *, delay_s: float = 1.0) -> None:
        self.delay_s = delay_s
        self.closing = threading.Event()
        self._http: _Http | None = None

    def __enter__(self) -> Self:
        self.closing.clear()
        self._http = _Http(self)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="spantriage-demo-models", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closing.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls `base_url`, ending in /v1. Raises RuntimeError outside the `with` block."""
        if self._http is None:
            raise RuntimeError("the model server is not running: use it as `with ModelServer() as server:`")
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: ModelServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()

    def server_bind(self) -> None:
        """Bind without asking the name service for the host's name, as the base class would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: tuple[str, int]) -> None:
        """A client that goes away in the middle is no news; anything else is printed with its traceback."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def count(self, model: str) -> tuple[int, int]:
        """Number a request: of all, and of its model."""
        with self._lock:
            self._requests[model] += 1
            return self._requests.total(), self._requests[model]


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "spantriage-demo", ""
    timeout = READ_TIMEOUT_S

    def log_message(self, *args: object) -> None:
        """Nothing is logged: the terminal belongs to the program that uses the server."""

    def do_GET(self) -> None:
        """The list of models is the only thing to get."""
        if self.path == "/v1/models":
            self._send(200, wire.models(tuple(SCENARIOS)))
        else:
            self._refuse(404, f"Unknown path {self.path}")

    def do_POST(self) -> None:
        """Read the request and find the scenario; say so where there is none."""
        request = self._read()
        if request is None:
            self._refuse(400, "The request's body is not a JSON object of at most 16 MiB")
        elif self.path not in ("/v1/chat/completions", "/v1/responses"):
            self._refuse(404, f"Unknown path {self.path}")
        elif str(request.get("model")) not in SCENARIOS:
            self._refuse(404, f"There is no such model; there are: {', '.join(SCENARIOS)}", "model_not_found")
        elif request.get("stream") is True and self.path == "/v1/responses":
            self._refuse(400, "Streaming is offered on /v1/chat/completions only")
        else:
            self._answer(request, str(request["model"]))

    def _answer(self, request: Mapping[str, object], model: str) -> None:
        """Reply in the form that was asked for."""
        number, of_model = self.server.count(model)
        reply = SCENARIOS[model](wire.read_conversation(request, of_model))
        if reply.slow:
            self.server.owner.closing.wait(self.server.owner.delay_s)
        if reply.status != 200:
            self._refuse(reply.status, reply.error or "", reply.code, ERROR_KINDS[reply.status])
        elif request.get("stream") is True:
            options = request.get("stream_options")
            self._stream(reply, model, number, usage=isinstance(options, Mapping) and options.get("include_usage") is True)
        else:
            shape = wire.completion if self.path == "/v1/chat/completions" else wire.response
            self._send(200, shape(reply, model=model, number=number), cut=reply.dropped)

    def _refuse(self, status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> None:
        self._send(status, wire.error(message, code=code, kind=kind))

    def _read(self) -> dict[str, object] | None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_CAP:
            return None
        try:
            request = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return request if isinstance(request, dict) else None

    def _send(self, status: int, body: wire.Json, *, cut: bool = False) -> None:
        """Send a whole body; with `cut`, half of the one that was announced."""
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status in (429, 500):
            self.send_header("Retry-After-Ms", "10")  # clients that try again need not wait long
        self._end_head()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)

    def _stream(self, reply: Reply, model: str, number: int, *, usage: bool) -> None:
        """Server-sent events in chunks; a dropped reply ends in the middle, without the chunk that says so."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self._end_head()
        for index, piece in enumerate(wire.completion_chunks(reply, model=model, number=number, usage=usage)):
            if reply.dropped and index == PIECES_BEFORE_DROP:
                return
            self._write_event(json.dumps(piece))
        self._write_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _end_head(self) -> None:
        """One request a connection, so that no connection outlives the server."""
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def _write_event(self, said: str) -> None:
        raw = f"data: {said}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
