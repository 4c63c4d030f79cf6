"""Commands brought to patterns."""

import pytest

from spantriage.detectors.example import calls
from spantriage.report.commands import advice, command_of, normalise, split


@pytest.mark.parametrize(("said", "pattern"), [
    ("npm install left-pad", "npm install ..."), ("npm install", "npm install"), ("FOO=1 BAR='a b' npm ci", "npm ci"), ("ls -R", "ls -R"),
    ("ls -R src", "ls -R ..."), ("openskills read pptx", "openskills read pptx"), ("sudo apt-get install -y git", "apt-get install ..."),
    ("python -m pytest tests", "python -m pytest ..."), ("python3 -c 'print(1)'", "python3 -c ..."), ("/usr/bin/git status", "git status"),
    ("python main.py --fast", "python main.py ..."), ("curl https://example.com", "curl ..."), ("", ""),
])  # fmt: skip
def test_a_command_becomes_its_pattern(said, pattern):
    assert normalise(said) == pattern


def test_a_line_is_split_into_its_commands_without_those_that_get_ready():
    assert split("cd app && npm ci; npm test || true\nls") == ["npm ci", "npm test", "ls"]
    assert split("cd app") == ["cd app"]


@pytest.mark.parametrize(("arguments", "said"), [
    ('{"command": "ls \\"a b\\""}', 'ls "a b"'), ('{"cmd": ["bash", "-lc", "ls"]}', "bash -lc ls"), ('{"path": "a"}', None), (None, None),
    ('{"command": "echo cut of', "echo cut of"),
])  # fmt: skip
def test_the_command_is_taken_from_a_calls_arguments(arguments, said):
    assert command_of(calls("bash", arguments)) == said


def test_advice_fits_the_kind_of_command():
    assert advice("openskills read pptx")[1].startswith("Keep skill documents")
    assert advice("frobnicate")[0] == "The same command ran again"
