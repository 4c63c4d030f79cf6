"""What an error text means: one ordered table, one name for each kind of failure.

A failed step's `sign` is one of these names; detectors are dispatched by it. No dialect carries an HTTP status
for a failed model call, so exception type and message are all the evidence there is.
"""

from __future__ import annotations

import re

from spantriage.model import Kind, Step

__all__ = ["FAILURES", "MODEL_FAILURES", "SIGNS", "is_failure", "name_failure", "read_result"]

# Ends of generators and loops that OpenTelemetry context managers record as exceptions; nothing failed.
NOT_FAILURES = frozenset({"GeneratorExit", "StopIteration", "StopAsyncIteration"})

# Ordered: the first pattern that matches "ExceptionType: message" names the failure.
# `\b` around numbers keeps "error 429" apart from "line 4290".
FAILURES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("cancelled", r"\bCancell?ed(Error)?\b|KeyboardInterrupt"),
        (
            "context_overflow",
            r"context.{0,3}(length|window|size)|maximum context|prompt is too long|input is too long"
            r"|too many (input )?tokens|ContextWindow|reduce the length of the messages",
        ),
        (
            "rate_limited",
            r"Rate.?Limit|\b429\b|too many requests|(quota|limit) (exceeded|reached)|insufficient_quota|ResourceExhausted"
            r"|exceeded your current quota|throttl",
        ),
        ("content_filtered", r"content.?filter|content management policy|ResponsibleAI|blocked by .{0,20}safety|SAFETY\b"),
        ("refusal", r"\bRefusal|ModelRefus|refused to (answer|comply|generate)"),
        (
            "step_limit",
            r"Recursion.?limit|GraphRecursion|Max(imum)?.?(Turns|Iterations|Steps|Calls|LLM)|UsageLimit|CallsLimit"
            r"|(request|tool.calls?|iteration|step|turn)s?_?.?limit|too many (steps|iterations|turns)|error_max_turns",
        ),
        (
            "authentication",
            r"Authentication|Unauthori[sz]ed|\b401\b|(invalid|incorrect|missing|expired).{0,12}(api.?key|credential|token)",
        ),
        ("timeout", r"time.?out|timed out|deadline exceeded|\b(408|504)\b"),
        (
            "connection",
            r"Connect(ion)?.?(Error|Refused|Reset|Aborted|Closed)|connection (error|refused|reset|aborted|closed|lost)"
            r"|peer closed|RemoteProtocol|incomplete chunked|server disconnected|name or service not known|network is unreachable"
            r"|SSL(Error|:)|broken pipe",
        ),
        (
            "unknown_tool",
            r"unknown (tool|function)|(not|n't) a valid tool|(tool|function) .{1,80}(not found|does not exist|is not (available|defined|registered))"
            r"|no (such )?(tool|function) (named|called|with name)|Action .{1,80} don'?t exist|(Tool|Function)NotFound|available tools:"
            r"|hallucinated tool",
        ),
        (
            "invalid_arguments",
            r"JSONDecodeError|validation errors? for|ValidationError|ToolRetry|invalid (json|argument|arguments|parameter|parameters|tool.?input)"
            r"|(malformed|unparsable|unparseable) (json|arguments?|tool)|unexpected keyword argument|missing \d+ required|field required"
            r"|required (property|argument|parameter|field)|(tool'?s|the) input schema|ToolCallError|Unterminated string",
        ),
        ("permission_denied", r"permission.?(denied|error)|access.?denied|\b403\b|forbidden|not permitted|not allowed to|EACCES"),
        ("out_of_memory", r"MemoryError|out of memory|OutOfMemory|OOM.?Kill|cannot allocate memory"),
        (
            "malformed_output",
            r"UnexpectedModelBehavior|ModelBehavior|(output|result|response) (validation|parsing)|OutputParser|could not parse (the )?(llm|model|output)"
            r"|exceeded max(imum)? .{0,12}retries|invalid (llm|model) (output|response)|malformed.function.call",
        ),
        (
            "provider_error",
            r"InternalServerError|ServerError|\b(500|502|503|529)\b|service.?unavailable|bad gateway|overloaded|server had an error"
            r"|APIStatusError|APIError|ModelHTTPError|ProviderError|internal error|LLM call failed|BadRequestError|\b400\b",
        ),
    )
)

MODEL_FAILURES = frozenset(
    {
        "context_overflow",
        "rate_limited",
        "content_filtered",
        "refusal",
        "authentication",
        "timeout",
        "connection",
        "malformed_output",
        "provider_error",
    }
)
# A tool's own 429 or 500 is the tool's error, not the model provider's.
TOOL_FAILURES = frozenset({"cancelled", "unknown_tool", "invalid_arguments", "permission_denied", "out_of_memory"})
# A step limit or a cancelled task is never the doing of one model call.
STEP_FAILURES = frozenset(name for name, _ in FAILURES)

SIGNS = frozenset({"ok", "error", "silent_failure", *STEP_FAILURES})
_READ = 2_000  # characters of an error text that are looked at


def name_failure(kind: Kind, error_type: str | None, message: str | None) -> str:
    """Name the failure that an exception type and message tell of; "error" when the table does not know it."""
    text = f"{error_type or ''}: {message or ''}"[:_READ]
    allowed = TOOL_FAILURES if kind == "tool" else STEP_FAILURES
    for name, pattern in FAILURES:
        if name in allowed and pattern.search(text):
            return name
    return "error"


def is_failure(error_type: str | None) -> bool:
    """Say whether an exception of this type means that something failed (the end of a generator does not)."""
    return error_type not in NOT_FAILURES


# How tool results say "I failed" while the span says OK. Prefixes are compared with the lower-cased head.
_PREFIXES = (
    "error", "[error", "<error", "exception", "traceback (most recent", "failed to ", "failure:", "fatal:", "http error",
    "tool error", "tool execution error", "unable to ", "could not ", "invalid ", "unknown tool", "permission denied",
    "access denied", "command not found", "no such file", "timed out", "timeout", "encountered error", "an error occurred",
    "execution failed", "unexpected error", "internal server error", "service unavailable", "bad gateway", "connection refused",
    "validation error", "1 validation error", "bash: ", "sh: ", "validationerror", "valueerror", "typeerror", "keyerror",
)  # fmt: skip
_JSON_MARKS = ("error", "fail", "success", "status", '"ok"')
_JSON_FAILURE = re.compile(
    r'"(?:error|errors|exception|error_message)"\s*:\s*+(?!null|""|\[\]|\{\}|false|0\b|"none")'
    r'|"(?:success|succeeded|ok|successful)"\s*:\s*false'
    r'|"(?:is_?error|failed)"\s*:\s*true'
    r'|"(?:status|state|result|outcome)"\s*:\s*"(?:error|failed|failure|exception)"'
    r'|"(?:status_?code|http_?status|code)"\s*:\s*"?[45]\d\d\b',
    re.IGNORECASE,
)
# A head that begins like a failure but reports success or a count of none.
_HARMLESS = re.compile(r"^(errors?|failures?|exceptions?)\s*(\(s\))?\s*[:=]?\s*(0|none|no|null|\[\])\b|^error(-| )free|^invalid (0|none)\b", re.IGNORECASE)
# Prose that merely begins with such a word ("Errors in judgement are ...") has no colon, bracket or number near it.
_PROSE = re.compile(r"^(error|errors|exception|exceptions|invalid|timeout|could not|unable to)\s+[a-z]+\s+[a-z]+", re.IGNORECASE)
_SAYS_SO = re.compile(r"[:!\[(]|\b\d{3}\b|occurred|while|executing|reading|not found|denied|failed|failure", re.IGNORECASE)
_HEAD = 400


def read_result(text: str) -> str | None:
    """Name the failure that a tool's result text admits to, or None when it reads like success.

    Looks at the first 400 characters only: a long document that mentions errors is a result, not a failure.
    """
    head = text[:_HEAD].lstrip().lower()
    if not head:
        return None
    if head[0] in "{[":
        if not any(mark in head for mark in _JSON_MARKS) or not _JSON_FAILURE.search(head):
            return None if head[0] != "[" or not head.startswith("[error") else _name_text(text)
        return _name_text(text)
    if head[0] in "\"'`":
        head = head[1:]
    if not head.startswith(_PREFIXES) or _HARMLESS.match(head):
        return None
    if _PROSE.match(head) and not _SAYS_SO.search(head[:120]):
        return None
    return _name_text(text)


def _name_text(text: str) -> str:
    name = name_failure("tool", None, text[:_HEAD])
    return name if name in ("unknown_tool", "invalid_arguments", "permission_denied") else "silent_failure"


def is_error(step: Step) -> bool:
    """Say whether the step failed, loudly or silently."""
    return step.failed or step.sign in SIGNS and step.sign != "ok"
