"""`spantriage serve`: spans of any program over OTLP/HTTP, judged as they come."""

from __future__ import annotations

import gc
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from spantriage.config import load_settings
from spantriage.errors import ConfigError, MissingExtra

__all__ = ["serve"]

KEY: Final = "SPANTRIAGE_SERVE_KEY"
CONNECTIONS: Final = 512  # at the same time; beyond it 503
KEEP_ALIVE_S: Final = 30


def serve(
    otlp: Annotated[str, typer.Option("--otlp", help="Where to listen, HOST:PORT; port 0: any that is free.")] = "127.0.0.1:4318",
    forward: Annotated[
        str, typer.Option("--forward", help="Hand spans on, with their verdicts, and findings: an OTLP/HTTP receiver's URL.")
    ] = "",
    store: Annotated[str, typer.Option("--store", help="Keep spans and findings here for questions: FOLDER[?content=yes].")] = "",
    sink: Annotated[list[str] | None, typer.Option("--sink", help="Where findings go, such as jsonl:f.jsonl; several times.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Folder of what is under way; STORE/serve or .spantriage/serve.")] = None,
    spool_mb: Annotated[int, typer.Option("--spool-mb", min=1, help="How much may wait on disk to be handed on.")] = 1_024,
) -> None:
    """Take spans of any program, in any language: judge, keep and forward them. A page at the same address shows them live.

    Headers of forwarded requests are those of OTEL_EXPORTER_OTLP_HEADERS. Beyond this machine a key is needed, which senders
    give as a bearer: SPANTRIAGE_SERVE_KEY.

    Example: spantriage serve --store .spantriage/store --forward http://127.0.0.1:4319
    """
    try:
        import uvicorn

        from spantriage.serve.service import Limits, Service, need_key
        from spantriage.serve.web import make_app
    except ImportError:
        raise MissingExtra("the service", "serve") from None
    host, port = _address(otlp)
    listener = _listen(host, port)  # before anything is opened: another service may be there
    key = os.environ.get(KEY, "")
    need_key(host, key)
    limits = replace(Limits(), spool_bytes=spool_mb << 20)
    settings = load_settings({"store": store or None})
    service = Service(
        settings=settings, sinks=sink, store=settings.store, forward=forward, state=state or "", key=key, limits=limits
    )  # fmt: skip
    app = make_app(service, local=not key)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False, date_header=False,
        limit_concurrency=CONNECTIONS, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=2, lifespan="on",
    )  # fmt: skip
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # much is made and kept here; the defaults would look through it all the time
    print(f"listening on http://{otlp.rpartition(':')[0]}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {(error.strerror or str(error)).lower()}") from error


def _address(said: str) -> tuple[str, int]:
    host, colon, port = said.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"--otlp needs HOST:PORT such as 127.0.0.1:4318, not {said!r}")
    return host.strip("[]") or "127.0.0.1", int(port)
