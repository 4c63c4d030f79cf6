"""What comes from outside may be anything: each gets its status, and the service stays up."""

from __future__ import annotations

import errno
import gzip
import socket
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from serving import JSON, ask, json_of, listening, make_service, post, request_of, until

from spantriage.serve.service import Limits

CAP = 1 << 20
GOOD = request_of()
DEEP = b'{"resourceSpans":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
CASES = {
    "another type": (b"{}", {"Content-Type": "text/plain"}, 415),
    "no type": (GOOD, {"Content-Type": ""}, 415),
    "another encoding": (GOOD, {"Content-Encoding": "br"}, 415),
    "no protobuf": (b"\x0a\xff\xff\xff", {}, 400),
    "no gzip": (GOOD, {"Content-Encoding": "gzip"}, 400),
    "gzip cut short": (gzip.compress(GOOD)[:-12], {"Content-Encoding": "gzip"}, 400),
    "a bomb": (gzip.compress(bytes(100 << 20)), {"Content-Encoding": "gzip"}, 413),
    "no JSON": (b"{", JSON, 400),
    "JSON of another kind": (b"[1]", JSON, 400),
    "a batch that is none": (b'{"resourceSpans": [1]}', JSON, 400),
    "JSON nested deeply": (DEEP, JSON, 400),
    "nothing": (b"", {}, 200),
    "unknown fields": (GOOD + b"\x9a\x06\x03abc", {}, 200),
    "two members of gzip": (gzip.compress(GOOD[:50]) + gzip.compress(GOOD[50:]), {"Content-Encoding": "gzip"}, 200),
}


@pytest.mark.parametrize("case", CASES)
def test_each_bad_request_gets_its_status_and_the_next_is_taken(case: str, tmp_path: Path) -> None:
    body, headers, expected = CASES[case]
    service = make_service(tmp_path, limits=Limits(body_bytes=CAP))
    with listening(service) as port:
        status, answer, said = ask(port, "POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf", **headers})
        assert status == expected
        if status >= 400 and said["content-type"] == "application/x-protobuf":
            assert Status.FromString(answer).message
        accepted = service.accounts()["accepted"]
        assert post(port, GOOD)[0] == 200
    assert service.counters[str(expected)] >= 1
    assert service.accounts()["accepted"] == accepted + 6


def test_a_body_that_is_said_to_be_too_large_is_refused_before_it_comes(tmp_path: Path) -> None:
    service = make_service(tmp_path, limits=Limits(body_bytes=CAP))
    with listening(service) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (CAP + 1))
            assert client.recv(100).startswith(b"HTTP/1.1 413")
        assert post(port, GOOD)[0] == 200
    assert service.counters["413"] == 1


def test_of_json_a_span_that_cannot_be_read_is_rejected_alone(tmp_path: Path) -> None:
    body = json_of(GOOD).replace(b'"name": "chat small"', b'"name": {"x": 1}', 1).replace(b'"unknown"', b'"unknown_field"')
    service = make_service(tmp_path)
    with listening(service) as port:
        status, answer, _ = ask(port, "POST", "/v1/traces", body, JSON)
    assert (status, b'"rejectedSpans":"1"' in answer.replace(b" ", b"")) == (200, True)
    assert service.accounts()["accepted"] == 5


def test_a_body_without_a_length_is_measured_as_it_comes(tmp_path: Path) -> None:
    service = make_service(tmp_path, limits=Limits(body_bytes=CAP))
    with listening(service) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(64):
                client.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        except OSError:
            pass  # it has hung up on us
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_slow_client_is_let_go(tmp_path: Path) -> None:
    service = make_service(tmp_path, limits=Limits(request_s=0.2))
    with listening(service) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 408")
        assert post(port, GOOD)[0] == 200


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc"
            )
        until(lambda: service.counters["400"] == 1)
        assert post(port, GOOD)[0] == 200


def test_too_many_bytes_at_once_are_refused(tmp_path: Path) -> None:
    service = make_service(tmp_path, limits=Limits(inflight_bytes=100))
    with listening(service) as port:
        status, _, headers = post(port, GOOD)
        assert (status, headers["retry-after"]) == (429, "1")


def test_another_sites_name_does_not_lead_here(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        assert ask(port, "GET", "/metrics", headers={"Host": f"evil.example:{port}"})[0] == 403
        assert post(port, GOOD, Host="evil.example")[0] == 403
        assert ask(port, "GET", "/metrics", headers={"Host": f"localhost:{port}"})[0] == 200


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service(tmp_path)
    with listening(service) as port:
        assert post(port, GOOD)[0] == 200
        with monkeypatch.context() as patch:
            patch.setattr("spantriage.serve.ledger.os.write", _full)
            status, answer, headers = post(port, GOOD)
            assert (status, headers["retry-after"]) == (503, "5")
            assert "No space left" in Status.FromString(answer).message
        assert post(port, GOOD)[0] == 200
        until(lambda: service.accounts()["done"] == 12)
    assert service.accounts()["accepted"] == 12


def test_a_store_that_cannot_be_written_holds_what_was_acknowledged(tmp_path: Path) -> None:
    service = make_service(tmp_path, store=str(tmp_path / "store"), state="")
    with listening(service) as port:
        spool = tmp_path / "store" / "spool"
        spool.rmdir()
        spool.touch()  # where a folder should be
        assert post(port, GOOD)[0] == 200
        until(lambda: service.road.held)
        assert service.road.held == "store: File exists"
        assert ask(port, "GET", "/healthz")[0] == 503
        assert service.accounts()["waiting"] == 6
        spool.unlink()
        until(lambda: service.accounts()["stored"] == 6)
        assert ask(port, "GET", "/healthz")[0] == 200


def test_a_request_that_cannot_be_processed_is_counted_as_lost(tmp_path: Path) -> None:
    service = make_service(tmp_path)
    service.inbox.append(1, 3, b"\xff no protobuf")
    with listening(service) as port:
        assert post(port, GOOD)[0] == 200
        until(lambda: service.accounts()["waiting"] == 0)
    told = service.accounts()
    assert (told["accepted"], told["done"], told["lost"]) == (9, 6, 3)


def test_times_and_ids_that_make_no_sense_are_taken(tmp_path: Path) -> None:
    request = ExportTraceServiceRequest.FromString(GOOD)
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].end_time_unix_nano, spans[0].start_time_unix_nano = 1, (1 << 64) - 1
    spans[1].parent_span_id = b"short"
    spans[2].attributes.add().key = "no value"
    service = make_service(tmp_path, store=str(tmp_path / "store"), state="")
    with listening(service) as port:
        assert post(port, request.SerializeToString())[0] == 200
        until(lambda: service.accounts()["done"] == 6)


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
