"""Real spans of every library with junk in the place of what it writes: they are read, judged, and nothing breaks."""

from dataclasses import replace
from random import Random

import pytest
from dialect_runs import DATA, judged, spans

from spantriage.dialects import DIALECTS

JUNK = (
    ["a", 1], {"a": [None]}, 1 << 70, -1, float("nan"), "", "null", True, b"\xff", "\ud800", None, [["x"]], "9" * 5_000, '{"a":',
    '[{"role": 5, "parts": {"a": 1}, "content": [1, null, {"type": 7}]}]',
)  # fmt: skip
FOLDERS = {dialect.name for dialect in DIALECTS}
RUNS = sorted(str(path.relative_to(DATA).with_suffix("")) for path in DATA.glob("*/*.jsonl") if path.parent.name in FOLDERS)


@pytest.mark.parametrize("run", RUNS)
def test_attributes_of_any_type_are_read_and_judged(run: str) -> None:
    whole = spans(run)
    for seed in range(4):
        chance = Random(seed)
        given = [
            replace(one, attributes={key: chance.choice(JUNK) if chance.random() < 0.3 else value for key, value in one.attributes.items()})
            for one in whole
        ]

        assert len(judged(given)) <= len(whole)  # which raises when a detector failed
