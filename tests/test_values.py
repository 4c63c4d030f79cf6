import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spantriage import values
from spantriage.files import Limits, Skip, TraceFile

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def read(raw, piece=None, **limits):
    file = TraceFile("f.json", io.BytesIO(raw), Limits(**limits))
    if piece is None:
        return list(values.read(file))
    kept, values.PIECE = values.PIECE, piece
    try:
        return list(values.read(file))
    finally:
        values.PIECE = kept


@given(st.lists(JSON, max_size=6), st.sampled_from([None, 1, 4]), st.integers(1, 40))
def test_the_elements_of_a_list_are_its_own_however_it_is_cut(content, indent, piece):
    found = read(json.dumps(content, indent=indent, ensure_ascii=indent is None).encode(), piece)

    assert [value.value for value in found] == content
    assert [value.line for value in found] == list(range(1, len(content) + 1))


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=4), JSON, min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 40))
def test_documents_over_many_lines_come_one_after_the_other(content, piece):
    raw = "\n".join(json.dumps(each, indent=2) for each in content).encode()

    assert [value.value for value in read(raw, piece)] == content


def test_lines_keep_their_numbers():
    found = read(b'{"a": 1}\n\n{"b": 2}\n[1, 2]\nfive\n')

    assert found[:3] == [values.Value(1, {"a": 1}), values.Value(3, {"b": 2}), values.Value(4, [1, 2])]
    assert (found[3].line, found[3].reason[:8]) == (5, "not JSON")


def test_a_damaged_element_is_named_by_its_number_and_the_next_one_read():
    found = read(b'[{"a": 1}, {"b" 2}, {"c": 3}]')

    assert [value.value for value in found if isinstance(value, values.Value)] == [{"a": 1}, {"c": 3}]
    assert [(skip.path, skip.line) for skip in found if isinstance(skip, Skip)] == [("f.json", 2)]


def test_a_list_that_does_not_end_gives_what_is_whole_and_says_so():
    found = read(b'[{"a": 1}, {"b": 2}, {"c":')

    assert [value.value for value in found[:-1]] == [{"a": 1}, {"b": 2}]
    assert found[-1] == Skip("f.json", 3, "cut short: brackets are open at its end")


def test_an_element_beyond_the_cap_is_refused():
    found = read(b'[{"a": "' + b"x" * 500 + b'"}, 1]', line_bytes=100)

    assert next(skip.reason for skip in found if isinstance(skip, Skip)) == "an element longer than 100 bytes"


class Counting(io.RawIOBase):
    """A list of a million elements that is made while it is read."""

    def __init__(self, number):
        self.left, self.number, self.rest = number, number, b"["

    def readable(self):
        return True

    def readinto(self, buffer):
        while len(self.rest) < len(buffer) and self.left:
            self.left -= 1
            self.rest += b'{"text": "%s"}%s' % (b"x" * 1_000, b"," if self.left else b"]")
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size


def test_a_list_larger_than_memory_is_never_whole_in_memory():
    import tracemalloc

    file = TraceFile("f.json", io.BufferedReader(Counting(20_000)))
    tracemalloc.start()
    number = sum(1 for _ in values.read(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert number == 20_000
    assert peak < 8 << 20  # of 20 MB


def test_integers_that_nothing_else_can_hold_are_floats():
    (found,) = read(b'{"a": [NaN, 1180591620717411303424, 18446744073709551615, ' + b"9" * 400 + b"]}")

    assert isinstance(found, values.Value)
    assert isinstance(found.value, dict)
    assert found.value["a"][1:] == [float(1 << 70), (1 << 64) - 1, None]


@pytest.mark.parametrize("raw", [b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a": "\xff"}'])
def test_json_that_only_python_writes_is_read(raw):
    (found,) = read(raw)

    assert isinstance(found, values.Value)
    json.dumps(found.value).encode()
