"""An agent's turns: what it said or asked for each time it spoke, and what came of that before it spoke again.

A turn is a model call, or the span of an agent whose model calls left none. The turn that wrote a failing action is
where a failure begins; the step that failed only shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from spantriage.model import Step
from spantriage.settled import Settled

__all__ = ["Turn", "is_answering", "talk_of", "turns_of"]

# Tools by which agents hand in their answer; calling one of them is no work.
_ANSWERING: Final = re.compile(
    r"^final_?(?:result|answer|response|output)|^(?:submit|attempt_completion|structured_output|respond|finish|done|complete)$",
    re.IGNORECASE,
)
_WELL: Final = frozenset({"ok", "cancelled"})


@dataclass(slots=True)
class Turn:
    """One time that an agent spoke."""

    step: Step
    tools: list[Step] = field(default_factory=list)  # that ran before the agent spoke again
    helpers: list[Step] = field(default_factory=list)  # agents that it called
    around: Step | None = None  # the workflow step of the same agent that holds this turn alone
    bare: bool = False  # an agent's own span: its model calls left none

    @property
    def said(self) -> str:
        """The reply, and the arguments of the calls it asks for."""
        content = self.step.content
        if content is None:
            return ""
        calls = "".join(f"\n{call.arguments}" for call in content.requested if call.arguments)
        return (content.text or "") + calls

    @property
    def acted(self) -> bool:
        """Whether it did more than talk: asked for a call, had a tool run, or was carried out by a step around it."""
        asked = self.step.content is not None and bool(self.step.content.requested)
        return asked or bool(self.tools) or bool(self.helpers) or self.around is not None

    @property
    def broken(self) -> Step | None:
        """What failed of that which the turn asked for; a model call that itself failed has asked for nothing."""
        failed = next((tool for tool in self.tools if tool.sign not in _WELL), None)
        return failed or (self.around if self.around is not None and self.around.failed and not self.step.failed else None)

    @property
    def work(self) -> list[Step]:
        """The tools that did something other than hand in an answer."""
        return [tool for tool in self.tools if not is_answering(tool.tool)]


@lru_cache(maxsize=1_024)
def is_answering(tool: str | None) -> bool:
    """Say whether a tool of this name does nothing but hand in the answer."""
    return tool is not None and _ANSWERING.search(tool) is not None


def turns_of(settled: Settled) -> list[list[Turn]]:
    """The turns of each invocation of each agent, and those of a team whose members left one span a turn.

    Worked out once, so nobody may change them.
    """
    known = settled.memo.get("turns")
    if not isinstance(known, list):
        known = settled.memo["turns"] = _read(settled)
    return known


def talk_of(settled: Settled) -> list[Turn]:
    """All turns of the run, whoever's they are, in the order in which they began."""
    return sorted((turn for group in turns_of(settled) for turn in group), key=lambda turn: turn.step.order)


def _read(settled: Settled) -> list[list[Turn]]:
    groups: dict[tuple[str | None, int | None], list[Turn]] = {}
    above = {step.span_id: _agent_above(step, settled) for step in settled.sequence if step.kind == "agent"}
    holders = {step.agent_span_id for step in settled.sequence if step.kind == "model"} | {
        agent.span_id for agent in above.values() if agent is not None
    }
    last: Turn | None = None
    for step in settled.sequence:
        if step.kind == "model":
            last = Turn(step)
            groups.setdefault((step.agent, step.agent_span_id), []).append(last)
        elif step.kind == "agent":
            boss = above[step.span_id]
            if step.span_id not in holders and step.content is not None and step.content.text:
                last = Turn(step, bare=True)
                groups.setdefault((None, None if boss is None else boss.span_id), []).append(last)
            elif boss is not None and (begun := groups.get((boss.agent, boss.span_id))):
                begun[-1].helpers.append(step)
        elif step.kind == "tool" and step.sign != "echo":
            begun = groups.get((step.agent, step.agent_span_id))
            turn = begun[-1] if begun else last
            if turn is not None:
                turn.tools.append(step)
    found = list(groups.values())
    for turns in found:
        _find_around(turns, settled)
    return found


def _find_around(turns: list[Turn], settled: Settled) -> None:
    """Steps of a loop hold one model call each; what holds several is the whole loop."""
    held: dict[int | None, int] = {}
    for turn in turns:
        held[turn.step.parent_id] = held.get(turn.step.parent_id, 0) + 1
    for turn in turns:
        parent = settled.steps.get(turn.step.parent_id or 0)
        alone = parent is not None and held[parent.span_id] == 1 and parent.agent_span_id == turn.step.agent_span_id
        if alone and parent is not None and parent.kind == "workflow" and not turn.bare:
            turn.around = parent


def _agent_above(step: Step, settled: Settled) -> Step | None:
    return next(_agents(settled.above(step)), None)


def _agents(steps: Iterator[Step]) -> Iterator[Step]:
    return (step for step in steps if step.kind == "agent")
