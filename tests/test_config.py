"""Settings: from three places, checked, and named when they are wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from spantriage.config import Settings, configure_detectors, load_settings
from spantriage.detectors import all_detectors
from spantriage.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without settings, and no variables from outside."""
    for field in fields(Settings):
        monkeypatch.delenv(f"SPANTRIAGE_{field.name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def project(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)


def test_without_anything_said_the_defaults_hold() -> None:
    assert load_settings() == Settings()


def test_an_argument_beats_a_variable_beats_the_project_beats_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(folder, "[tool.spantriage]\ngrace_s = 3\nidle_s = 4\nmax_runs = 5")
    monkeypatch.setenv("SPANTRIAGE_IDLE_S", "40")
    monkeypatch.setenv("SPANTRIAGE_MAX_RUNS", "50")

    settings = load_settings({"max_runs": 500})

    assert (settings.grace_s, settings.idle_s, settings.max_runs, settings.queue_size) == (3.0, 40.0, 500, Settings().queue_size)


def test_an_argument_that_is_none_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANTRIAGE_GRACE_S", "7")

    assert load_settings({"grace_s": None}).grace_s == 7.0


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("SINKS", "console, jsonl:a.jsonl ,", ("console", "jsonl:a.jsonl")),
        ("SINKS", "", ()),
        ("ENRICH", "off", False),
        ("ENRICH", "True", True),
        ("GRACE_S", "0.25", 0.25),
        ("MAX_STEPS", "100", 100),
        ("SELECT", "loop,tool.error", ("loop", "tool.error")),
    ],
)
def test_variables_are_read_as_what_they_stand_for(name: str, said: str, meant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SPANTRIAGE_{name}", said)

    assert getattr(load_settings(), name.lower()) == meant


def test_the_project_is_looked_for_in_the_folders_above(folder: Path) -> None:
    project(folder, '[tool.spantriage]\nignore = ["loop"]')
    (folder / "a" / "b").mkdir(parents=True)

    assert load_settings(folder=folder / "a" / "b").ignore == ("loop",)


@pytest.mark.parametrize(
    "content",
    [
        b"[tool.spantriage\n",
        b"\xff\xfe\x00",
        b"tool = 1\n",
        b"[tool]\nspantriage = 5\n",
        b"[[tool.spantriage]]\nx = 1\n",
        b"a = " + b"[" * 5_000,
    ],
)
def test_a_project_file_that_is_broken_is_its_owners_business(content: bytes, folder: Path) -> None:
    (folder / "pyproject.toml").write_bytes(content)

    assert load_settings() == Settings()


def test_a_folder_of_that_name_is_passed_over(folder: Path) -> None:
    (folder / "pyproject.toml").mkdir()

    assert load_settings() == Settings()


def test_a_folder_that_was_deleted_under_us_has_no_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"grace": 1}, "unknown setting 'grace' in argument; there are: sinks, enrich"),
        ({"grace_s": "soon"}, "setting 'grace_s' in argument cannot be 'soon'; it is of the kind float"),
        ({"grace_s": -1}, "cannot be -1"),
        ({"grace_s": float("nan")}, "cannot be nan"),
        ({"grace_s": float("inf")}, "cannot be inf"),
        ({"grace_s": True}, "cannot be True"),
        ({"max_runs": 1.5}, "cannot be 1.5"),
        ({"max_runs": 0}, "cannot be 0"),
        ({"enrich": "perhaps"}, "cannot be 'perhaps'"),
        ({"sinks": 5}, "cannot be 5"),
        ({"sinks": [5]}, "cannot be"),
        ({"detectors": "all"}, "cannot be 'all'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(given)

    assert words in str(caught.value)


def test_a_wrong_variable_and_a_wrong_line_of_the_project_are_named_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(folder, "[tool.spantriage]\ngrace = 3")
    with pytest.raises(ConfigError, match=r"unknown setting 'grace' in pyproject\.toml"):
        load_settings()
    project(folder, "")
    monkeypatch.setenv("SPANTRIAGE_QUEUE_SIZE", "many")
    with pytest.raises(ConfigError, match="setting 'queue_size' in environment cannot be 'many'"):
        load_settings()


def test_variables_of_ours_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPANTRIAGE_DISABLED", "1")
    monkeypatch.setenv("SPANTRIAGE_SOMETHING_NEW", "1")

    assert load_settings() == Settings()


# -- detectors ----------------------------------------------------------------------------------------------------------------


def codes(**settings: Any) -> set[str]:
    return {detector.code for detector in configure_detectors(Settings(**settings), all_detectors())}


EVERY = {detector.code for detector in all_detectors()}


def test_all_detectors_are_used_unless_something_else_is_said() -> None:
    assert codes() == EVERY


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"select": ("loop",)}, {code for code in EVERY if code.startswith("loop.")}),
        ({"select": ("tool.error", "loop.cycle")}, {"tool.error", "loop.cycle"}),
        ({"ignore": ("loop",)}, {code for code in EVERY if not code.startswith("loop.")}),
        ({"select": ("loop",), "ignore": ("loop.cycle",)}, {code for code in EVERY if code.startswith("loop.")} - {"loop.cycle"}),
    ],
)
def test_detectors_are_chosen_by_code_or_topic(settings: dict[str, Any], expected: set[str]) -> None:
    assert codes(**settings) == expected


def test_a_detectors_settings_are_its_fields() -> None:
    (detector,) = configure_detectors(
        Settings(select=("loop.repeated_call",), detectors={"loop.repeated_call": {"at": 5}}), all_detectors()
    )

    assert detector.at == 5  # type: ignore[attr-defined]  # this detector's own


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"select": ("lop",)}, "no detector is called 'lop'"),
        ({"ignore": ("tool.eror",)}, "no detector is called 'tool.eror'"),
        ({"detectors": {"tool.eror": {}}}, "no detector is called 'tool.eror'"),
        ({"detectors": {"loop.repeated_call": {"from": 5}}}, "detector loop.repeated_call has no setting 'from'"),
        ({"detectors": {"loop.repeated_call": {"at": "five"}}}, "setting 'at' of detector loop.repeated_call cannot be 'five'"),
        ({"detectors": {"loop.repeated_call": {"at": True}}}, "setting 'at' of detector loop.repeated_call cannot be True"),
        ({"detectors": {"loop.repeated_call": 5}}, "settings of detector loop.repeated_call cannot be 5"),
    ],
)
def test_a_wrong_word_about_detectors_is_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        codes(**settings)

    assert words in str(caught.value)


@pytest.mark.parametrize("content", ['ignore = ["flow"]', '[tool.spantriage]\nignore = ["flow"]'])
def test_a_file_that_is_asked_for_stands_in_for_the_project(content: str, folder: Path) -> None:
    project(folder, '[tool.spantriage]\nignore = ["loop"]\ngrace_s = 3')
    (folder / "own.toml").write_text(content)

    settings = load_settings(folder=folder, file=folder / "own.toml")
    assert (settings.ignore, settings.grace_s) == (("flow",), load_settings(folder=folder.parent).grace_s)


@pytest.mark.parametrize("content", [None, "ignore = ["])
def test_a_file_that_is_asked_for_and_cannot_be_read_is_an_error(content: str | None, folder: Path) -> None:
    if content is not None:
        (folder / "own.toml").write_text(content)

    with pytest.raises(ConfigError, match=r"own\.toml"):
        load_settings(file=folder / "own.toml")
