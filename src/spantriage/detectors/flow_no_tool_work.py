"""flow.no_tool_work"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, calls, span
from spantriage.model import Step, ToolCall, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState

READ: Final = 4_000
_DEED: Final = (
    r"(?:start|begin|help|create|read|check|analy[sz]e|run|explore|use|perform|set|verify|examine|look|install|download|implement|fix|find|search|write"
    r"|build|test|inspect|review|list|open|fetch|get|configure|diagnose|recover|investigate|break|complete|transform|prepare|transcribe|encrypt)"
)
# What an agent says before it goes to work, and what it says when it claims to have worked.
_ANNOUNCES: Final = re.compile(
    rf"\b(?:let me|I'll|I will|I'm going to|I am going to)(?: now| first| then| also)? {_DEED}\b|\bfirst,? (?:let's|let me|I'll|I will)\b"
    rf"|\bhere(?:'s| is) (?:the|my|a) (?:step-by-step )?plan\b|\bfollow these steps\b",
    re.IGNORECASE,
)
_CLAIMS: Final = re.compile(
    r"\bI(?:'ve| have)(?: now| successfully| just)? (?:created|implemented|fixed|updated|installed|configured|written|saved|deployed"
    r"|run|executed|tested|searched|downloaded"
    r"|booked|sent|deleted|added)\b",
    re.IGNORECASE,
)
# Tasks that words alone cannot do: they name files, machines or programs, and tell to do something with them.
_TO_DO: Final = re.compile(
    r"\b(?:create|implement|fix|install|set up|configure|run|start|download|build|deploy|write|compile|encrypt|prepare|merge|transform"
    r"|train|push|execute|move|rename|delete)\b",
    re.IGNORECASE,
)
_WORLD: Final = re.compile(
    r"(?:^|[\s`'\"(])(?:~|\.{0,2})/[\w.-]+|\b[\w-]+\.(?:py|sh|c|cpp|js|ts|md|txt|csv|json|ya?ml|html|v|iso|toml|sql|ipynb|tar|gz)\b|`[^`]{2,80}`"
    r"|\b(?:folder|director(?:y|ies)|repositor(?:y|ies)|file|server|bucket|database|container|script|branch|command|package"
    r"|virtual machine|vm)s?\b",
    re.IGNORECASE,
)


def _given(task: str, reply: str, **fields: Any) -> Step:
    step = answers(reply, **fields)
    assert step.content is not None
    step.content.task = task
    return step


@dataclass(frozen=True, slots=True)
class NoToolWork(Detector):
    """An agent was given something to do, said that it would or that it had, and ended without a single tool call.

    `reason` is "announced" (its last words are a plan, and nothing followed) or "claimed" (it says that it has done it).

    ## Why it matters
    The run ends well by every status, and nothing was done. Models do this when their tools are missing from the
    request, when they write a call as text, or when they take the question for one about how it could be done.

    ## What to do
    See whether the tools were in the request. Ask for a tool call (`tool_choice`) in the first turn, and treat an answer
    without any as unfinished.

    ## When it is wrong
    Where tools leave no spans and no messages, work cannot be seen. An agent without tools whose task is to write a plan
    speaks in the same way; without declared tools the task itself must name files or machines and what to do with them.
    """

    code = "flow.no_tool_work"
    category = "model_logic"
    subcategory = "incomplete"
    kind = "outcome"
    severity = "error"
    score = 0.7
    actionable = "See whether the tools were in the request, and ask for a tool call in the first turn."
    tier = "run"

    turns: int = 2
    """Up to how many model calls: who talks for longer has a conversation."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of a run in which models were called, and nothing else happened."""
        if settled.truncated or settled.dead is not None or any(_is_work(step) for step in settled.sequence):
            return
        models = [step for step in settled.sequence if step.kind == "model"]
        if not 0 < len(models) <= self.turns or any(step.content is None or step.content.requested or step.failed for step in models):
            return
        last = models[-1]
        content = last.content
        if content is None or not content.text or last.finish not in ("stop", None) or not _has_task(settled):
            return
        said = content.text[:READ]
        reason = "claimed" if _CLAIMS.search(said) else "announced" if _ANNOUNCES.search(said) else None
        if reason is not None:
            did = "says that it has done its task" if reason == "claimed" else "announced what it would do"
            yield self.found(last, f"{last.agent} {did}, and called no tool at all", reason=reason, wasted=models)

    fires_on = (
        (_given("Set up a git server at git@localhost:/git/project.", "I'll help you set up a server. Here's the plan:\n1. Install git"),),
        (_given("Fix the incomplete proof in the file plus_comm.v.", "Let me read the file first."),),
        (_given("Create a bucket named sample.", "I have created the bucket and set it to public read."),),
        (_given("Write the report and run the checks.", "I'll write the report now.", declared={"write": None}),),
    )
    quiet_on = (
        (
            _given("Set up a git server at /git/project.", "I'll look.", requested=[ToolCall("bash", "c1", "{}", True)]),
            calls("bash", result="ok"),
            answers("done"),
        ),
        (_given("What is the capital of France?", "Let me check my notes: it is Paris."),),
        (_given("Write a poem about files.", "Files in rows, a quiet choir"),),
        (_given("How do I rename a branch?", "Use `git branch -m`."),),
        (_given("Fix app.py.", "I'll fix it now."), span("workflow", "run code"), answers("done")),
        (agent("chat"), *(_given("Set up /srv for me.", "Let me check. Which port?") for _ in range(4))),
    )


def _is_work(step: Step) -> bool:
    """Whether something other than a model call happened: a tool, a workflow's own step, another agent's turn, a log of one."""
    return step.kind in ("tool", "retrieval", "event") or (step.kind in ("workflow", "other") and step.agent_span_id is not None)


def _has_task(settled: Settled) -> bool:
    """Whether there is something to do: by the tools that were offered together with the task, or by the task alone."""
    contents = [step.content for step in settled.sequence if step.content is not None]
    task = next((content.task for content in contents if content.task), "")
    return bool(_TO_DO.search(task)) and (any(content.declared for content in contents) or bool(_WORLD.search(task)))
