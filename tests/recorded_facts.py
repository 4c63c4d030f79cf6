"""What was read out of recorded runs, one line a step, to be held against `facts.txt` beside the recordings.

`python tests/recorded_facts.py FOLDER...` writes the files anew; look at each line that changes.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spantriage import dialects
from spantriage.detectors import all_detectors
from spantriage.engine import Engine, select
from spantriage.history import History
from spantriage.model import Step
from spantriage.replay import Judged, Replay
from spantriage.sources.otlp_json import spans_of
from spantriage.sources.spans import NO_STATUS, Event, Ids, RecordedSpan, Resource, Scope, Status

DATA = Path(__file__).parent / "data"
TOLD = frozenset({"agent", "model", "tool", "retrieval", "guardrail"})


def scenarios(folder: str) -> list[str]:
    """The names of a folder's recordings."""
    return sorted(path.stem for path in (DATA / folder).glob("*.jsonl"))


def judge(folder: str, scenario: str) -> list[Judged]:
    """All runs of a recording, judged by all detectors."""
    engine = Engine(select(all_detectors()))
    replay = Replay(engine)
    judged = list(replay.scan([DATA / folder / f"{scenario}.jsonl"]))
    assert not engine.errors
    assert not replay.skips
    return judged


def facts(folder: str, scenario: str) -> str:
    """The runs of a recording, said in lines."""
    return "\n".join(line for judged in judge(folder, scenario) for line in _run(judged))


def expected(folder: str) -> dict[str, str]:
    """What `facts.txt` says of each scenario."""
    found: dict[str, str] = {}
    for part in (DATA / folder / "facts.txt").read_text().split("\n== ")[1:]:
        name, _, lines = part.partition("\n")
        found[name] = lines.strip("\n")
    return found


def steps(folder: str, scenario: str) -> list[Step]:
    """Each span of a recording as a step of its own, messages read, nothing put right by the run."""
    found = []
    history = History()
    for line in (DATA / folder / f"{scenario}.jsonl").read_text().splitlines():
        for span in spans_of(json.loads(line)):
            assert isinstance(span, RecordedSpan)
            step = dialects.read(span, span.attributes, span.instrumentation_scope.name, span.failed)
            if step is not None:
                dialects.read_content(step, span, span.attributes, history)
                found.append(step)
    return found


def read(
    scope: str,
    name: str,
    attributes: Mapping[str, object],
    *,
    events: Sequence[tuple[str, Mapping[str, object]]] = (),
    failed: str | None = None,
) -> Step:
    """One span that a test makes up, read as the recorded ones are; `failed` is its status text."""
    status = NO_STATUS if failed is None else Status(failed)
    told = tuple(Event(name, given, 1) for name, given in events)
    span = RecordedSpan(name, Ids(1, 2), None, 1, 2, attributes, told, (), Scope(scope), Resource({}), status, failed is not None)
    step = dialects.read(span, attributes, scope, span.failed)
    assert step is not None
    dialects.read_content(step, span, attributes, History())
    return step


def _run(judged: Judged) -> Iterator[str]:
    judgement = judged.judgement
    yield f"run {judgement.outcome}"
    quiet: Counter[str] = Counter()
    for step in judgement.settled.sequence:
        if step.kind in TOLD or step.failed:
            yield "  " + " | ".join(_step(step))
        else:
            quiet[step.kind] += 1
    if quiet:
        yield "  also " + ", ".join(f"{number} {kind}" for kind, number in sorted(quiet.items()))
    for f in sorted(judged.findings, key=lambda f: f.code):
        yield f"  {f.severity.upper()} {f.code} | {f.agent}{' | primary' if f.primary else ''} | {f.summary}"


def _step(step: Step) -> Iterator[str]:
    yield f"{step.kind} {step.agent}{' (no span)' if step.implied else ''}"
    if step.kind == "tool":
        yield f"{step.tool}({_cut(step.arguments)}) -> {_cut(step.result)}"
    elif step.kind == "model":
        yield f"{step.model} of {step.provider}"
    if step.kind in ("agent", "model"):
        names = {"in": step.input_tokens, "out": step.output_tokens, "cached": step.cached_tokens, "reasoning": step.reasoning_tokens}
        yield " ".join(f"{name} {count}" for name, count in names.items() if count is not None) or "no token counts"
    if step.sign != "ok" or step.failed:
        yield f"{'failed: ' if step.failed else ''}{step.sign}"
    if step.error_type or step.error_message:
        yield f"{step.error_type}: {_cut(step.error_message)}"
    if step.conversation:
        yield f"conversation {step.conversation}"
    if step.content is not None and step.kind != "tool":
        yield from _content(step)


def _content(step: Step) -> Iterator[str]:
    content = step.content
    assert content is not None
    if content.text or content.refusal:
        yield f"says {_cut(content.text or content.refusal)}"
    for call in content.requested:
        yield f"asks {call.name}({_cut(call.arguments)}){'' if call.valid is not False else ' INVALID'}"
    for result in content.results:
        yield f"shown {result.name or (result.call.name if result.call else None)} -> {_cut(result.text)}"
    if content.declared:
        yield f"tools {', '.join(content.declared)}"


def _cut(text: str | None) -> str:
    return "?" if text is None else repr(text[:80])


def _write(folders: Iterable[str]) -> None:
    for folder in folders:
        parts = [f"\n== {name}\n{facts(folder, name)}\n" for name in scenarios(folder)]
        (DATA / folder / "facts.txt").write_text("What each recorded run holds, and what is said of it.\n" + "".join(parts))


if __name__ == "__main__":
    _write(sys.argv[1:])
