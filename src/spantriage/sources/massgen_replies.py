"""Agents' replies, as steps: each one that was turned down with its reason, each answer and vote that was taken.

The log keeps neither requests nor whole replies; a model call is known by what became of its reply. The last attempt of
an agent that ran out of them is not logged either: its error tells of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Final

from spantriage import text
from spantriage.model import Content, Step
from spantriage.sources import times
from spantriage.sources.massgen_kept import kept, said_of
from spantriage.sources.massgen_log import Happening, Log
from spantriage.sources.spans import BESIDE
from spantriage.sources.talk import Failure, fail, listed, mapping

__all__ = ["steps_of_replies"]

FAILED: Final = frozenset({"api_error", "fatal_api_error"})
WORKFLOW: Final = frozenset({"vote", "new_answer", "stop", "submit", "restart_orchestration", "ask_others", "checkpoint"})
MAX_ATTEMPTS: Final = 3
ATTEMPTS: Final = 2_000  # of one agent
TAKEN: Final = ("new_answer", "vote_cast", "vote_ignored", "final_answer")
TOLD: Final = {"answer_submitted": "new_answer", "vote": "vote_cast", "final_answer": "final_answer"}
OTHERS: Final = (
    "restart_triggered", "restart_completed", "final_agent_selected", "agent_stopped", "update_injected", "agent_timeout", "agent_error",
    "agent_cancelled",
)  # fmt: skip
GIVEN_UP: Final = (  # words of the error that an agent ends with after its last attempt
    ("both vote and new_answer", "vote_and_answer"), ("Cannot vote when no answers", "vote_no_answers"),
    ("Invalid agent_id", "invalid_vote_id"), ("Answer count limit", "answer_limit"), ("Answer novelty", "answer_novelty"),
    ("Duplicate answer", "answer_duplicate"),
)  # fmt: skip
VOTED_FOR: Final = re.compile(r"Invalid agent_id '([^']{1,60})'")
UNKNOWN: Final = re.compile(r"Unknown tool: ([\w.:/-]{1,100})")
MUST: Final = "You must use workflow tools"


def steps_of_replies(log: Log, root: Step, rounds: list[Step]) -> Iterator[Step]:
    """Model calls, what was said of their replies, and what happened around them, agent by agent."""
    for agent in dict.fromkeys(step.agent for step in rounds if step.kind == "agent"):
        own = [step for step in rounds if step.agent == agent and step.kind == "agent"]
        attempts = list(_attempts(log, root, agent or ""))
        attempts += _last_attempt(log, root, agent or "", attempts)
        taken = list(_taken(log, root, agent or ""))
        yield from attempts
        yield from taken
        yield from _unknown_tools(log, root, agent or "", attempts)
        yield from _model_calls(log, own, attempts, taken)
    for event in log.events:
        if event.kind in OTHERS:
            yield _event(log, root, event, {"event_type": event.kind, **_plain(event.context)})


def _attempts(log: Log, root: Step, agent: str) -> Iterator[Step]:
    reliability = mapping(log.agents.get(agent, {}).get("reliability"))
    failed: tuple[object, object] | None = None
    for number, told in enumerate(map(mapping, listed(reliability.get("enforcement_attempts"))[:ATTEMPTS])):
        when, reason = times.read(told.get("timestamp")) or root.end_ns, text.name(told.get("reason")) or "unknown"
        place = (told.get("round"), told.get("attempt"))
        step = log.step("event", f"enforcement: {reason}", when, when, agent, root, "enforcement", number)
        said = text.string(told.get("error_message"))
        voted = VOTED_FOR.search(said or "")
        preview = text.string(told.get("buffer_preview"))
        step.note = {
            BESIDE: True,
            "enforcement_reason": reason,
            "round": told.get("round"),
            "attempt": text.count(told.get("attempt")),
            "max_attempts": text.count(told.get("max_attempts")) or MAX_ATTEMPTS,
            "tool_calls": [text.clip(tool, 80) for tool in listed(told.get("tool_calls"))[:50] if type(tool) is str],
            "error_message": None if said is None else text.clip(said, 500),
            "buffer_preview": None if preview is None else text.clip(preview, 500),
            "buffer_chars": text.count(told.get("buffer_chars")) or 0,
            **({"vote": voted[1]} if voted is not None else {}),
            **({"follows_failure": True} if reason not in FAILED and place == failed else {}),
        }
        failed = place if reason in FAILED else failed
        yield step


def _last_attempt(log: Log, root: Step, agent: str, attempts: list[Step]) -> list[Step]:
    """The attempt after which the agent was out; where that was a failed call it is logged, and only has to be marked."""
    told = log.agents.get(agent, {})
    error = mapping(told.get("error"))
    said = text.string(error.get("message")) or text.string(told.get("error"))
    if said is None or "attempts" not in said:
        return []
    last = (attempts[-1].note or {}) if attempts else {}
    if last.get("enforcement_reason") not in FAILED and last.get("follows_failure"):
        last = (attempts[-2].note or {}) if len(attempts) > 1 else last
    if last.get("enforcement_reason") in FAILED and last.get("attempt") == last.get("max_attempts"):
        last["is_last_attempt"] = True
        return []
    known = next((reason for words, reason in GIVEN_UP if words in said), None)
    reason = known or last.get("enforcement_reason") or "no_workflow_tool"
    when = times.read(error.get("timestamp")) or root.end_ns
    step = log.step("event", f"enforcement: {reason}", when, when, agent, root, "enforcement", "last")
    step.note = {
        BESIDE: True,
        "enforcement_reason": str(reason),
        "round": last.get("round"),
        "attempt": (text.count(last.get("attempt")) or MAX_ATTEMPTS - 1) + 1,
        "max_attempts": last.get("max_attempts") or MAX_ATTEMPTS,
        "tool_calls": last.get("tool_calls") or [],
        "error_message": text.clip(said, 500),
        "buffer_preview": None,
        "buffer_chars": 0,
        "is_last_attempt": True,
        **({"vote": last["vote"]} if "vote" in last else {}),
    }
    return [step]


def _taken(log: Log, root: Step, agent: str) -> Iterator[Step]:
    """Answers and votes: as the coordination's log tells them, else the log of events, else the status."""
    found = list(islice(log.of(agent, *TAKEN), ATTEMPTS))
    said = log.told_of(agent, *TOLD)[:ATTEMPTS]
    found = found or [Happening(TOLD[e.kind], agent, e.when_ns, None, e.context) for e in said] or list(kept(log, agent))
    found = found or [event for event in log.tabled if event.agent == agent]
    for event in found:
        context = event.context
        note: dict[str, object] = {"event_type": event.kind}
        label = text.name(context.get("label") or context.get("answer_label"))
        if event.kind in ("new_answer", "final_answer"):
            near = [e for e in said if TOLD[e.kind] == event.kind and e.context.get("answer_label") in (label, None)]
            preview = next((e.context.get("content") for e in (*near, event)), None)
            note |= {"answer_label": label, "answer_preview": text.clip(preview, 2_000) if type(preview) is str else None}
        else:
            voted = context.get("voted_for") or context.get("target_id")
            note |= {"voted_for": text.name(voted), "voted_for_label": text.name(context.get("voted_for_label"))}
            note["reason"] = text.clip(text.string(context.get("reason")) or "", 2_000) or None
        yield _event(log, root, event, {key: value for key, value in note.items() if value is not None})
    if not found:
        yield from _from_status(log, root, agent)


def _from_status(log: Log, root: Step, agent: str) -> Iterator[Step]:
    told = log.agents.get(agent, {})
    when = times.read(told.get("last_activity")) or root.end_ns
    vote, label = mapping(told.get("vote_cast")), text.name(told.get("latest_answer_label"))
    if label is not None:
        yield _event(log, root, Happening("new_answer", agent, when, None, {}), {"event_type": "new_answer", "answer_label": label})
    if vote:
        note: dict[str, object] = {
            "event_type": "vote_cast",
            **{k: v for k in ("voted_for_agent", "voted_for_label") if (v := text.name(vote.get(k)))},
        }
        yield _event(log, root, Happening("vote_cast", agent, when, None, {}), note)


def _unknown_tools(log: Log, root: Step, agent: str, attempts: list[Step]) -> Iterator[Step]:
    """Tools that do not exist: as the log says, else those that were asked for, are none of the workflow's and never ran."""
    told = [(e.when_ns, name) for e in log.told_of(agent, "text") for name in _named(e.context.get("content"))][:ATTEMPTS]
    if not told and not log.told:
        told += [(root.end_ns, name) for name in _named(said_of(log, agent))]
    if not told and not log.told:
        ran = {name for each in log.agents.values() for name in mapping(mapping(each.get("tool_metrics")).get("by_tool"))}
        for step in attempts:
            note = step.note or {}
            if note.get("enforcement_reason") == "no_workflow_tool" and str(note.get("error_message") or MUST).startswith(MUST):
                told += [(step.end_ns, str(name)) for name in listed(note.get("tool_calls")) if name not in WORKFLOW and name not in ran]
    listed_there = mapping(log.agents.get(agent, {}).get("reliability")).get("unknown_tools")
    told += [(root.end_ns, n) for n in listed(listed_there)[:100] if type(n) is str and n not in {name for _, name in told}]
    for number, (when, name) in enumerate(told):
        step = log.step("workflow", f"tool {text.clip(name, 100)}", when, when, agent, root, "unknown", number)
        step.sign, step.result = "unknown_tool", f"Unknown tool: {text.clip(name, 100)}"
        step.note = {BESIDE: True}
        yield step


def _named(content: object) -> list[str]:
    return list(dict.fromkeys(UNKNOWN.findall(content))) if type(content) is str else []


def _model_calls(log: Log, rounds: list[Step], attempts: list[Step], taken: list[Step]) -> Iterator[Step]:
    """A call for each reply that something became of, from the one before it in its round."""
    replies = sorted([step for step in attempts if not (step.note or {}).get("follows_failure")] + taken, key=lambda step: step.end_ns)
    starts = sorted(rounds, key=lambda each: each.order)
    last_ns = 0
    for number, reply in enumerate(replies):
        index = bisect_right(starts, reply.end_ns, key=lambda each: each.start_ns) - 1
        if index < 0:
            continue
        at = starts[index]
        before, last_ns = max(at.start_ns, last_ns), reply.end_ns
        step = log.step("model", "model call", before, reply.end_ns, reply.agent, at, number)
        step.model, step.implied = text.name(log.models.get(reply.agent or "")), True
        note = reply.note or {}
        if note.get("enforcement_reason") in FAILED:
            fail(step, Failure(None, text.string(note.get("error_message"))))
        elif note.get("buffer_chars"):
            preview, chars = str(note.get("buffer_preview") or ""), int(str(note["buffer_chars"]))
            step.content = Content(text=preview if chars <= len(preview) else f"{preview}… ({chars - len(preview)} more)")
        yield step


def _event(log: Log, root: Step, event: Happening, note: dict[str, object]) -> Step:
    label = note.get("answer_label") or note.get("voted_for_label") or ""
    step = log.step("event", f"{event.kind} {label}".strip(), event.when_ns, event.when_ns, event.agent, root, event.kind, event.when_ns)
    step.note = note
    return step


def _plain(context: dict[str, object]) -> dict[str, object]:
    return {
        key: text.clip(value, 200) if type(value) is str else value for key, value in context.items() if type(value) in (str, int, bool)
    }
