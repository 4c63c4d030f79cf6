import gzip
import lzma
import os
import sys

import pytest
import zstandard

from spantriage import zst
from spantriage.errors import MissingExtra, SourceError
from spantriage.files import Limits, Skip, open_file, walk

TEXT = b"".join(b"line %d of a recorded run\n" % number for number in range(20_000))
PACK = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor(write_checksum=True).compress}


@pytest.fixture
def opened(tmp_path):
    """Open a file with this content; closed when the test ends."""
    files = []

    def opened(content, limits=None):
        path = tmp_path / "some.file"
        path.write_bytes(content)
        files.append(open_file(path, limits or Limits()))
        return files[-1]

    yield opened
    for file in files:
        file.close()


@pytest.fixture(params=PACK)
def pack(request):
    return PACK[request.param]


def test_compression_is_recognised_by_content(opened, pack):
    file = opened(pack(TEXT))

    assert file.head == TEXT[: 1 << 16]
    assert b"".join(line for _, line in file.lines()) == TEXT
    assert file.fault is None


def test_compressed_pieces_one_after_the_other_are_one_file(opened, pack):
    assert opened(pack(b"one\n") + pack(b"two\n")).read(100) == b"one\ntwo\n"


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_gives_what_is_there_and_says_so(opened, pack, kept):
    packed = pack(os.urandom(500_000).hex().encode())
    file = opened(packed[: int(len(packed) * kept)])

    assert len(file.read(1 << 20)) > 0.7 * kept * 1_000_000
    assert "cut short" in (file.fault or "")


def test_damage_in_the_middle_ends_the_file_there(opened, pack):
    packed = bytearray(pack(os.urandom(400_000).hex().encode()))
    packed[len(packed) // 2 : len(packed) // 2 + 50] = b"\xff" * 50
    file = opened(bytes(packed))

    while file.read(1 << 16):
        pass
    assert file.fault is not None


def test_rubbish_behind_a_compressed_file_is_told(opened, pack):
    file = opened(pack(b"one\n") + b"rubbish that is not compressed")

    assert file.read(100).startswith(b"one\n")
    # xz and gz know their own end; what follows is either damage or left alone, and never text
    assert b"rubbish" not in file.head


def test_a_bomb_is_not_unpacked_to_its_end(opened, pack):
    bomb = pack(bytes(8 << 20))
    limits = Limits(ratio=20, ratio_from=1 << 20)
    file = opened(bomb, limits)
    size = sum(len(piece) for piece in iter(lambda: file.read(1 << 16), b""))

    assert size < 4 << 20
    assert "20 times its size" in (file.fault or "")


def test_what_unpacks_to_more_than_the_cap_is_cut_there(opened, pack):
    file = opened(pack(TEXT), Limits(unpacked_bytes=100_000))
    size = sum(len(piece) for piece in iter(lambda: file.read(1 << 10), b""))

    assert 100_000 <= size <= 500_000
    assert "more than 100000 bytes" in (file.fault or "")


def test_a_plain_file_may_be_of_any_size(opened):
    file = opened(TEXT, Limits(unpacked_bytes=10, ratio=1, ratio_from=0))

    assert file.read(1 << 20) == TEXT
    assert file.fault is None


def test_lines_have_their_numbers_and_blank_ones_are_left_out(opened):
    assert list(opened(b"a\n\n  \r\nb\nc").lines()) == [(1, b"a\n"), (4, b"b\n"), (5, b"c")]


def test_a_line_beyond_the_cap_is_skipped_and_the_next_is_read(opened):
    file = opened(b"a\n" + b"x" * 700_000 + b"\nb\n" + b"y" * 101, Limits(line_bytes=100))
    one, long, two, last = file.lines()

    assert (one, two) == ((1, b"a\n"), (3, b"b\n"))
    assert isinstance(long, Skip)
    assert (long.line, long.reason) == (2, "longer than 100 bytes")
    assert isinstance(last, Skip)


def test_a_line_as_long_as_the_cap_is_read(opened):
    assert list(opened(b"x" * 99 + b"\n" + b"y" * 100, Limits(line_bytes=100)).lines()) == [(1, b"x" * 99 + b"\n"), (2, b"y" * 100)]


def test_a_byte_order_mark_is_no_part_of_the_text(opened):
    file = opened(b"\xef\xbb\xbf{}\n")

    assert file.head == b"{}\n"
    assert list(file.lines()) == [(1, b"{}\n")]


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "missing.jsonl", "null\0byte"):
        with pytest.raises(SourceError, match="missing|null|" + tmp_path.name):
            open_file(path)


def test_a_pipe_can_be_read(tmp_path):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(gzip.compress(b"one\n"))
    with open_file(f"/dev/fd/{reading}") as file:
        assert list(file.lines()) == [(1, b"one\n")]
    os.close(reading)


def test_zst_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "run.jsonl.zst"
    path.write_bytes(zstandard.compress(TEXT))
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(MissingExtra, match=r"spantriage\[cli\]"):
        open_file(path)


def test_a_zst_message_is_unpacked_within_bounds():
    assert zst.unpack(zstandard.compress(TEXT), 1 << 20) == TEXT
    for damaged in (zstandard.compress(TEXT)[:-5], b"no zst"):
        with pytest.raises(ValueError, match=r"."):
            zst.unpack(damaged, 1 << 20)
    with pytest.raises(ValueError, match="more than"):
        zst.unpack(zstandard.compress(bytes(1 << 24)), 1 << 20)


def test_a_folder_is_walked_in_order_without_hidden_files_links_and_other_names(tmp_path):
    folder, outside = tmp_path / "runs", tmp_path / "outside"
    for name in (
        "b/2.json",
        "b/1.jsonl.gz",
        "a.jsonl",
        "z.pb",
        ".hidden.jsonl",
        ".git/x.json",
        "notes.md",
        "run.py",
        "c/deep/3.ndjson.ZST",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(b"{}")
    (folder / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder)

    found = [os.path.relpath(path, folder) for path in walk(folder) if isinstance(path, str)]
    assert found == ["a.jsonl", "z.pb", "b/1.jsonl.gz", "b/2.json", "c/deep/3.ndjson.ZST"]


def test_a_file_that_is_named_is_given_whatever_it_is_called(tmp_path):
    assert list(walk(tmp_path / ".hidden.txt")) == [str(tmp_path / ".hidden.txt")]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_skipped_by_name(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)

    assert [skip.path for skip in walk(tmp_path) if isinstance(skip, Skip)] == [str(closed)]
