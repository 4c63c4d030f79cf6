"""ATIF trajectories, versions 1.0 to 1.8: one conversation of an agent as Harbor and others write it down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spantriage import text, values
from spantriage.files import Skip, TraceFile
from spantriage.folder import Folder
from spantriage.model import Step
from spantriage.sources import Labels, Piece, Source, ids, times
from spantriage.sources.talk import Talk, Told, Usage, listed, mapping

__all__ = ["SOURCE", "Trajectory", "read", "sniff"]

FORM: Final = "atif"
DEPTH: Final = 8  # agents started by agents
FILES: Final = 100  # that one trajectory refers to
FAILED: Final = "[error] tool reported failure"  # what the Claude Code converter puts behind a result


def sniff(head: bytes, name: str) -> bool:
    """Claims documents that name a version of the format."""
    return b'"ATIF-v' in head and b'"schema_version"' in head


def read(file: TraceFile) -> Iterator[Piece]:
    """Each trajectory of a file is a run."""
    for found in values.read(file):
        if isinstance(found, Skip):
            yield found
        elif not isinstance(found.value, dict) or "steps" not in found.value:
            yield Skip(file.path, found.line, "no trajectory")
        else:
            named = found.value.get("trajectory_id") or found.value.get("session_id")
            trace_id = ids.trace_id(FORM, named or file.head[:4_096].hex())
            trajectory = Trajectory(trace_id, file.path)
            yield Labels(trace_id, {"form": FORM})
            yield from trajectory.read(found.value)
            yield from trajectory.close()


@dataclass(slots=True)
class Trajectory:
    """Reads one trajectory, with the agents that it started and the files that it goes on in."""

    trace_id: int
    path: str
    parent_id: int | None = None
    own_id: int | None = None  # the agent's span, where it is made elsewhere
    agent: str | None = None  # its name, where that is known better
    folder: Folder | None = None  # where files that it refers to may lie
    key: str = ""
    start_ns: int | None = None
    talk: Talk | None = None
    told: Told = field(default_factory=Told)
    total: Usage = field(default_factory=Usage)
    depth: int = 0
    files: set[str] = field(default_factory=set)  # of the folder, that were read

    def read(self, document: dict[str, object]) -> Iterator[Piece]:
        """The steps of a document; other agents' behind them."""
        agent = mapping(document.get("agent"))
        if self.talk is None:
            name = self.agent or text.name(agent.get("name")) or "agent"
            self.talk = Talk(
                self.trace_id, name, self.path, FORM, self.parent_id, self.start_ns, text.name(agent.get("model_name")), self.key
            )
            self.talk.own_id = self.own_id
            self.talk.declared = _declared(agent.get("tool_definitions"))
        for number, told in enumerate(listed(document.get("steps")), 1):
            step = mapping(told)
            if step.get("source") not in ("system", "user", "agent"):
                yield Skip(self.path, number, "a step without a source")
            elif step.get("is_copied_context") is not True:
                yield from self._take(self.talk, step, number)
        metrics = mapping(document.get("final_metrics"))
        self.total = Usage(
            text.count(metrics.get("total_prompt_tokens")),
            text.count(metrics.get("total_completion_tokens")),
            text.count(metrics.get("total_cached_tokens")),
            None,
            text.number(metrics.get("total_cost_usd")),
        )
        yield from self._started(document)
        yield from self._go_on(document.get("continued_trajectory_ref"))

    def close(self) -> Iterator[Step]:
        """The agent's own step, unless that is made elsewhere, and what no step told of the totals."""
        if self.talk is None:
            return
        if self.own_id is None:
            yield from self.talk.close()
        at = self.talk.now_ns
        span_id = ids.span_id(self.trace_id, self.key, "usage")
        step = Step(self.trace_id, span_id, self.talk.span_id, at, at, "event", "usage of the trajectory", FORM)
        step.agent, step.source = self.talk.agent, self.path
        rest = self.told.rest(step, self.total)
        self.told.take(rest)
        yield rest

    def _take(self, talk: Talk, step: dict[str, object], number: int) -> Iterator[Piece]:
        when, calls = times.read(step.get("timestamp")), [mapping(each) for each in listed(step.get("tool_calls"))]
        message: dict[str, object] = {"role": step["source"], "content": step.get("message") or ""}
        if step["source"] == "agent":
            message["role"] = "assistant"
            message["tool_calls"] = [
                {"id": call.get("tool_call_id"), "name": call.get("function_name"), "args": call.get("arguments")} for call in calls
            ]
        steps = talk.add(message, when, usage=_usage(step), finish=mapping(step.get("extra")).get("stop_reason"),
                         model=text.name(step.get("model_name")), line=number)  # fmt: skip
        for made in steps:
            if made.kind == "model" and step.get("llm_call_count") == 0:
                continue  # the agent's program asked, no model
            self.told.take(made)
            yield made
        for result in map(mapping, listed(mapping(step.get("observation")).get("results"))):
            yield from self._answer(talk, result, calls, number)
            for reference in map(mapping, listed(result.get("subagent_trajectory_ref"))):
                yield from self._elsewhere(reference.get("trajectory_path"))

    @staticmethod
    def _answer(talk: Talk, result: dict[str, object], calls: list[dict[str, object]], number: int) -> Iterator[Step]:
        content, extra = result.get("content"), mapping(result.get("extra"))
        if result.get("source_call_id") is None and not calls:  # what the environment says of its own accord
            yield from talk.add({"role": "user", "content": content or ""}, line=number)
            return
        failed = extra.get("tool_result_is_error") is True or (type(content) is str and content.rstrip().endswith(FAILED))
        message = {"role": "tool", "tool_call_id": result.get("source_call_id"), "content": content or ""}
        yield from talk.add({**message, **({"is_error": True} if failed else {})}, line=number)

    def _started(self, document: dict[str, object]) -> Iterator[Piece]:
        for number, sub in enumerate(map(mapping, listed(document.get("subagent_trajectories")))):
            yield from self._below(sub, f"{self.key}/{number}/{sub.get('trajectory_id')}")

    def _elsewhere(self, reference: object) -> Iterator[Piece]:
        """An agent whose trajectory is a file of its own, if it lies in the same folder; each once."""
        name = self._beside(reference)
        if name is not None and self.folder is not None:
            yield from self._below(self.folder.json(name), f"{self.key}/{name}")

    def _below(self, document: dict[str, object], key: str) -> Iterator[Piece]:
        assert self.talk is not None, "the agents of an agent are read once it is known"
        if self.depth >= DEPTH:
            yield Skip(self.path, 0, "agents are nested too deeply")
            return
        below = Trajectory(self.trace_id, self.path, self.talk.span_id, folder=self.folder, key=key, depth=self.depth + 1, files=self.files)
        below.start_ns = self.talk.now_ns or self.talk.start_ns
        yield from below.read(document)
        yield from below.close()
        for name in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
            told = getattr(below.told, name)
            setattr(self.told, name, getattr(self.told, name) if told is None else (getattr(self.told, name) or 0) + told)

    def _go_on(self, reference: object) -> Iterator[Piece]:
        """The file that the trajectory goes on in, if it lies in the same folder."""
        name = self._beside(reference)
        if name is None or self.folder is None:
            return
        total = self.total
        yield from self.read(self.folder.json(name))
        for each in ("input_tokens", "output_tokens", "cached_tokens", "cost_usd"):
            both = [amount for amount in (getattr(total, each), getattr(self.total, each)) if amount is not None]
            setattr(self.total, each, sum(both) if both else None)

    def _beside(self, reference: object) -> str | None:
        """The name of a file in the same folder that was not read yet; None for every other reference."""
        if type(reference) is not str or self.folder is None or len(self.files) >= FILES or Path(reference).name != reference:
            return None
        if reference in self.files or not self.folder.has(reference):
            return None
        self.files.add(reference)
        return reference


def _usage(step: dict[str, object]) -> Usage | None:
    metrics = mapping(step.get("metrics"))
    if not metrics:
        return None
    return Usage(
        text.count(metrics.get("prompt_tokens")),
        text.count(metrics.get("completion_tokens")),
        text.count(metrics.get("cached_tokens")),
        None,
        text.number(metrics.get("cost_usd")),
    )


def _declared(definitions: object) -> dict[str, Mapping[str, object] | None] | None:
    named = (text.name(mapping(each.get("function") or each).get("name")) for each in map(mapping, listed(definitions)))
    return {name: None for name in named if name is not None} or None


SOURCE: Final = Source(FORM, sniff, read, rank=15, settles=True)
