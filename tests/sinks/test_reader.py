"""Findings read back from files in every state of repair."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from finding_samples import batch, finding, judged
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spantriage import reader
from spantriage.errors import SourceError
from spantriage.finding import Finding
from spantriage.reader import Gap, fold, read_findings
from spantriage.sinks._line import encode

LINES = [encode(found, "1-2-3", number)[0] for number, found in enumerate(batch(4), start=1)]
WHOLE = b"".join(LINES)
IDS = [found.finding_id for found in batch(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "findings.jsonl"


def read(path: Path, data: bytes) -> tuple[list[str], list[tuple[int, str]]]:
    path.write_bytes(data)
    reading = read_findings(path)
    return [found.finding_id for found in reading], [(skipped.line, skipped.reason) for skipped in reading.skipped]


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 97))
def test_a_file_cut_anywhere_gives_all_whole_findings_before_the_cut(path: Path, cut: int) -> None:
    ends = [len(b"".join(LINES[: n + 1])) - 1 for n in range(4)]
    found, skipped = read(path, WHOLE[:cut])
    whole = sum(cut >= end for end in ends)
    assert found == IDS[:whole]
    assert len(skipped) == (cut not in (*ends, *(end + 1 for end in ends), 0))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(LINES[0]) - 2), skip=st.integers(1, len(LINES[0]) - 2), glue=st.booleans(), zipped=st.booleans())
@example(cut=LINES[0].index(b'"span_id":') + len(b'"span_id":'), skip=LINES[0].index(b',"outcome"'), glue=True, zipped=False)  # valid JSON
def test_a_line_torn_at_any_byte_costs_only_itself(path: Path, cut: int, skip: int, glue: bool, zipped: bool) -> None:
    joint = b"" if glue else b"\n"
    data = joint.join([LINES[1].strip(), LINES[0][:cut], LINES[2].strip(), LINES[0].strip()[skip:], LINES[3]])
    found, skipped = read(path, gzip.compress(data, 1) if zipped else data)
    assert found == IDS[1:]
    assert len(skipped) == 1 + (cut > 0)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 1 << 20), garbage=st.binary(max_size=40))
def test_a_gzip_file_cut_or_spoilt_gives_what_comes_before(path: Path, cut: int, garbage: bytes) -> None:
    packed = gzip.compress(LINES[0] + LINES[1], 1) + gzip.compress(LINES[2] + LINES[3], 1)
    cut %= len(packed) + 1
    found, skipped = read(path, packed[:cut] + garbage)
    if cut >= 2:
        assert found == IDS[: len(found)]
    if cut == len(packed):
        assert found == IDS
        assert bool(skipped) == bool(garbage.lstrip(b"\0"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noise=st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"{", b"}", b'{"', b"[", b'"', b"\\", b"{}", b"\n", b"\r\n", *LINES])),
        max_size=12,
    )
)
def test_no_file_raises_anything(path: Path, noise: list[bytes]) -> None:
    data = b"".join(noise)
    if not data.startswith(b"\x1f\x8b"):
        found, _ = read(path, data)
        assert set(found) <= set(IDS)


def with_nan(line: bytes) -> bytes:
    return line.replace(b'"wasted_cost_usd":null', b'"wasted_cost_usd":NaN')


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (b"\xef\xbb\xbf" + WHOLE, []),
        (WHOLE.replace(b"\n", b"\r\n"), []),
        (b"\n\n" + WHOLE.replace(b"\n", b"\n\n \t\n"), []),
        (WHOLE.replace(b"\n", b""), []),
        (b"[" + WHOLE.replace(b"\n", b",\n")[:-2] + b"]", []),
        (with_nan(WHOLE), []),
        (WHOLE.replace(b"Tool", b"T\xffol"), []),
        (WHOLE.replace(b'"Tool', b'"\\ud800Tool'), []),
        (LINES[0] + b"\0\0\0" + WHOLE[len(LINES[0]) :], [(2, "no whole JSON object")]),
        (WHOLE + b"\0" * 4096, [(5, "no whole JSON object")]),
        (WHOLE + b'{"type":"self"}\n', [(5, "not a finding: finding_id: missing")]),
        (WHOLE + b"123\n", [(5, "no whole JSON object")]),
        (LINES[0] + LINES[0].replace(b'"incident"', b'"guess"') + WHOLE[len(LINES[0]) :], [(2, "not a finding: kind: literal_error")]),
        (WHOLE + b'{"a":' * 100_000, [(5, "no whole JSON object")]),
        (WHOLE + b'{"n":' + b"9" * 5_000 + b"}", [(5, "no whole JSON object")]),
    ],
)
def test_what_happens_to_files_is_read_over(path: Path, data: bytes, reasons: list[tuple[int, str]]) -> None:
    assert read(path, data) == (IDS, reasons)


def test_numbers_that_are_none_become_null(path: Path) -> None:
    path.write_bytes(with_nan(LINES[0]))
    (found,) = read_findings(path)
    assert found.wasted_cost_usd is None


@pytest.mark.parametrize(
    "data",
    [
        LINES[0][:50],
        LINES[0].strip() + LINES[1],
        with_nan(LINES[0]),
        b"\xef\xbb\xbf" + LINES[0],
        LINES[0].replace(b"Tool", b"\xff"),
        b"[\n",
        b"\0",
    ],
)
def test_strict_reading_names_file_and_line_of_the_first_flaw(path: Path, data: bytes) -> None:
    path.write_bytes(WHOLE + b"\r\n" + data)
    with pytest.raises(SourceError, match=r"findings\.jsonl:6: "):
        list(read_findings(path, strict=True))


def test_strict_reading_refuses_a_gzip_file_that_ends_early(path: Path) -> None:
    path.write_bytes(gzip.compress(WHOLE)[:-9])
    with pytest.raises(SourceError, match="ends early"):
        list(read_findings(path, strict=True))


def test_a_file_that_cannot_be_opened_is_an_error_in_any_case(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SourceError, match=place.name):
            list(read_findings(place))


def test_a_text_that_looks_like_a_finding_inside_a_torn_one_is_not_believed(path: Path) -> None:
    inner = LINES[1].decode().strip()
    line, _ = encode(finding(summary=inner, root_cause=f'" }}, {inner} '), "1-2-3", 1)
    for cut in range(1, len(line) - 1, 7):
        assert read(path, line[:cut]) == ([], [(1, "no whole JSON object")])
        assert read(path, line[cut:])[0] == []


def test_an_endless_line_is_skipped_unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LINE_CAP", 10_000)
    found, skipped = read(path, LINES[0] + b"x" * 3_000_000 + b"\n" + LINES[1])
    assert found == IDS[:2]
    assert skipped == [(2, "longer than 10000 bytes")]


def test_a_finding_over_the_edge_of_a_chunk_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_CHUNK", 7)
    assert read(path, WHOLE) == (IDS, [])
    assert read(path, gzip.compress(WHOLE)) == (IDS, [])


def test_gaps_in_the_numbering_are_found_for_each_writer(path: Path) -> None:
    numbered = [("a-1-1", 1), ("b-1-1", 4), ("a-1-1", 2), ("a-1-1", 5), ("b-1-1", 5), ("a-1-1", 4), ("a-1-1", 5), ("a-1-1", 9)]
    path.write_bytes(b"".join(encode(judged()[0], writer, seq)[0] for writer, seq in numbered))
    reading = read_findings(path)
    assert len(list(reading)) == len(numbered)
    assert sorted(reading.gaps, key=str) == [Gap("a-1-1", 3, 3), Gap("a-1-1", 6, 8), Gap("b-1-1", 1, 3)]


def test_a_reading_can_be_read_again(path: Path) -> None:
    path.write_bytes(LINES[0][:9] + b"\n" + WHOLE)
    reading = read_findings(path)
    for _ in range(2):
        assert len(list(reading)) == 4
        assert (len(reading.skipped), reading.lines, reading.gaps) == (1, 5, [])


def test_folding_keeps_the_last_word_and_drops_what_was_taken_back() -> None:
    first, amended = finding(finding_id="a"), finding(finding_id="a", severity="critical")
    other, gone = finding(finding_id="b"), finding(finding_id="b", severity="info", score=0.0)
    assert fold([first, other, amended]) == [amended, other]
    assert fold([first, other, gone, amended]) == [amended]
    assert fold([gone, other]) == [other]


def test_unknown_fields_of_a_newer_version_are_no_flaw(path: Path) -> None:
    newer = json.loads(LINES[0]) | {"novelty": 1}
    path.write_text(json.dumps(newer) + "\n")
    (found,) = read_findings(path, strict=True)
    assert isinstance(found, Finding)


@pytest.mark.parametrize(
    "hostile", [b'{"a":' * 50_000, b'{"a":1,' * 50_000, b'{"a":[' * 900 + b"1," * 100_000, b'{"a":1}' * 50_000, b"{" * 300_000]
)
def test_a_hostile_line_costs_little_time(path: Path, hostile: bytes) -> None:
    started = time.process_time()
    found, skipped = read(path, LINES[0] + hostile + b"\n" + LINES[1])
    assert time.process_time() - started < 2
    assert found == IDS[:2]
    assert len(skipped) == 1
