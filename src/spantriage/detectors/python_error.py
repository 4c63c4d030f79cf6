"""python.error"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails, span
from spantriage.environment import trouble_of
from spantriage.failures import CODE_ERRORS
from spantriage.model import Step, Verdict
from spantriage.requested import is_explained
from spantriage.state import AgentState

_READ: Final = 4_000  # characters of an error text that are looked at
_TOOL: Final = re.compile(
    r"(^|[_.\-/])(i?python\d?|code_?interpreter|(execute|run|exec)_?code|code_?execution|jupyter\w*)($|[_.\-/])", re.IGNORECASE
)
_TRACEBACK: Final = "Traceback (most recent call last)"
_RAISED: Final = re.compile(r"\b((?:[A-Za-z_]\w*\.){0,6}[A-Z]\w{1,60}(?:Error|Exception|Interrupt|Exit))\b(?:[:(]\s*([^\n]{0,300}))?")
_AGENT_CODE: Final = re.compile(r"Code execution failed at line.{0,500}? due to: ", re.DOTALL)
# Exceptions of Python's own that wrap anything: they speak of code only where no other name was found for the failure.
_WRAPPERS: Final = frozenset(
    {"Exception", "BaseException", "ValueError", "RuntimeError", "OSError", "IOError", "EOFError", "ExceptionGroup"}
)

# Ordered: the first row one of whose patterns is found in "ExceptionType: message" is the reason; what none knows is "other".
_TABLE: Final = (
    ("syntax", r"SyntaxError", r"IndentationError", r"TabError", r"invalid syntax", r"unterminated (string|triple)", r"unexpected indent"),
    ("missing_dependency",
     r"ModuleNotFound", r"ImportError", r"no module named", r"cannot import name", r"import (of|from) .{1,80}not allowed"),
    ("misaligned_arrays",
     r"broadcast", r"not aligned", r"length mismatch", r"shape mismatch", r"length of (values|index)", r"shapes .{1,60} (mismatch|not)",
     r"(same|inconsistent|equal) (length|shape|size|numbers? of (samples|rows))", r"lengths? (must|do not|don't) match"),
    ("dtype_mismatch",
     r"not supported between instances", r"unsupported operand", r"(could not|cannot) convert", r"invalid (comparison|literal for)",
     r"dtype", r"can(no|')t compare", r"conversion ?(error|exception)", r"type ?mismatch", r"cannot be cast", r"can only concatenate"),
    ("missing_column",
     r"KeyError", r"Binder ?(Error|Exception)", r"not in index", r"ColumnNotFound", r"UndefinedColumn", r"no such (column|table)",
     r"column .{1,80}(not found|does not exist|missing)", r"Catalog ?(Error|Exception)"),
    ("api_misuse",
     r"unexpected keyword", r"positional argument", r"missing \d+ required", r"multiple values for", r"not callable", r"AttributeError",
     r"has no attribute", r"NotImplementedError", r"not subscriptable", r"not iterable", r"unhashable"),
    ("empty_data",
     r"\bempty\b", r"IndexError", r"out of (bounds|range)", r"no objects to concatenate", r"zero-size", r"NameError", r"is not defined",
     r"UnboundLocal", r"ZeroDivision", r"NoneType"),
)  # fmt: skip
BUCKETS: Final = tuple((name, re.compile("|".join(patterns), re.IGNORECASE)) for name, *patterns in _TABLE)


@dataclass(frozen=True, slots=True)
class PythonError(Detector):
    """Python code failed: what the agent wrote and ran, or the program's own code in a step of its workflow.

    ## Why it matters
    The same few mistakes come back in every run: a column that is not there, strings compared with numbers, a library
    that is not installed. `reason` says which: api_misuse, missing_column, dtype_mismatch, empty_data,
    misaligned_arrays, missing_dependency, syntax or other.

    ## What to do
    Fix the frequent ones in one place: show the agent the columns and types before it writes code, install the library
    or say that it is missing, turn a bare exception into a message that says what to change.

    ## When it is wrong
    Agents that explore data by trial raise on purpose and read the message. Which tools run Python is told by their
    names; an ordinary tool that raises is `tool.error`.
    """

    code = "python.error"
    category = "tool_issue"
    subcategory = "environment_mismatch"
    actionable = "Tell the agent what its code can rely on (columns, types, libraries), or fix the step that raised."
    speaks_of = frozenset({"tool", "workflow", "other"})
    signs = frozenset({"error", "silent_failure", "invalid_arguments", "out_of_memory"})

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """Speak once for each piece of code that failed."""
        if not is_code_error(step) or (step.kind == "tool" and is_explained(step, agent)):
            return
        kind, said = exception_of(step)
        where = f"run by {step.tool}" if step.kind == "tool" else f"of step {step.name}"
        yield self.found(step, f"Python code {where} failed with {kind or 'an error'}", root_cause=said, reason=bucket(kind, said))

    fires_on = (
        (asks("execute_python"), fails(calls("execute_python"), "KeyError", "'ts_code'"), answers("no data")),
        (
            asks("python"),
            calls("python", result="Traceback (most recent call last):\n  File ...\nModuleNotFoundError: No module named 'scipy'"),
        ),
        (
            asks("tool_execute_python"),
            calls("tool_execute_python", result='{"success": false, "error": "BinderException: no column ts_code"}'),
        ),
        (fails(span("workflow", "worker"), "RuntimeError", "node b exploded"), answers("done")),
        (
            fails(span("workflow", "Step 2"), "AgentExecutionError", "Code execution failed at line 'x' due to: InterpreterError: no x"),
            asks("x"),
        ),
    )
    quiet_on = (
        (asks("execute_python"), calls("execute_python", result="42"), answers("42")),
        (asks("search"), fails(calls("search"), "KeyError", "'city'"), answers("sorry")),
        (
            asks("execute_python"),
            fails(calls("execute_python"), "ValidationError", "1 validation error for execute_python\ncode\n  Field required"),
        ),
        (asks("execute_python"), calls("execute_python", result="0 errors; ValueError was handled"), answers("fine")),
        (fails(span("workflow", "load"), "GraphError", "no edge from planner"), answers("done")),
        (fails(span("workflow", "call"), "ValueError", "Invalid response from LLM call - None or empty."), answers("done")),
    )


def is_code_error(step: Step) -> bool:
    """Say whether what failed is Python code: the agent's, run by a tool, or the program's own in a step of a workflow.

    `python.error`, `tool.error`, `tool.silent_failure` and `flow.error` are kept apart by this: one failure, one claim.
    """
    if trouble_of(step) is not None:
        return False
    if step.kind == "tool":
        return _is_tool_error(step)
    if not step.failed or step.sign != "error" or step.kind not in ("workflow", "other"):
        return False
    kind, _ = exception_of(step)
    return kind in CODE_ERRORS or kind in _WRAPPERS or _AGENT_CODE.search(step.error_message or "") is not None


def _is_tool_error(step: Step) -> bool:
    if step.tool is None or step.sign not in PythonError.signs:
        return False
    said = (step.result or "")[:_READ]
    if _TOOL.search(step.tool) is None:  # a shell that ran a script, say
        return not step.failed and said.lstrip().startswith(_TRACEBACK)
    if step.failed:  # arguments that do not fit the tool's own schema are a mistake of the call, not of the code
        return f"for {step.tool}" not in (step.error_message or "")
    return _TRACEBACK in said or '"success"' in said or _RAISED.search(said) is not None


def exception_of(step: Step) -> tuple[str | None, str]:
    """The exception's type and message: the step's own, else the last one that its text names."""
    said = (step.error_message if step.failed else step.result) or ""
    kind = step.error_type if step.error_type not in ("Exception", "AgentExecutionError") else None
    if kind is not None and _TRACEBACK not in said:
        return kind, said
    inner = _AGENT_CODE.sub("", said[:_READ])
    head, _, trace = inner.partition(_TRACEBACK)
    raised = _RAISED.search(head) or next(reversed(list(_RAISED.finditer(trace.replace("\\n", "\n")))), None)
    if raised is None:
        return kind or step.error_type, said
    kind, words = raised[1].rpartition(".")[2], raised[2] or ""
    if raised[0].startswith(f"{raised[1]}("):  # "RuntimeError('node b exploded')"
        words = words.strip("'\"").rpartition(")")[0].strip("'\"") or words
    return kind, words.rstrip('"}') or said


def bucket(kind: str | None, said: str) -> str:
    """The kind of mistake that an exception tells of; "other" when none of the patterns knows it."""
    text = f"{kind or ''}: {said}"[:_READ]
    return next((name for name, pattern in BUCKETS if pattern.search(text)), "other")
