"""tool.silent_failure"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage import text
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls
from spantriage.detectors.python_error import is_code_error
from spantriage.environment import trouble_of
from spantriage.model import Step, Verdict
from spantriage.requested import is_explained
from spantriage.state import AgentState


@dataclass(frozen=True, slots=True)
class SilentFailure(Detector):
    """A tool's span says OK, but its result says that it failed.

    ## Why it matters
    Dashboards and alerts count span status; a failure returned as text is invisible to them. Most frameworks return
    tool errors to the model this way.

    ## What to do
    Set the span's status where the tool returns an error value, or raise. Until then this finding is the record.

    ## When it is wrong
    A tool whose job is to report errors (a log search, a linter) may begin its result like a failure. Results are
    judged by their first 400 characters only, and counts of zero errors are harmless.
    """

    code = "tool.silent_failure"
    category = "tool_issue"
    subcategory = "error_non_recovery"
    score = 0.8
    actionable = "Raise, or set the span's error status, where the tool now returns its error as text."
    speaks_of = frozenset({"tool"})
    signs = frozenset({"silent_failure", "unknown_tool", "invalid_arguments"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each tool call whose result admits failure, unless that began with what the model asked for."""
        if step.failed or trouble_of(step) is not None or is_code_error(step) or is_explained(step, agent):
            return
        said = text.clip(" ".join((step.result or "").split()), 160)
        yield self.found(step, f"Tool {step.tool} returned a failure as its result, with span status OK", root_cause=said)

    fires_on = (
        (asks("weather"), calls("weather", result="Error: weather service unavailable (503)"), answers("sunny")),
        (asks("pay"), calls("pay", result='{"status": "error", "message": "card declined"}'), answers("paid")),
        (asks("save"), calls("save", result='{"success": false}'), answers("saved")),
    )
    quiet_on = (
        (asks("weather"), calls("weather", result="sunny"), answers("sunny")),
        (asks("check"), calls("check", result='{"error": null, "data": [1]}'), answers("fine")),
        (asks("lint"), calls("lint", result="0 errors, 2 warnings"), answers("clean")),
        (asks("read"), calls("read", result="Error handling in Python\n\nA guide to exceptions."), answers("read")),
    )
