"""An agent's rounds: the replies it made, what became of each, and which of them were thrown away for another try."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from spantriage.model import Step
from spantriage.settled import Settled

__all__ = ["ACCEPTED", "Round", "length", "rounds_of", "said"]

ACCEPTED: Final = frozenset({"new_answer", "vote_cast", "final_answer"})  # events that end a round well
_CLIPPED: Final = re.compile(r"… \((\d+) more\)$")


@dataclass(slots=True)
class Round:
    """One invocation of an agent that works in rounds."""

    span: Step  # the agent's own
    replies: list[Step] = field(default_factory=list)  # its model calls; retries inside one request are one
    tools: list[Step] = field(default_factory=list)
    accepted: list[Step] = field(default_factory=list)  # its answers and votes, as they were taken
    shown: dict[str, str] | None = None  # the answers it was shown when it began, by agent; None: not recorded

    def note(self, key: str) -> object:
        """What is known of the round by this name."""
        return (self.span.note or {}).get(key)

    def after(self, reply: Step) -> Step | None:
        """The reply that follows, if there is one."""
        index = self.replies.index(reply) + 1
        return self.replies[index] if index < len(self.replies) else None

    def was_retried(self, reply: Step) -> bool:
        """Say whether the model was asked again in this round, nothing of the reply having been taken or run."""
        following = self.after(reply)
        if following is None or self.ran(reply):
            return False
        return not any(reply.start_ns <= step.end_ns <= following.start_ns for step in self.accepted)

    def ended_on(self, reply: Step) -> bool:
        """Say whether the round was over with this reply, and came to nothing."""
        return self.replies[-1] is reply and not self.accepted and self.note("outcome") is None

    def ran(self, reply: Step) -> bool:
        """Say whether a tool ran between this reply and the next, or the next reply was shown what a tool had said."""
        following = self.after(reply)
        until = self.span.end_ns if following is None else following.start_ns
        if any(reply.start_ns <= step.start_ns <= until for step in self.tools):
            return True
        asked = {call.call_id for call in reply.content.requested} - {None} if reply.content is not None else set()
        shown = following.content.results if following is not None and following.content is not None else ()
        return any(result.ran and result.call_id in asked for result in shown)


def rounds_of(settled: Settled) -> list[Round]:
    """All rounds of a run, in the order in which they began; a run without rounds has none."""
    found = {s.span_id: Round(s) for s in settled.sequence if s.kind == "agent" and s.note is not None and "round" in s.note}
    if not found:
        return []
    for step in settled.sequence:
        at = found.get(step.agent_span_id or 0)
        if at is None:
            continue
        if step.kind == "model":
            _add_reply(at, step, settled)
        elif step.kind == "tool":
            at.tools.append(step)
        elif step.kind == "event" and step.note is not None:
            _add_event(at, step, step.note)
    return list(found.values())


def said(reply: Step) -> str:
    """The reply as one text, tool calls and all: what is lost with it."""
    content = reply.content
    if content is None:
        return ""
    calls = "".join(f"\n\n[Tool Call: {call.name}({call.arguments or ''})]" for call in content.requested)
    return (content.text or "") + calls


def length(text: str) -> int:
    """How long a text was before it was clipped."""
    clipped = _CLIPPED.search(text[-40:])
    return len(text) if clipped is None else len(text) - len(clipped.group()) + int(clipped.group(1))


def _add_reply(at: Round, step: Step, settled: Settled) -> None:
    last = at.replies[-1] if at.replies else None
    above = settled.steps.get(step.parent_id or 0)
    if last is not None and last.parent_id == step.parent_id and above is not None and above.kind == "workflow" and above.model is not None:
        at.replies[-1] = step  # the client tried again by itself
    else:
        at.replies.append(step)


def _add_event(at: Round, step: Step, note: dict[str, object]) -> None:
    if note.get("event_type") in ACCEPTED:
        at.accepted.append(step)
    elif note.get("event_type") == "agent_round_context":
        answers = note.get("answers")
        at.shown = {str(name): str(text) for name, text in answers.items()} if isinstance(answers, dict) else {}
