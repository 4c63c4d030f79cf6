"""tool.error"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.detectors.python_error import is_code_error
from spantriage.environment import trouble_of
from spantriage.model import Step, Verdict
from spantriage.requested import is_explained
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class ToolError(Detector):
    """A tool call failed: its span has an error status.

    ## Why it matters
    The agent did not get what it asked for. It may recover by another way, repeat the call, or go on as if it had
    the answer; the last of these is what turns a tool error into a wrong result.

    ## What to do
    Read the exception in the evidence. Return errors to the model as text that says what to change, and retry
    transient ones below the model, where they cost no tokens.

    ## When it is wrong
    Tools that raise to signal an expected outcome ("not found", "please retry") are recorded as failed all the same.
    A failure that began with the request is tool.unknown or tool.invalid_arguments instead, at the model call; an
    exception of Python code that the tool was given to run is python.error, and the failure of the place where it runs
    (a full disk, a dead container) is infra.error.
    """

    code = "tool.error"
    category = "tool_issue"
    subcategory = "error_non_recovery"
    actionable = "Handle the tool's error where it happens, or tell the model in its result what to change."
    speaks_of = frozenset({"tool"})
    signs = frozenset({"error", "timeout", "connection", "out_of_memory", "malformed_output", "unknown_tool", "invalid_arguments"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each failed tool span, unless the failure began with what the model asked for."""
        if step.failed and trouble_of(step) is None and not is_code_error(step) and not is_explained(step, agent):
            kind = step.error_type or "an error"
            yield self.found(step, f"Tool {step.tool} failed with {kind}", root_cause=step.error_message, reason=step.error_type)

    fires_on = (
        (asks("search"), fails(calls("search"), "ValueError", "service down"), answers("sorry")),
        (asks("fetch"), fails(calls("fetch"), "httpx.ReadTimeout", "timed out"), answers("sorry")),
        (asks("load"), fails(calls("load", '{"id": 1}'), "JSONDecodeError", "Expecting value: line 3 column 1"), answers("sorry")),
    )
    quiet_on = (
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (asks("grep"), calls("grep", result="line 7: raise ValueError('error')"), answers("done")),
        (asks("count"), calls("count", result="Errors: 0"), answers("done")),
    )
