"""The JSONL sink: real files, real processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from finding_samples import batch, finding, judged

from spantriage.errors import ConfigError, SinkError
from spantriage.finding import Finding
from spantriage.reader import files_of, read_findings
from spantriage.sinks import open_sink
from spantriage.sinks._line import LINE_CAP, encode
from spantriage.sinks.jsonl import HELD_LINES, JsonlSink

Run = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "findings.jsonl"


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_batch_is_in_the_file_when_write_returns(path: Path) -> None:
    sink = JsonlSink(path)
    sink.write(judged())
    found = list(read_findings(path, strict=True))
    assert [f.model_copy(update={"writer_id": None, "seq": None}) for f in found] == list(judged())
    assert [f.seq for f in found] == list(range(1, len(judged()) + 1))
    assert {f.writer_id for f in found} == {sink.writer_id}
    assert sink.written == len(judged())


def test_the_default_target_is_a_folder_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_sink("jsonl").write(judged())
    assert len(lines_of(tmp_path / ".spantriage" / "findings.jsonl")) == len(judged())


def test_files_and_folders_are_for_their_owner_alone_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        JsonlSink(tmp_path / "a" / "b" / "findings.jsonl").write(judged())
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b", "a/b/findings.jsonl")]
    assert modes == [0o700, 0o700, 0o600]


def test_eight_processes_append_without_tearing_a_line(path: Path, run: Run) -> None:
    told = [json.loads(line) for line in run("writers.py", "append", path, 8, 40, 0).splitlines()]
    reading = read_findings(path, strict=True)
    counts: dict[str | None, int] = {}
    for found in reading:
        counts[found.writer_id] = counts.get(found.writer_id, 0) + 1
    assert counts == {entry["writer_id"]: entry["written"] for entry in told}
    assert len(told) == 8
    assert not reading.gaps


def test_rotation_under_load_loses_nothing(path: Path, run: Run) -> None:
    told = [json.loads(line) for line in run("writers.py", "append", path, 4, 30, 200_000).splitlines()]
    files = files_of(path)
    seqs: dict[str | None, list[int | None]] = {}
    for file in files:
        for found in read_findings(file, strict=True):
            seqs.setdefault(found.writer_id, []).append(found.seq)
    assert seqs == {entry["writer_id"]: list(range(1, entry["written"] + 1)) for entry in told}
    assert len(files) > 3
    assert all(file.stat().st_size <= 200_000 for file in files)


def test_what_a_killed_writer_was_told_is_written_is_whole_on_disk(path: Path, tmp_path: Path, run: Run) -> None:
    acks = tmp_path / "acks"
    run("writers.py", "crash", path, acks, 25)
    seqs: dict[str | None, list[int | None]] = {}
    skipped = 0
    for file in files_of(path):
        reading = read_findings(file)
        for found in reading:
            seqs.setdefault(found.writer_id, []).append(found.seq)
        skipped += len(reading.skipped)
        assert not reading.repaired
    acknowledged: dict[str, int] = {}
    for line in acks.read_text().splitlines():
        writer_id, _, number = line.partition(" ")
        acknowledged[writer_id] = int(number)
    assert len(acknowledged) >= 20
    for writer_id, number in acknowledged.items():
        assert seqs[writer_id][:number] == list(range(1, number + 1))
    assert skipped <= 29


def test_a_torn_tail_is_closed_by_the_next_writer(path: Path) -> None:
    JsonlSink(path).write(batch(2))
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(whole[:100])
    JsonlSink(path).write(batch(1))
    reading = read_findings(path)
    assert len(list(reading)) == 3
    assert [skipped.line for skipped in reading.skipped] == [3]


def test_a_line_that_lacks_only_its_newline_is_kept(path: Path) -> None:
    JsonlSink(path).write(batch(2))
    os.truncate(path, path.stat().st_size - 1)
    JsonlSink(path).write(batch(1))
    assert len(list(read_findings(path, strict=True))) == 3


def test_old_files_are_kept_up_to_the_number_asked_for(path: Path) -> None:
    sink = open_sink(f"jsonl:{path}?max_bytes=2500&keep=2")
    for number in range(30):
        sink.write(batch(1, number))
    files = files_of(path)
    assert [file.name for file in files] == ["findings.jsonl.2", "findings.jsonl.1", "findings.jsonl"]
    seqs = [found.seq for file in files for found in read_findings(file)]
    assert seqs == list(range(31 - len(seqs), 31))


def test_a_file_that_cannot_be_rotated_grows(path: Path) -> None:
    sink = JsonlSink(path, max_bytes=1_000, keep=1)
    (path.parent / "findings.jsonl.1").mkdir()
    for number in range(5):
        sink.write(batch(1, number))
    assert len(lines_of(path)) == 5


@pytest.mark.parametrize("removed", ["file", "folder"])
def test_a_file_deleted_under_us_is_made_anew(path: Path, removed: str) -> None:
    sink = JsonlSink(path)
    sink.write(batch(1))
    path.unlink()
    if removed == "folder":
        path.parent.rmdir()
    sink.write(batch(2, 1))
    assert [line["seq"] for line in lines_of(path)] == [2, 3]


def test_a_file_moved_away_by_another_rotator_is_left_alone(path: Path) -> None:
    sink = JsonlSink(path)
    sink.write(batch(1))
    path.rename(path.with_suffix(".old"))
    sink.write(batch(1, 1))
    assert len(lines_of(path)) == len(lines_of(path.with_suffix(".old"))) == 1


def test_lines_wait_in_memory_while_the_file_cannot_be_written(path: Path) -> None:
    sink = JsonlSink(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        sink.write(batch(HELD_LINES))
    with pytest.raises(OSError, match="directory"):
        sink.write(batch(5, HELD_LINES))
    assert (sink.held, sink.dropped, sink.written) == (HELD_LINES, 5, 0)
    assert not sink.flush(0.1)
    path.rmdir()
    assert sink.flush(1)
    assert (sink.held, sink.written) == (0, HELD_LINES)
    reading = read_findings(path, strict=True)
    assert [f.seq for f in reading] == list(range(6, HELD_LINES + 6))
    assert [(gap.first, gap.last) for gap in reading.gaps] == [(1, 5)]


def test_a_size_limit_in_mid_batch_leaves_no_torn_line(path: Path, run: Run) -> None:
    told = json.loads(run("writers.py", "limit", path))
    assert told["errors"] > 0
    assert told["held"] > 0
    assert told["clean"]
    assert told["left"] == told["dropped"] == 0
    reading = read_findings(path, strict=True)
    assert len(list(reading)) == 220
    assert not reading.gaps


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_survived_without_a_torn_line(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 150_000)
    path = small_disk / "findings.jsonl"
    sink, errors = JsonlSink(path), 0
    for number in range(8):
        try:
            sink.write(batch(25, 25 * number))
        except OSError:
            errors += 1
    assert errors
    assert path.read_bytes().endswith(b"}\n")
    ballast.unlink()
    sink.write(batch(1, 200))
    reading = read_findings(path, strict=True)
    assert len(list(reading)) == 201
    assert not reading.gaps
    sink.close(1)


def test_a_disk_that_turns_read_only_is_survived(small_disk: Path) -> None:
    path = small_disk / "findings.jsonl"
    sink = JsonlSink(path)
    sink.write(batch(1))
    sink.close(1)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OSError, match="Read-only"):
        sink.write(batch(1, 1))
    with pytest.raises(SinkError, match="Read-only"):
        JsonlSink(path)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    sink.write(batch(1, 2))
    assert [line["seq"] for line in lines_of(path)] == [1, 2, 3]
    sink.close(1)


def test_a_forked_child_is_a_writer_of_its_own(path: Path, run: Run) -> None:
    run("writers.py", "fork", path)
    reading = read_findings(path, strict=True)
    by_writer: dict[str | None, list[str]] = {}
    for found in reading:
        by_writer.setdefault(found.writer_id, []).append(found.finding_id)
    parent, child = sorted(by_writer.values())
    assert parent == [f"{i:016x}" for i in range(6)]
    assert child == [f"{i:016x}" for i in range(100, 104)]
    assert not reading.gaps


def test_a_process_that_holds_the_lock_for_ever_does_not_stop_us(path: Path) -> None:
    import fcntl

    sink = JsonlSink(path)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="holds the lock"):
            sink.write(batch(1))
        assert not sink.flush(0.05)
    sink.write(batch(1, 1))
    assert [line["seq"] for line in lines_of(path)] == [1, 2]


def test_threads_share_a_sink(path: Path) -> None:
    sink = JsonlSink(path)
    threads = [threading.Thread(target=lambda: [sink.write(batch(3)) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line["seq"] for line in lines_of(path)] == list(range(1, 481))


@pytest.mark.parametrize(
    ("broken", "kept"),
    [
        ({"summary": "half a \ud800 pair"}, {"code": "tool.error", "severity": "warning"}),
        ({"score": float("nan")}, {"score": 0.0}),
        ({"wasted_tokens": 1 << 70}, {"wasted_tokens": None}),
        ({"agent": object()}, {"agent": None}),
        ({"evidence": None}, {"evidence": []}),
        (
            {"finding_id": b"\xff", "severity": "bad \ud800", "kind": 3, "code": None},
            {"severity": "warning", "kind": "incident", "code": "unknown"},
        ),
    ],
)
def test_a_finding_that_cannot_be_encoded_becomes_a_counted_stub(path: Path, broken: dict[str, object], kept: dict[str, object]) -> None:
    sink = JsonlSink(path)
    sink.write([*batch(1), finding(**broken), *batch(1, 1)])
    good, stub, last = read_findings(path, strict=True)
    assert stub.reason is not None
    assert stub.reason.startswith("stub: ")
    assert {name: getattr(stub, name) for name in kept} == kept
    assert (good.seq, stub.seq, last.seq) == (1, 2, 3)
    assert not stub.withdrawn
    assert sink.stubs == 1


def test_an_amount_that_is_no_number_is_written_as_null(path: Path) -> None:
    JsonlSink(path).write([finding(wasted_cost_usd=float("inf"))])
    (found,) = read_findings(path, strict=True)
    assert found.wasted_cost_usd is None


def test_long_lines_lose_evidence_first_and_then_words(path: Path) -> None:
    evidence = [judged()[0].evidence[0].model_copy(update={"excerpt": f"{i:05}" + "ü" * 4_995}) for i in range(20)]
    for changes in ({"evidence": evidence}, {"evidence": evidence, "summary": "日本語" * 40_000, "root_cause": "\0" * 90_000}):
        line, whole = encode(finding(**changes), "1-2-3", 9)
        assert whole
        assert len(line) <= LINE_CAP
        found = Finding.model_validate(orjson.loads(line))
        assert found.finding_id == judged()[0].finding_id
    line, _ = encode(finding(evidence=evidence), "1-2-3", 9)
    assert 3 <= len(orjson.loads(line)["evidence"]) < 20


def test_each_process_gets_a_file_of_its_own_where_locks_cannot_be_trusted(path: Path) -> None:
    sinks = [open_sink(f"jsonl:{path}?shared=no&max_bytes=2000&keep=5") for _ in range(2)]
    for number in range(4):
        for sink in sinks:
            sink.write(batch(1, number))
    files = files_of(path)
    assert not path.exists()
    assert len(files) > 2
    assert sorted(found.seq or 0 for file in files for found in read_findings(file, strict=True)) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_with_fsync_the_disk_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd)))
    never, later, at_once = (open_sink(f"jsonl:{path}{option}") for option in ("", "?fsync_s=100", "?fsync_s=0"))
    for sink, after_write, after_flush in ((never, 0, 0), (later, 0, 1), (at_once, 1, 1)):
        synced.clear()
        sink.write(batch(1))
        assert len(synced) == after_write
        assert sink.flush(1)
        assert sink.flush(1)
        assert len(synced) == after_flush


def test_a_closed_sink_opens_again_with_the_next_finding(path: Path) -> None:
    sink = JsonlSink(path)
    sink.write(batch(1))
    sink.close(1)
    sink.close(1)
    sink.write(batch(1, 1))
    assert [line["seq"] for line in lines_of(path)] == [1, 2]


def test_a_target_that_cannot_be_a_file_is_refused_with_its_reason(tmp_path: Path, run: Run) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "plain").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("folder", "folder"), ("link", "symbolic link"), ("plain/x", "is not a folder"), ("pipe", "not a regular file")):
        with pytest.raises(SinkError, match=reason) as raised:
            open_sink(f"jsonl:{tmp_path / name}")
        assert str(tmp_path / name) in str(raised.value)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "ermission" in run("writers.py", "denied", locked / "findings.jsonl")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("options", ["size=3", "keep=-1", "keep=two", "fsync_s=nan", "shared=perhaps"])
def test_a_bad_option_is_named(path: Path, options: str) -> None:
    with pytest.raises(ConfigError, match=options.partition("=")[0]):
        open_sink(f"jsonl:{path}?{options}")
