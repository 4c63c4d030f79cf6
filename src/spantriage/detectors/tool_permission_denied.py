"""tool.permission_denied"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage import text
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.model import Step, Verdict
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class PermissionDenied(Detector):
    """A tool was not allowed to do what it was asked for.

    ## Why it matters
    Neither the model nor another attempt can change a missing right. Agents that are refused look for a way round,
    repeat the call, or go on without what they needed.

    ## What to do
    Grant the right, or take the tool away from this agent and say in its instructions what it may not do. When the
    refusal is intended, let the tool's answer say what the agent should do instead.

    ## When it is wrong
    A refusal may be the test that the agent was sent to make, and a guard that refuses dangerous commands does its job.
    A page that a web server forbids (403) counts, although the right lies with somebody else.
    """

    code = "tool.permission_denied"
    category = "tool_issue"
    subcategory = "environment_mismatch"
    actionable = "Grant the tool the right it lacks, or do not offer it to this agent."
    speaks_of = frozenset({"tool"})
    signs = frozenset({"permission_denied"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each refused call, whether its span failed or its result says so."""
        said = step.error_message if step.failed else step.result
        yield self.found(
            step,
            f"Tool {step.tool} was refused permission" + ("" if step.failed else ", with span status OK"),
            root_cause=text.clip(" ".join((said or "").split()), 160) or None,
            reason=step.error_type,
            score=None if step.failed else 0.8,
        )

    fires_on = (
        (asks("write"), fails(calls("write"), "PermissionError", "[Errno 13] Permission denied: '/etc/hosts'"), answers("sorry")),
        (asks("bash"), calls("bash", result="bash: /opt/deploy.sh: Permission denied"), answers("sorry")),
        (
            asks("fetch"),
            fails(calls("fetch"), "HTTPStatusError", "Client error '403 Forbidden' for url 'https://example.org'"),
            answers("sorry"),
        ),
    )
    quiet_on = (
        (asks("read"), calls("read", result="Permissions: rw-r--r-- notes.txt"), answers("done")),
        (asks("search"), calls("search", result="How to fix 'permission denied' on Linux: use chmod."), answers("done")),
        (asks("write"), fails(calls("write"), "OSError", "No space left on device"), answers("sorry")),
    )
