"""Recorded runs as a dialect reads them: small files under tests/data, one OTLP/JSON request a line."""

import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

from spantriage import dialects
from spantriage.cause import RANK, severity_of
from spantriage.detectors import all_detectors
from spantriage.engine import Engine, Judgement, select
from spantriage.model import Step
from spantriage.run import Run
from spantriage.sources.otlp_json import spans_of
from spantriage.sources.spans import NO_STATUS, Ids, RecordedSpan, Resource, Scope, Status

DATA = Path(__file__).parent / "data"
SECOND = 1_000_000_000


def spans(path: str) -> list[RecordedSpan]:
    """The spans of `tests/data/<path>.jsonl`."""
    found = [s for line in (DATA / f"{path}.jsonl").read_text().splitlines() for s in spans_of(json.loads(line))]
    assert all(isinstance(s, RecordedSpan) for s in found)
    return [s for s in found if isinstance(s, RecordedSpan)]


def runs_of(given: Iterable[RecordedSpan]) -> dict[int, Run]:
    runs: dict[int, Run] = {}
    for one in sorted(given, key=lambda s: (s.start_time, -s.end_time)):
        run = runs.setdefault(one.context.trace_id, Run(one.context.trace_id))
        parent_id = one.parent.span_id if one.parent is not None else None
        step = dialects.read(one, one.attributes, one.instrumentation_scope.name, one.failed)
        if step is None:
            run.pass_through(one.context.span_id, parent_id)
        else:
            dialects.read_content(step, one, one.attributes, run.history)
            run.add(step, cap=10_000)
    return {trace_id: run for trace_id, run in runs.items() if run.steps}


def judged(given: Iterable[RecordedSpan]) -> list[Judgement]:
    """Each trace's judgement, the earliest first."""
    engine = Engine(select(all_detectors()))
    judgements = [engine.judge(run) for run in runs_of(given).values()]
    assert not engine.errors
    return judgements


def judge(path: str) -> Judgement:
    (judgement,) = judged(spans(path))
    return judgement


def told(*judgements: Judgement) -> list[tuple[str, str, str | None]]:
    """Severity, code and agent of what was said aloud: at warning or above."""
    return sorted((severity_of(v), v.code, v.agent or v.step.agent) for j in judgements for v in j.verdicts if RANK[severity_of(v)] >= 1)


def steps(judgement: Judgement, kind: str) -> list[Step]:
    return [s for s in judgement.settled.sequence if s.kind == kind]


def tokens(step: Step) -> tuple[int | None, int | None, int | None, int | None]:
    return step.input_tokens, step.output_tokens, step.cached_tokens, step.reasoning_tokens


def shuffled(given: list[RecordedSpan], seed: int) -> list[RecordedSpan]:
    mixed = list(given)
    Random(seed).shuffle(mixed)
    return mixed


def made(
    number: int, above: int | None, name: str, start_s: float, end_s: float, attributes: dict[str, object], scope: str = "x",
    failed: str | None = None,
) -> RecordedSpan:  # fmt: skip
    """A span of a dialect that there is no recording of; `failed` is the description of its error status."""
    parent = None if above is None else Ids(1, above)
    start, end = int(start_s * SECOND), int(end_s * SECOND)
    status = NO_STATUS if failed is None else Status(failed)
    is_error = failed is not None
    return RecordedSpan(name, Ids(1, number), parent, start, end, attributes, (), (), Scope(scope), Resource({}), status, is_error)
