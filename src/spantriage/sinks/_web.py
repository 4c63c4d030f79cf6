"""A POST to somebody's server, made so that neither the URL's owner nor its name server can turn it against the inside of a network.

https only (http to this machine alone); only to an allowed host; only to public addresses, connecting to the very address
that was looked at; no redirects, no proxies; one time limit for the whole answer. No message tells more of the URL than the host.
"""

from __future__ import annotations

import base64
import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from opentelemetry import context as otel_context

from spantriage import __version__
from spantriage.errors import ConfigError
from spantriage.sinks._untraced import UNTRACED

__all__ = ["Answer", "Receiver", "Resolve", "is_public"]

HEAD_CAP: Final = 1 << 16  # bytes of an answer that are read; its body is of no interest
WAIT_CAP_S: Final = 3_600.0  # the longest Retry-After that is believed
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
Resolve = Callable[[str, int], Iterable[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a request."""

    status: int
    retry_after_s: float | None = None


class Receiver:
    """The server behind a URL. Raises ConfigError for a URL that is not allowed."""

    def __init__(self, url: str, *, allow: tuple[str, ...] = (), timeout_s: float = 5.0, resolve: Resolve | None = None) -> None:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError:
            raise ConfigError("sink webhook needs a URL such as https://example.com/path") from None
        if parts.scheme not in ("https", "http") or not host or port == 0:
            raise ConfigError("sink webhook needs a URL such as https://example.com/path")
        self.is_here = host == "localhost" or _is_loopback(host)
        if parts.scheme == "http" and not self.is_here:
            raise ConfigError(f"sink webhook needs https for {host}; http is for this machine alone")
        if allow and host not in allow:
            raise ConfigError(f"sink webhook may not go to {host}; allowed are: {', '.join(allow)}")
        self.host, self.port = host, port or (443 if parts.scheme == "https" else 80)
        self._path = quote(parts.path or "/", safe="%/:=&~+!$,;'@()*") + (f"?{quote(parts.query, safe=_QUERY)}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "User-Agent": f"spantriage/{__version__}", "Connection": "close"}
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s, self._resolve = timeout_s, resolve or look_up

    def __repr__(self) -> str:
        return f"Receiver({self.host})"

    def post(self, body: bytes) -> Answer:
        """Send a body of JSON. Raises OSError or HTTPException when there is no answer in time, or no address that is allowed."""
        deadline = time.monotonic() + self._timeout_s
        connection = _Pinned(self.host, self.port, self._address(), self._tls, self._timeout_s)
        token = otel_context.attach(UNTRACED)
        try:
            connection.request("POST", self._path, body, self._headers)
            return _read_answer(connection.sock, deadline)
        finally:
            otel_context.detach(token)
            connection.close()

    def _address(self) -> str:
        for found in self._resolve(self.host, self.port):
            address = ipaddress.ip_address(found)
            if address.is_loopback if self.is_here else is_public(address):
                return found
        raise OSError(f"{self.host} has no address that is allowed")


def is_public(address: Address) -> bool:
    """Whether an address is anybody's: not of this machine, this network, or one of those hidden in another kind of address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Pinned(http.client.HTTPConnection):
    """A connection to one address, whatever the host's name leads to by now."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.default_port = 80 if tls is None else 443
        self._address, self._tls = address, tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


def _read_answer(sock: socket.socket, deadline: float) -> Answer:
    """Status and Retry-After, the first that is no interim answer; a server that drips its answer is cut short."""
    head = b""
    while True:
        while b"\r\n\r\n" not in head:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            more = sock.recv(4_096)
            if not more or len(head) > HEAD_CAP or time.monotonic() > deadline:
                raise OSError("the answer was cut short")
            head += more
        this, _, head = head.partition(b"\r\n\r\n")
        line, _, fields = this.partition(b"\r\n")
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise OSError("the answer is no HTTP")
        if int(rest[:3]) >= 200:
            headers = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
            return Answer(int(rest[:3]), _seconds(headers.get("Retry-After")))


def _seconds(said: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if said is None:
        return None
    try:
        found = float(said) if said.strip().isdecimal() else parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, found), WAIT_CAP_S)


_QUERY: Final = "%/:=&~+!$,;'@()*?"
