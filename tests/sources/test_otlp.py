import base64
import copy
import json
import math
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import use_span

from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.errors import ConfigError, NotARun, SourceError
from spantriage.files import Limits, Skip, TraceFile
from spantriage.replay import Replay
from spantriage.sources import kinds, open_source, otlp
from spantriage.sources.otlp import RecordedSpan

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def document(**fields):
    """An export request with one span; `fields` replace its own, None takes one away."""
    span = {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": "00f067aa0ba902b7",
        "name": "chat small",
        "kind": 3,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}],
        "events": [{"name": "exception", "timeUnixNano": "5", "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
        "links": [{"traceId": TRACE, "spanId": SPAN}],
        "status": {"code": 2, "message": "it broke"},
        **fields,
    }
    span = {key: value for key, value in span.items() if value is not None}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "lib", "version": "1"}, "spans": [span]}]}]}


def read(content, limits=None):
    with TraceFile("run.file", BytesIO(content), limits or Limits()) as file:
        return list(otlp.read(file))


def one(content):
    (span,) = read(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert isinstance(span, RecordedSpan), span
    return span


def skips(pieces):
    return [(piece.line, piece.reason) for piece in pieces if isinstance(piece, Skip)]


def test_a_span_reads_like_one_of_the_sdk():
    span = one(document())

    assert (span.name, span.context.trace_id, span.context.span_id) == ("chat small", int(TRACE, 16), int(SPAN, 16))
    assert span.parent is not None
    assert span.parent.span_id == 0x00F067AA0BA902B7
    assert (span.start_time, span.end_time) == (1_700_000_000_000_000_000, 1_700_000_001_000_000_000)
    assert span.attributes == {"gen_ai.operation.name": "chat"}
    assert [(event.name, event.attributes, event.timestamp) for event in span.events] == [("exception", {"exception.type": "E"}, 5)]
    assert [link.context.trace_id for link in span.links] == [int(TRACE, 16)]
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("lib", "1")
    assert span.resource.attributes == {"service.name": "shop"}
    assert (span.failed, span.status.description, span.source) == (True, "it broke", "run.file")


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        ({"code": 2}, True),
        ({"code": "STATUS_CODE_ERROR"}, True),
        ({"code": "2"}, True),
        ({"code": 1}, False),
        ({"code": "STATUS_CODE_OK"}, False),
        ({"code": [2]}, False),
        ({}, False),
        (None, False),
        ("error", False),
    ],
)
def test_a_status_is_a_number_or_a_name(status, failed):
    assert one(document(status=status)).failed is failed


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        ({"stringValue": "x"}, "x"),
        ({"stringValue": 5}, None),
        ({"intValue": "5"}, 5),
        ({"intValue": 5}, 5),
        ({"intValue": "-9223372036854775808"}, -(1 << 63)),
        ({"intValue": 5.0}, 5),
        ({"intValue": "five"}, None),
        ({"intValue": "9" * 5_000}, None),
        ({"boolValue": True}, True),
        ({"boolValue": "false"}, False),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": 2}, 2),
        ({"doubleValue": "Infinity"}, math.inf),
        ({"doubleValue": "much"}, None),
        ({"bytesValue": base64.b64encode(b"\0\xff").decode()}, b"\0\xff"),
        ({"bytesValue": "abc"}, None),
        ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}, {"arrayValue": {}}, {}]}}, ("a", 1, (), None)),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"kvlistValue": {"values": []}}}]}}, {"k": {}}),
        ({"string_value": "x"}, "x"),
        ({"int_value": 7}, 7),
        ({}, None),
        (None, None),
        ("plain", "plain"),
        ({"someValue": 1}, None),
        ({"extra": 1, "stringValue": "x"}, "x"),
    ],
)
def test_values_of_every_type(value, read_as):
    found = one(document(attributes=[{"key": "before", "value": {"intValue": "1"}}, {"key": "k", "value": value}])).attributes

    assert found == {"before": 1, "k": read_as}
    assert type(found["k"]) is type(read_as)


def test_attributes_of_no_sense_are_left_out_and_the_others_read():
    found = one(
        document(
            attributes=[None, 5, "x", [], {"value": {"stringValue": "x"}}, {"key": 5, "value": {}}, {"key": "k", "value": {"intValue": 1}}]
        )
    )

    assert found.attributes == {"k": 1}
    assert one(document(attributes={"k": 1, "l": "m"})).attributes == {"k": 1, "l": "m"}
    assert one(document(attributes="none")).attributes == {}


@pytest.mark.parametrize("spell", [str.upper, lambda i: base64.b64encode(bytes.fromhex(i)).decode(), lambda i: "0x" + i])
def test_ids_are_hex_of_either_case_or_base64(spell):
    if spell(TRACE).startswith("0x"):
        assert skips(read(json.dumps(document(traceId=spell(TRACE))).encode()))
        return
    assert one(document(traceId=spell(TRACE), spanId=spell(SPAN))).context == one(document()).context


@pytest.mark.parametrize("bad", ["", "0" * 32, "xyz", "-" + TRACE[1:], TRACE + "00", 5, None, [], {}, True, "é" * 32])
def test_a_span_without_a_trace_id_is_skipped(bad):
    assert skips(read(json.dumps(document(traceId=bad)).encode())) == [(1, "a span without a valid trace id")]


@pytest.mark.parametrize("parent", ["", "0000000000000000", None, 5, "junk", {}])
def test_a_parent_that_is_none_makes_a_root(parent):
    assert one(document(parentSpanId=parent)).parent is None


@pytest.mark.parametrize(
    ("time", "read_as"),
    [(1_700_000_000_000_000_000, 1_700_000_000_000_000_000), ("7", 7), (1.5e18, 1_500_000_000_000_000_000)]
    + [(bad, None) for bad in ("", "soon", -5, "-5", 0, "0", 1 << 70, "9" * 30, True, [], {}, None)],
)
def test_times_are_numbers_or_text(time, read_as):
    assert one(document(startTimeUnixNano=time)).start_time == read_as


def test_fields_of_the_wrong_type_count_as_missing():
    wrong = {"name": 5, "attributes": 5, "events": {"a": 1}, "links": "x", "status": 5, "kind": [], "endTimeUnixNano": {}}
    span = one(document(**wrong))

    assert (span.name, span.attributes, list(span.events), list(span.links), span.failed, span.end_time) == ("", {}, [], [], False, None)
    assert [event.name for event in one(document(events=[None, {"name": "e"}, 5, {}])).events] == ["e", ""]
    assert list(one(document(links=[None, {}, {"traceId": TRACE}])).links) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (5, "not a JSON object"),
        (None, "not a JSON object"),
        ("text", "not a JSON object"),
        ([1], "not a JSON object"),
        ({"a": 1}, "no spans in this JSON object"),
        ({"resourceSpans": 5}, "ResourceSpans is not an object"),
        ({"resourceSpans": [5]}, "ResourceSpans is not an object"),
        ({"resourceSpans": [{"scopeSpans": 5}]}, "scopeSpans is not a list"),
        ({"resourceSpans": [{"scopeSpans": [5]}]}, "ScopeSpans is not an object with a list of spans"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": 5}]}]}, "ScopeSpans is not an object with a list of spans"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [5]}]}]}, "a span is not an object"),
    ],
)
def test_what_is_no_span_is_skipped_with_its_line(value, reason):
    good = json.dumps(document()).encode()
    pieces = read(good + b"\n" + json.dumps(value).encode() + b"\n\n" + good)

    assert skips(pieces) == [(2, reason)]
    assert len(pieces) == 3


@pytest.mark.parametrize("empty", [{}, {"resourceSpans": []}, {"resourceSpans": [{}]}, {"resourceLogs": []}, {"resourceMetrics": [{}]}])
def test_requests_without_spans_are_nothing_to_speak_of(empty):
    assert read(json.dumps(empty).encode()) == []


def test_a_single_span_older_names_and_tempos_are_read():
    (batch,) = document()["resourceSpans"]
    (group,) = batch["scopeSpans"]
    old = {
        "resource": batch["resource"],
        "instrumentationLibrarySpans": [{"instrumentationLibrary": group["scope"], "spans": group["spans"]}],
    }

    assert one(group["spans"][0]).context == one(document()).context
    assert one(old) == one(document())
    assert one({"batches": [batch]}) == one(document())


def test_nan_lone_surrogates_and_broken_utf8_are_read_with_replacements():
    texts = {
        b'"doubleValue": NaN': math.nan,
        b'"stringValue": "a\\ud800b"': "a?b",
        b'"stringValue": "a\xff\xfeb"': "a��b",
        b'"stringValue": "\\ud83d\\ude00"': "\U0001f600",
    }
    for text, read_as in texts.items():
        content = json.dumps(document()).encode().replace(b'"stringValue": "chat"', text)
        assert repr(one(content).attributes["gen_ai.operation.name"]) == repr(read_as)


def test_huge_values_are_read_and_deep_ones_are_skipped():
    assert len(str(one(document(attributes=[{"key": "k", "value": {"stringValue": "x" * 10_000_000}}])).attributes["k"])) == 10_000_000

    good = json.dumps(document()).encode()
    nested = '{"arrayValue":{"values":[' * 300 + '{"intValue":1}' + "]}}" * 300
    deep = json.dumps(document(attributes=[{"key": "k", "value": "HERE"}])).replace('"HERE"', nested).encode()
    pieces = read(b"\n".join([b"[" * 100_000, b'{"resourceSpans":' * 100_000, deep, good]))
    assert [line for line, _ in skips(pieces)][:2] == [1, 2]
    assert isinstance(pieces[-1], RecordedSpan)


def test_a_document_that_is_cut_short_gives_its_whole_spans():
    (batch,) = document()["resourceSpans"]
    (group,) = batch["scopeSpans"]
    group["spans"] = [{**group["spans"][0], "spanId": f"{number:016x}"} for number in range(1, 6)]
    for content in (json.dumps({"resourceSpans": [batch]}).encode(), json.dumps({"resourceSpans": [batch]}, indent=2).encode()):
        pieces = read(content[: int(len(content) * 0.7)])
        found = [piece for piece in pieces if isinstance(piece, RecordedSpan)]

        assert [span.context.span_id for span in found] == [1, 2, 3]
        assert {span.instrumentation_scope.name for span in found} == {"lib"}
        assert [line for line, _ in skips(pieces)] == [1]


def test_lines_beyond_the_cap_are_skipped():
    good = json.dumps(document()).encode() + b"\n"
    long = json.dumps(document(name="x" * 5_000)).encode() + b"\n"

    assert skips(read(good + long + good, Limits(line_bytes=2_000))) == [(2, "longer than 2000 bytes")]
    assert skips(read(json.dumps(document(name="x" * 5_000), indent=1).encode(), Limits(line_bytes=2_000))) == [
        (1, "longer than 2000 bytes")
    ]


def message(number=1):
    span = trace_pb2.Span(trace_id=bytes.fromhex(TRACE), span_id=number.to_bytes(8, "big"), name="chat")
    span.attributes.append(common_pb2.KeyValue(key="k", value=common_pb2.AnyValue(bytes_value=b"\xff")))
    span.attributes.append(common_pb2.KeyValue(key="none"))
    scopes = [trace_pb2.ScopeSpans(scope=common_pb2.InstrumentationScope(name="lib"), spans=[span])]
    return trace_pb2.TracesData(resource_spans=[trace_pb2.ResourceSpans(scope_spans=scopes)]).SerializeToString()


def fixed(*messages):
    return b"".join(len(each).to_bytes(4, "big") + each for each in messages)


def test_protobuf_without_times_and_values_reads_as_missing():
    (span,) = read(message())

    assert (span.start_time, span.end_time, span.parent, span.failed) == (None, None, None, False)
    assert span.attributes == {"k": b"\xff", "none": None}


def test_a_damaged_message_costs_that_message_only():
    content = fixed(message(1), b"\n\x05\n\x03\x0a\x01\xff", message(3))
    pieces = read(content)

    assert [piece.context.span_id for piece in pieces if isinstance(piece, RecordedSpan)] == [1, 3]
    assert [line for line, _ in skips(pieces)] == [2]


@pytest.mark.parametrize("cut", [1, 5, 20])
@pytest.mark.parametrize("join", [lambda *each: b"".join(each), fixed], ids=["plain", "fixed"])
def test_protobuf_that_is_cut_short_gives_what_is_there(join, cut):
    pieces = read(join(message(1), message(2), message(3))[:-cut])

    assert [piece.context.span_id for piece in pieces if isinstance(piece, RecordedSpan)] == [1, 2]
    assert [line for line, _ in skips(pieces)] == [3]


def test_protobuf_beyond_the_cap_and_without_ids_is_skipped():
    big = trace_pb2.TracesData.FromString(message(2))
    big.resource_spans[0].scope_spans[0].spans[0].name = "x" * 500
    nameless = trace_pb2.TracesData.FromString(message(2))
    nameless.resource_spans[0].scope_spans[0].spans[0].trace_id = b""
    pieces = read(fixed(message(1), big.SerializeToString(), nameless.SerializeToString(), message(4)), Limits(line_bytes=200))

    assert [piece.context.span_id for piece in pieces if isinstance(piece, RecordedSpan)] == [1, 4]
    assert skips(pieces) == [(2, "longer than 200 bytes"), (3, "a span without a valid id")]


class Kept(SpanExporter):
    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def test_what_the_sdk_exports_comes_back_as_it_was():
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    kept, provider = Kept(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("lib")
    outer = tracer.start_span("outer", attributes={"a": 1, "b": [1.5, 2.5], "c": True})
    with use_span(outer, end_on_exit=True), pytest.raises(ZeroDivisionError), tracer.start_as_current_span("inner"):
        1 / 0  # noqa: B018
    pieces = read(encode_spans(kept.spans).SerializeToString())

    for span, ours in zip(kept.spans, pieces, strict=True):
        assert (ours.name, ours.context.span_id, ours.start_time, ours.end_time) == (
            span.name,
            span.context.span_id,
            span.start_time,
            span.end_time,
        )
        assert ours.failed is not span.status.is_ok or span.name == "outer"
        assert ours.status.description == span.status.description
        assert ours.attributes == dict(span.attributes)
        assert [event.attributes for event in ours.events] == [dict(event.attributes) for event in span.events]
    provider.shutdown()


def test_only_what_looks_like_spans_is_claimed():
    assert otlp.sniff(json.dumps(document()).encode(), "x")
    assert otlp.sniff(b"garbage\n" + json.dumps(document()).encode(), "x")
    assert otlp.sniff(message(), "x")
    assert otlp.sniff(fixed(message()), "x")
    text = json.dumps({"messages": [{"role": "user", "content": json.dumps(document())}], "trace_id": "x"}).encode()
    for other in (
        text,
        b"",
        b"\n\n\n",
        b"some text\n",
        b"PK\x03\x04",
        b"\x7fELF\x02\x01\x01",
        b"\0" * 100,
        b"\xff\xfe{\0",
        bytes(range(256)),
    ):
        assert not otlp.sniff(other, "x"), other


def test_a_file_is_opened_by_what_is_in_it(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(json.dumps(document()).encode())
    assert [type(piece) for piece in open_source(path)] == [RecordedSpan]
    assert [type(piece) for piece in open_source(path, "otlp")] == [RecordedSpan]

    path.write_bytes(b"\xef\xbb\xbf \n")
    assert skips(open_source(path)) == [(0, "empty")]
    path.write_bytes(b'{"name": "x"}')
    with pytest.raises(NotARun, match=str(path)):
        open_source(path)
    path.write_bytes(b"garbage")
    with pytest.raises(SourceError, match=str(path)):
        open_source(path)
    assert [line for line, _ in skips(open_source(path, "otlp"))] == [1]
    with pytest.raises(ConfigError, match="otlp"):
        open_source(path, "no such kind")
    assert "otlp" in kinds()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([TRACE, SPAN, "NaN", "5", {}, []]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(["key", "value", "intValue"]), inner, max_size=4)
    ),
    max_leaves=10,
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def places(value, path=()):
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


PLACES = sorted(places(document()), key=repr)


def judged(pieces):
    replay = Replay(Engine(select(all_detectors())))
    for piece in pieces:
        replay.add(piece, "run.file")
    list(replay.finish())
    return replay


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), min_size=1, max_size=3))
def test_anything_in_place_of_anything_is_read_or_skipped(changes):
    value = copy.deepcopy(document())
    for path, replacement in changes:
        target = value
        try:
            for key in path[:-1]:
                target = target[key]
            if path:
                target[path[-1]] = replacement
            else:
                value = replacement
        except (TypeError, KeyError, IndexError):
            continue
    pieces = read(json.dumps(value).encode() + b"\n" + json.dumps(document()).encode())

    assert isinstance(pieces[-1], RecordedSpan)
    assert all(isinstance(piece, RecordedSpan | Skip) for piece in pieces)
    replay = judged(pieces)
    assert replay.counts["skips"] == len(skips(pieces))


CONTENTS = (
    json.dumps(document()).encode() + b"\n",
    json.dumps(document(), indent=1).encode(),
    message(1) + message(2),
    fixed(message(1), message(2)),
)


@FUZZ
@given(st.sampled_from(CONTENTS), st.lists(st.tuples(st.integers(0, 2_000), st.binary(max_size=6)), max_size=4), st.integers(0, 2_000))
def test_damaged_bytes_are_read_or_skipped(content, patches, kept):
    damaged = bytearray(content)
    for at, patch in patches:
        damaged[at % len(damaged) : at % len(damaged) + len(patch)] = patch
    pieces = read(bytes(damaged[:kept]))

    assert all(isinstance(piece, RecordedSpan | Skip) for piece in pieces)
    judged(pieces)


@FUZZ
@given(st.binary(max_size=200))
def test_rubbish_is_read_or_skipped(content):
    assert all(isinstance(piece, RecordedSpan | Skip) for piece in read(content))
