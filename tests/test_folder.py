import gzip
import os
from pathlib import Path

import pytest
from samples import TRIAL, put, scanned

from spantriage.files import Limits
from spantriage.folder import Folder


@pytest.fixture
def skips():
    return []


@pytest.fixture
def folder(tmp_path, skips):
    return Folder(put(tmp_path / "run", {"a.json": {"a": 1}, "sub/b.txt": "b"}), skip=skips.append)


@pytest.mark.parametrize("name", ["..", ".", "", "/etc", "../run", "sub/..", "missing", "a.json"])
def test_names_that_are_no_folder_below_lead_nowhere(folder, name):
    assert folder.sub(name) is None


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "..", "", "sub", "sub/b.txt"])
def test_names_that_are_no_file_in_it_open_nothing(folder, name, skips):
    put(Path(folder.path).parent, {"outside.json": {"stolen": True}})

    assert folder.open(name) is None
    assert folder.json(name) == {}
    assert skips == []


def test_links_are_not_followed(folder, tmp_path):
    put(tmp_path, {"outside/secret.json": {"stolen": True}})
    os.symlink(tmp_path / "outside", os.path.join(folder.path, "link"))
    os.symlink(tmp_path / "outside" / "secret.json", os.path.join(folder.path, "link.json"))

    assert folder.sub("link") is None
    assert folder.json("link.json") == {}
    assert [sub.name for sub in folder.subs()] == ["sub"]


def test_what_is_no_plain_file_is_not_opened(folder, skips):
    os.mkfifo(os.path.join(folder.path, "pipe.json"))

    assert folder.json("pipe.json") == {}
    assert [(skip.path, skip.reason) for skip in skips] == [(folder.file("pipe.json"), "not a plain file")]


def test_packed_files_are_read_by_their_plain_names(folder):
    put(Path(folder.path), {"c.json.gz": gzip.compress(b'{"c": 3}')})

    assert folder.has("c.json")
    assert folder.json("c.json") == {"c": 3}


def test_a_bomb_in_a_folder_is_named_and_the_run_is_read(tmp_path):
    bomb = gzip.compress(b'{"text": "' + b" " * (300 << 20), 9)
    put(tmp_path / "serve__dg6SgTQ", {"result.json": TRIAL, "agent/trajectory.json.gz": bomb})

    judged, replay = scanned(tmp_path)

    assert len(judged) == 1
    assert replay.skips[0].path.endswith("trajectory.json.gz")
    assert "larger than" in replay.skips[0].reason or "unpacks" in replay.skips[0].reason


@pytest.mark.parametrize(
    ("raw", "reason"), [(b"{", "not JSON"), (b"[1]", "not a JSON object"), (b"\xff\xfe", "not JSON"), (b"", "not JSON")]
)
def test_what_is_no_object_is_named(folder, skips, raw, reason):
    put(Path(folder.path), {"d.json": raw})

    assert folder.json("d.json") == {}
    assert [(skip.path, skip.reason[: len(reason)]) for skip in skips] == [(folder.file("d.json"), reason)]


def test_a_file_beyond_the_cap_is_named(tmp_path, skips):
    folder = Folder(put(tmp_path, {"a.json": {"text": "x" * 500}}), Limits(line_bytes=100), skips.append)

    assert folder.json("a.json") == {}
    assert [skip.reason for skip in skips] == ["larger than 100 bytes"]


def test_a_folder_that_is_not_there_is_empty_and_named(tmp_path, skips):
    folder = Folder(tmp_path / "gone", skip=skips.append)

    assert (folder.files, folder.folders) == (frozenset(), frozenset())
    assert len(skips) == 1
