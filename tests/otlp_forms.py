"""The captured runs in tests/data/otlp, the ways in which a file may hold them, and short ways to write down others."""

import base64
import copy
import gzip
import json
import lzma
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path

import zstandard
from google.protobuf import json_format
from opentelemetry.proto.trace.v1 import trace_pb2

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.replay import Judged, Replay

DATA = Path(__file__).parent / "data" / "otlp"
CAPTURES = tuple(sorted(path.stem for path in DATA.glob("*.jsonl")))
Request = dict[str, object]
SECOND = 1_000_000_000
_IDS = count(1)


def captured(name: str) -> list[Request]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


def spans_in(requests: Iterable[Request]) -> Iterator[tuple[dict, dict, dict]]:
    """Each span with its scope and its resource."""
    for request in requests:
        for batch in request["resourceSpans"]:
            for group in batch["scopeSpans"]:
                for span in group["spans"]:
                    yield span, group["scope"], batch["resource"]


def one_each(requests: Iterable[Request]) -> list[Request]:
    """The same spans, each in a request of its own."""
    return [
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": [span]}]}]}
        for span, scope, resource in spans_in(requests)
    ]


def lines(requests: Iterable[object]) -> bytes:
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def snake(value: object) -> object:
    if isinstance(value, dict):
        return {re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), key): snake(inner) for key, inner in value.items()}
    return [snake(inner) for inner in value] if isinstance(value, list) else value


def with_ids(requests: list[Request], spell: Callable[[str], str]) -> list[Request]:
    spelled = copy.deepcopy(requests)
    for span, _, _ in spans_in(spelled):
        for item in (span, *span.get("links", [])):
            for key in ("traceId", "spanId", "parentSpanId"):
                if item.get(key):
                    item[key] = spell(item[key])
    return spelled


def in_base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def message(request: Request) -> trace_pb2.TracesData:
    (spelled,) = with_ids([request], in_base64)
    return json_format.ParseDict(spelled, trace_pb2.TracesData())


def plain_message(requests: list[Request]) -> bytes:
    return b"".join(message(request).SerializeToString() for request in requests)


def fixed(payloads: Iterable[bytes]) -> bytes:
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)


def varint(payloads: Iterable[bytes]) -> bytes:
    return b"".join(_varint(len(payload)) + payload for payload in payloads)


def _varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def _messages(requests: list[Request]) -> list[bytes]:
    return [message(request).SerializeToString() for request in one_each(requests)]


def _document(requests: list[Request]) -> Request:
    return {"resourceSpans": [batch for request in requests for batch in request["resourceSpans"]]}


FORMS: dict[str, Callable[[list[Request]], bytes]] = {
    "jsonl": lines,
    "one span a line": lambda requests: lines(one_each(requests)),
    "ResourceSpans a line": lambda requests: lines(batch for request in requests for batch in request["resourceSpans"]),
    "JSON": lambda requests: json.dumps(_document(requests)).encode(),
    "JSON over many lines": lambda requests: json.dumps(_document(requests), indent=2).encode(),
    "JSON list over many lines": lambda requests: json.dumps(requests, indent=1).encode(),
    "with a BOM": lambda requests: b"\xef\xbb\xbf" + lines(requests),
    "snake_case": lambda requests: lines(map(snake, requests)),
    "upper-case ids": lambda requests: lines(with_ids(requests, str.upper)),
    "base64 ids": lambda requests: lines(with_ids(requests, in_base64)),
    "protobuf": plain_message,
    "protobuf, fixed lengths": lambda requests: fixed(_messages(requests)),
    "protobuf, varint lengths": lambda requests: varint(_messages(requests)),
    "protobuf, each message as zstd": lambda requests: fixed(map(zstandard.compress, _messages(requests))),
    "JSON, each message as zstd": lambda requests: fixed(zstandard.compress(json.dumps(request).encode()) for request in requests),
    "gz": lambda requests: gzip.compress(lines(requests)),
    "xz": lambda requests: lzma.compress(lines(requests)),
    "zst": lambda requests: zstandard.compress(lines(requests)),
    "protobuf in gz": lambda requests: gzip.compress(plain_message(requests)),
}


def replayed(*paths: Path, **settings: object) -> tuple[list[Judged], Replay]:
    replay = Replay(Engine(select(all_detectors())), **settings)
    return list(replay.scan(paths)), replay


def said(runs: Iterable[Judged]) -> list[dict[str, object]]:
    """All findings without the file that they were read from."""
    found = [finding.model_dump(exclude={"source"}) for run in runs for finding in run.findings]
    return sorted(found, key=lambda finding: finding["finding_id"])


def any_value(value: object) -> dict[str, object]:
    kinds = {str: "stringValue", bool: "boolValue", float: "doubleValue"}
    if type(value) is list:
        return {"arrayValue": {"values": [any_value(each) for each in value]}}
    return {"intValue": str(value)} if type(value) is int else {kinds[type(value)]: value}


def span(trace_id: int, name: str = "span", *, parent: int | None = None, span_id: int | None = None, at: int = 0, **more: object) -> dict:
    """One span, a second long, `at` seconds after the first; `more` is attributes, or `links` to (trace, span)."""
    links = more.pop("links", ())
    begins = 1_700_000_000 * SECOND + at * SECOND
    return {
        "traceId": f"{trace_id:032x}",
        "spanId": f"{span_id or next(_IDS):016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": name,
        "startTimeUnixNano": str(begins),
        "endTimeUnixNano": str(begins + SECOND),
        "attributes": [{"key": key, "value": any_value(value)} for key, value in more.items()],
        "links": [{"traceId": f"{trace:032x}", "spanId": f"{linked:016x}"} for trace, linked in links],
        "status": {},
    }


def request(*spans: dict, scope: str = "app") -> Request:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]}


def model_call(trace_id: int, *, at: int = 0, asks: str | None = None, shows: Iterable[str] = (), task: str = "go", **more: object) -> dict:
    """A model call in a trace of its own: it asks for a tool call by id, and its history shows others."""
    history: list[object] = [{"role": "user", "parts": [{"type": "text", "content": task}]}]
    for shown in shows:
        history.append({"role": "assistant", "parts": [{"type": "tool_call", "id": shown, "name": "look", "arguments": {"a": 1}}]})
        history.append({"role": "tool", "parts": [{"type": "tool_call_response", "id": shown, "response": "nothing"}]})
    part = {"type": "tool_call", "id": asks, "name": "look", "arguments": '{"a": 1}'} if asks else {"type": "text", "content": "done"}
    return span(
        trace_id,
        "chat",
        at=at,
        **{
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "small",
            "gen_ai.input.messages": json.dumps(history),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [part]}]),
            **more,
        },
    )


def agent_run(trace_id: int, *, at: int = 0, failing: bool = True, **more: object) -> list[dict]:
    """An agent with one tool call, which fails."""
    agent = span(trace_id, "invoke_agent helper", at=at, **{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper", **more})
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", "error.type": "ValueError"}
    tool = span(trace_id, "execute_tool look", at=at, parent=int(agent["spanId"], 16), **attributes)
    tool["status"] = {"code": "STATUS_CODE_ERROR", "message": "ValueError: no such place"} if failing else {}
    return [tool, agent]
