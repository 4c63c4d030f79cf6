"""The run's steps as a tree, told row by row with the depth of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spantriage.model import Step
from spantriage.report.case import NS, Case
from spantriage.report.figures import seconds, tokens
from spantriage.report.words import outside

__all__ = ["Node", "grow"]

ROWS: Final = 5_000
DEEPEST: Final = 14  # levels that are told apart by their place


@dataclass(frozen=True, slots=True)
class Node:
    """A step in its place."""

    step: str  # the span's id
    depth: int
    has_children: bool
    kind: str
    name: str
    agent: str
    began: str
    took: str
    used: str
    failed: bool
    said: str
    findings: tuple[tuple[str, str, str], ...]  # (finding id, code, severity)


def grow(case: Case) -> tuple[list[Node], int]:
    """Every step below its parent, siblings by start; and how many were left out. A step whose parent is missing stands at the top."""
    steps = case.steps[:ROWS]
    here = {step.span_id for step in steps}
    above = {step.span_id: _parent(case, step, here) for step in steps}
    below: dict[int | None, list[Step]] = {}
    for step in steps:
        below.setdefault(above[step.span_id], []).append(step)
    told: dict[int, list[tuple[str, str, str]]] = {}
    for finding in case.findings:
        told.setdefault(int(finding.span_id, 16), []).append((finding.finding_id, finding.code, finding.severity))
    nodes: list[Node] = []
    seen: set[int] = set()
    waiting = [(step, 0) for step in reversed(below.get(None, []))]
    while waiting:
        step, depth = waiting.pop()
        if step.span_id in seen:
            continue
        seen.add(step.span_id)
        children = below.get(step.span_id, [])
        nodes.append(_node(case, step, depth, bool(children), tuple(told.get(step.span_id & (1 << 64) - 1, ()))))
        waiting += [(child, depth + 1) for child in reversed(children)]
    nodes += [_node(case, step, 0, False, ()) for step in steps if step.span_id not in seen]  # those in a cycle
    return nodes, max(0, len(case.steps) - ROWS)


def _parent(case: Case, step: Step, here: set[int]) -> int | None:
    """The nearest step above; spans of others, which are no steps, are passed over."""
    return next((each.span_id for each in case.judged.judgement.settled.above(step) if each.span_id in here), None)


def _node(case: Case, step: Step, depth: int, has_children: bool, findings: tuple[tuple[str, str, str], ...]) -> Node:
    failed = (step.failed or step.kind == "tool") and step.sign not in ("ok", "echo")
    used = f"{tokens(step.input_tokens)} / {tokens(step.output_tokens)}" if step.kind == "model" and step.input_tokens is not None else ""
    said = (step.error_message or step.result or "") if failed else ""
    return Node(
        f"{step.span_id & (1 << 64) - 1:016x}",
        min(depth, DEEPEST),
        has_children,
        step.kind,
        outside(step.tool or step.name, 120),
        outside(step.agent, 60),
        case.offset(step.start_ns),
        "" if step.implied or step.kind == "event" else seconds(step.duration_ns / NS),
        used,
        failed,
        outside(said, 200),
        findings,
    )
