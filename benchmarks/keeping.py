"""How fast spans are kept: written, packed, imported, seen."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
from massgen_runs import runs

from spantriage import query
from spantriage.sources import open_source
from spantriage.sources.spans import RecordedSpan
from spantriage.store.columns import PROMOTED
from spantriage.store.importing import Importer
from spantriage.store.layout import create
from spantriage.store.lines import line
from spantriage.store.packing import pack
from spantriage.store.parquet import connect
from spantriage.store.spans import RecordedRows
from spantriage.store.spool import Spool
from spantriage.store.target import StoreTarget

__all__ = ["import_rates", "keep", "pack_apart", "visible_after"]

BATCH: Final = 64
MIB: Final = 1 << 20


def keep(spans: int, store: Path, lines: Path) -> str:
    """Write spans into a store, and the same as raw lines; says what a span took. Returns the id of a run."""
    spool, rows = Spool(create(store)), RecordedRows(content=True, redacts=True)
    slim = RecordedRows(content=False, redacts=True)
    made, took, slim_took, run_id = 0, 0.0, 0.0, 0
    source = runs(spans)
    with lines.open("wb") as raw:
        while batch := list(islice(source, BATCH)):
            began = time.process_time()
            for_slim = b"".join(line(row) for span in batch for row in slim.of(span))
            slim_took += time.process_time() - began
            began = time.process_time()
            written = [row for span in batch for row in rows.of(span)]
            spool.append(b"".join(line(row) for row in written))
            took += time.process_time() - began
            made += len(batch) if for_slim else 0
            raw.writelines(_raw(row) for row in written)
            run_id = run_id or batch[0].context.trace_id
    spool.rotate()
    size = sum(path.stat().st_size for path in (store / "spool").iterdir())
    print(f"{made:,} spans, {lines.stat().st_size / MIB:,.0f} MiB of raw lines")
    print(f"writer: {slim_took / made * 1e6:.1f} us a span (bar: 10)")
    print(f"writer, with what was said: {took / made * 1e6:.1f} us a span of {size / made:,.0f} bytes")
    return f"{run_id:032x}"


def _raw(row: dict[str, Any]) -> bytes:
    promoted = {place.key: row[place.column] for place in PROMOTED.values() if place.column in row}
    whole = {**promoted, **row["attributes"], **(row.get("content") or {})}
    said = {key: value for key, value in row.items() if not key.startswith("a_") and key not in ("content", "odd")}
    times = {name: _iso(row[name]) for name in ("start_timestamp", "end_timestamp")}
    return orjson.dumps({**said, **times, "attributes": whole}, option=orjson.OPT_APPEND_NEWLINE)


def _iso(at_us: int) -> str:
    seconds, rest = divmod(at_us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"


def pack_apart(store: Path) -> None:
    """Pack in a process of its own, whose memory is its own."""
    before = sum(path.stat().st_size for path in (store / "spool").iterdir())
    subprocess.run([sys.executable, __file__, str(store)], check=True)
    after = sum(path.stat().st_size for path in store.glob("parquet/*/*.parquet"))
    print(f"on disk: {after / MIB:,.0f} MiB of Parquet, 1/{before / after:.1f} of the lines")


def visible_after(store: Path) -> None:
    """From the end of a span until a question sees it."""
    from opentelemetry.sdk.trace import TracerProvider

    from spantriage.store.live import StoreProcessor

    processor = StoreProcessor(store)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    waits = []
    for number in range(10):
        provider.get_tracer("benchmark").start_span(f"span {number}").end()
        began = time.perf_counter()
        while query("select count(*) as n from records", store).to_pylist()[0]["n"] <= number:
            pass
        waits.append(time.perf_counter() - began)
    processor.shutdown()
    print(f"visible: {sorted(waits)[5]:.2f} s after a span has ended, at worst {max(waits):.2f} s (bar: 1)")


def import_rates(folder: Path, spans: int) -> None:
    """Spans a second of CPU from OTLP files into a store."""
    from opentelemetry.proto.trace.v1 import trace_pb2

    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1_000)  # as `spantriage scan --store` has it
    for form in ("protobuf", "json"):
        path = folder / f"import.{'binpb' if form == 'protobuf' else 'jsonl'}"
        source = runs(spans, seed=11)
        with path.open("wb") as file:
            while batch := list(islice(source, 500)):
                request = trace_pb2.TracesData()
                _fill(request.resource_spans.add(), batch)
                data = request.SerializeToString() if form == "protobuf" else _json(request)
                file.write(len(data).to_bytes(4, "big") + data if form == "protobuf" else data + b"\n")
        began = time.process_time()
        importer = Importer(StoreTarget(folder / f"imported-{form}"))
        number = 0
        for piece in open_source(path):
            importer.add(piece)
            number += isinstance(piece, RecordedSpan)
        importer.close()
        took = time.process_time() - began
        print(f"import from {form}: {number / took:,.0f} spans a second of CPU (bar: {35_000 if form == 'protobuf' else 20_000:,})")
    gc.set_threshold(*thresholds)


def _json(request: Any) -> bytes:
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # protobuf has no types of its own

    found = MessageToDict(request)
    for batch in found["resourceSpans"]:
        for span in batch["scopeSpans"][0]["spans"]:
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in span:
                    import base64

                    span[key] = base64.b64decode(span[key]).hex()
    return orjson.dumps(found)


def _fill(batch: Any, spans: list[RecordedSpan]) -> None:
    scope = batch.scope_spans.add()
    scope.scope.name = "logfire"
    for key, value in spans[0].resource.attributes.items():
        _put(batch.resource.attributes.add(), key, value)
    for span in spans:
        made = scope.spans.add()
        made.trace_id = span.context.trace_id.to_bytes(16, "big")
        made.span_id = span.context.span_id.to_bytes(8, "big")
        made.parent_span_id = span.parent.span_id.to_bytes(8, "big") if span.parent else b""
        made.name, made.start_time_unix_nano, made.end_time_unix_nano = span.name, span.start_time or 0, span.end_time or 0
        made.status.code = 2 if span.failed else 0
        for key, value in span.attributes.items():
            _put(made.attributes.add(), key, value)


def _put(pair: Any, key: str, value: object) -> None:
    pair.key = key
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(pair.value, kind, value)


if __name__ == "__main__":
    connect().close()  # imports are not counted
    wall, cpu = time.perf_counter(), time.process_time()
    done = pack(Path(sys.argv[1]), grace_s=0)
    seconds, work = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate, of_core = done.rows / seconds, done.rows / work
    print(f"packing: {rate:,.0f} spans a second on {os.cpu_count()} cores (bar: 80,000), {of_core:,.0f} a second of CPU")
    print(f"packing: {peak:,.0f} MiB at most (bar: 1,000)")
