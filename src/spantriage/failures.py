"""What an error text means: one ordered table, one name for each kind of failure.

A failed step's `sign` is one of these names; detectors are dispatched by it. No dialect carries an HTTP status
for a failed model call, so exception type and message are all the evidence there is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from spantriage.model import Kind

__all__ = [
    "CODE_ERRORS",
    "FAILURES",
    "HOSTS",
    "SIGNS",
    "is_failure",
    "name_failure",
    "read_result",
    "said",
]

# Ends of generators and loops that OpenTelemetry context managers record as exceptions; nothing failed.
NOT_FAILURES: Final = frozenset({"GeneratorExit", "StopIteration", "StopAsyncIteration"})
# Steps that are neither a model's call nor a tool's: what they fail with may be anybody's.
HOSTS: Final[frozenset[Kind]] = frozenset({"agent", "workflow", "retrieval", "guardrail", "setup", "other"})
# Mistakes in code: whatever words the message holds, they are not a provider's. As tool errors they may be bad arguments.
CODE_ERRORS: Final = frozenset(
    (
        "TypeError", "KeyError", "NameError", "UnboundLocalError", "AttributeError", "IndexError", "LookupError", "ZeroDivisionError",
        "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "AssertionError", "NotImplementedError",
        "RecursionError", "ArithmeticError", "OverflowError", "UnicodeDecodeError", "UnicodeEncodeError", "FileNotFoundError",
    )
)  # fmt: skip


def _status(codes: str) -> str:
    """A pattern for HTTP statuses that are said to be statuses: not "line 429", not "section 429 of the report"."""
    return (
        rf"(?:(?:error|status|http|code)\W{{0,3}}(?:code|error|status|1\.[01]|2)?\W{{0,4}}|^[\w.]*: \W{{0,2}}|\()(?:{codes})\b(?!\.\d)"
        rf"|\b(?:{codes})\b[\s:,_-]{{1,3}}(?:too many|client|server|unauthori|forbidden|bad |internal|service|gateway|resource|rate|error)"
        rf"|(?:returned|responded with|received|got) (?:a |an )?(?:{codes})\b"
    )


_NAMED: Final = r"(tool|function) ((named?|called|with( the)? name) )?['\"`]?(?!(was|is|are|could|call) )[\w.:/-]{1,80}['\"`]?"
# Ordered: the first row one of whose patterns is found in "ExceptionType: message" names the failure.
_TABLE: Final = (
    ("error", r"^\w*: ?(Error:\s*)?Code execution failed at line"),  # what follows are words of the code that the agent wrote
    ("cancelled",
     r"^\W*(\w+\.)*Cancell?ed(Error)?\b", r"\bCancelledError\b", r"KeyboardInterrupt", r"^Abort(ed)?Error\b", r"^(\w*: )?Abandoned\b",
     r"\b(task|run|request|operation|execution|call|stream) (was|has been|got)? ?(cancell?ed|aborted by (the )?user)"),
    ("budget_exceeded",
     r"Budget.?Exceeded", r"\bbudget (has been |was |is )?(exceeded|exhausted|used up|spent)", r"exceed\w* .{0,30}\bbudget\b",
     r"(tokens?|cost|spend|usd)_limit of"),
    ("rate_limited",
     r"Rate.?Limit", r"too many requests", r"insufficient_quota", r"Resource.?Exhausted", r"exceeded your current quota", r"Throttl",
     r"tokens per (min|day)", _status("429")),
    ("truncated_output",
     r"MaxTokensReached", r"LengthFinishReason", r"IncompleteToolCall", r"Model token limit", r"due to maximum token limit",
     r"(length|max_tokens|output token) limit was reached", r"finish.?reason\W{1,5}(length|max_tokens)", r"reason='max_output_tokens'"),
    ("context_overflow",
     r"context.{0,3}(length|window|size)", r"maximum (context|model|prompt|input) length", r"(prompt|input) is too long", r"ContextWindow",
     r"too many (input )?tokens", r"input token count.{0,40}exceeds", r"reduce the length of the messages",
     r"exceeds? the maximum number of tokens"),
    ("content_filtered",
     r"content.?filter", r"content management policy", r"ResponsibleAI", r"ContentPolicy", r"finish.?reason\W{1,5}SAFETY",
     r"blocked (by|due to|because of) .{0,30}(safety|policy|guardrail)", r"safety (filter|system|setting|reason)",
     r"prompt was (flagged|blocked)", r"violat\w+ our (usage|content) polic"),
    ("refusal", r"\bRefusal", r"ModelRefus", r"refused to (answer|comply|generate|produce)"),
    ("step_limit",
     r"Recursion.?limit", r"GraphRecursion", r"UsageLimitExceeded", r"CallsLimit", r"Max(imum)?(Turns|Iterations|Steps)",
     r"max(imum)?[ _-](number of )?((llm|model|agent|tool)[ _-])?(turns|iterations|steps|calls|requests|rounds)\b",
     r"(tool.?call|iteration|step|turn)s?[_ ]limit", r"too many (steps|iterations|turns)"),
    ("rate_limited",
     r"(quota|(rate|usage|spend\w*|request|capacity) limits?) .{0,12}(exceeded|reached|exhausted)", r"reached your .{0,20}usage limit"),
    ("authentication",
     r"Authentication", r"Unauthori[sz]ed", r"api.?key .{0,30}(required|missing|invalid|must be set|not (set|found|valid|provided))",
     r"(invalid|incorrect|missing|expired|no) .{0,12}(api.?key|credential|(access|auth\w*|api|bearer) token)", _status("401")),
    ("timeout",
     r"Time.?out(Error|Exception|Expired)", r"(Read|Write|Connect|Pool)Timeout", r"timed out", r"deadline.?exceeded",
     r"^[\w.]*: \W?time.?out\b", r"(request|read|connect|connection|operation|gateway|call|execution|response) time.?out",
     r"time.?out (exceeded|expired|reached|of|after|while|error|waiting)", _status("408|504")),
    ("connection",
     r"Connect(ion)?.?(Error|Refused|Reset|Aborted|Closed)", r"connection (lost|broken|terminated)", r"peer closed", r"RemoteProtocol",
     r"incomplete chunked", r"server disconnected", r"name or service not known", r"name resolution", r"network is unreachable",
     r"SSL(Error|:)", r"broken.?pipe", r"RPC failed", r"socket hang up"),
    ("unknown_tool",
     r"(unknown|unavailable|unrecogni[sz]ed|hallucinated) (tool|function)", r"(not|n't) a valid tool", r"(Tool|Function)NotFound",
     r"available tools:", r"(tool|function) not (found|available|registered)", r"Action .{1,80} don'?t exist",
     r"no (such )?(tool|function) (named|called|with( the)? name|available)",
     rf"{_NAMED} ?(was |is |could )?not (be )?(found|available|defined|registered|known|exist)", rf"{_NAMED} does(n't| not) exist"),
    ("invalid_arguments",
     r"JSONDecodeError(?!: Expecting value: line 1 column 1 \(char 0\))", r"validation errors? for", r"ValidationError", r"ToolCallError",
     r"invalid (json|argument|arguments|parameter|parameters|tool.?input)", r"(malformed|unparse?able) (json|arguments?|tool)",
     r"Unterminated string", r"unexpected keyword argument", r"missing \d+ required", r"field required",
     r"required (property|argument|parameter|field)", r"(tool'?s|the) input schema", r"arguments? parsing failed"),
    ("permission_denied",
     r"permission.?(denied|error)", r"access.?(is )?denied", r"forbidden", r"not permitted", r"not allowed to", r"EACCES", _status("403")),
    ("authentication", r"permission.?denied", r"access.?denied", r"forbidden", _status("403")),  # a provider's
    ("out_of_memory", r"MemoryError", r"out of memory", r"OutOfMemory", r"OOM.?Kill", r"cannot allocate memory"),
    ("malformed_output",
     r"UnexpectedModelBehavior", r"ModelBehavior", r"AgentParsing", r"OutputParser", r"(output|result|response) (validation|parsing)",
     r"malformed.function.call", r"could not parse (the )?(llm|model|output)", r"pars\w+ .{0,24}(model|llm) output", r"tool_use_failed",
     r"exceeded max(imum)? .{0,12}retries", r"invalid (llm|model) (output|response)", r"invalid response from (the )?(llm|model)"),
    ("provider_error",
     r"ServerError", r"service.?unavailable", r"bad.?gateway", r"overloaded", r"server had an error", r"API(Status|Response)?Error",
     r"ModelHTTPError", r"ProviderError", r"internal (server )?error", r"LLM call failed", r"BadRequest", r"NotFoundError",
     r"UnprocessableEntity", r"CUDA", r"out of memory", _status("400|404|409|422|500|502|503|529")),
)  # fmt: skip
FAILURES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (name, re.compile("|".join(patterns), re.IGNORECASE)) for name, *patterns in _TABLE
)

_NAMES: Final = frozenset(name for name, _ in FAILURES)
# A tool's own 429 or 500 is the tool's error, not the model provider's; a model call has no arguments to get wrong.
_OF_TOOLS: Final = frozenset({"cancelled", "unknown_tool", "invalid_arguments", "permission_denied", "out_of_memory"})
_OF_MODELS: Final = _NAMES - {"unknown_tool", "invalid_arguments", "permission_denied", "out_of_memory"}
SIGNS: Final = frozenset({"ok", "error", "silent_failure", *_NAMES})
_TRACEBACK: Final = "Traceback (most recent call last)"
_READ: Final = 700  # characters of an error text that are looked at


@lru_cache(maxsize=1_024)  # one failure is met again at every span that passes it on
def name_failure(kind: Kind, error_type: str | None, message: str | None) -> str:
    """Name the failure that an exception type and message tell of; "error" when the table does not know it."""
    if error_type in CODE_ERRORS and kind in HOSTS:
        return "error"
    text = said(error_type, message)
    allowed = _OF_TOOLS if kind == "tool" else _OF_MODELS if kind == "model" else _NAMES
    for name, pattern in FAILURES:
        if name in allowed and pattern.search(text):
            return name
    return "error"


def said(error_type: str | None, message: str | None) -> str:
    """An error's type and message, without a traceback's file names; of a traceback that stands alone, the last line."""
    head, _, trace = (message or "")[:_READ].partition(_TRACEBACK)
    return f"{error_type or ''}: {head if head.strip() else trace.rstrip().rpartition(chr(10))[2]}"


def is_failure(error_type: str | None) -> bool:
    """Say whether an exception of this type means that something failed (the end of a generator does not)."""
    return error_type not in NOT_FAILURES


# How tool results say "I failed" while the span says OK. Prefixes are compared with the lower-cased head.
_PREFIXES: Final = (
    "error", "[error", "<error", "exception", "traceback (most recent", "failed to ", "failure:", "fatal:", "http error",
    "tool error", "tool execution error", "unable to ", "could not ", "invalid ", "unknown tool", "permission denied",
    "access denied", "command not found", "no such file", "timed out", "timeout", "encountered error", "an error occurred",
    "execution failed", "unexpected error", "internal server error", "service unavailable", "bad gateway", "connection refused",
    "validation error", "1 validation error", "bash: ", "sh: ", "validationerror", "valueerror", "typeerror", "keyerror",
    "tool not found", "no such tool", "unknown function", "function not found", "argument parsing failed",
)  # fmt: skip
_JSON_MARKS: Final = ("error", "fail", "success", "status", "exception", '"ok"', '"code"')
_JSON_FAILURE: Final = re.compile(
    r'"(?:error|errors|exception|error_message)"\s*:\s*+(?!null|""|\[\]|\{\}|false|0\b|-?\d+\.\d|"none"|"no error)'
    r'|"(?:success|succeeded|ok|successful)"\s*:\s*false'
    r'|"(?:is_?error|failed)"\s*:\s*true'
    r'|"(?:status|state|result|outcome)"\s*:\s*"(?:error|failed|failure|exception)"'
    r'|"(?:status_?code|http_?status)"\s*:\s*"?[45]\d\d\b|"code"\s*:\s*"?[45]\d\d"?\s*,\s*"(?:message|error|status)"',
    re.IGNORECASE,
)
_WRAPPED: Final = re.compile(r'^[\[{]\s*\{?\s*(?:"content"\s*:\s*\[\s*\{\s*)?(?:"type"\s*:\s*"text"\s*,\s*)?"text"\s*:\s*"')  # MCP
_BOXED: Final = re.compile(r'^\{\s*"(?:result|output)"\s*:\s*"')  # ADK and FastMCP make an object of a text
_NESTED: Final = re.compile(r'^\{\s*"(?:result|results|response|output|data)"\s*:\s*\{', re.IGNORECASE)
# A head that begins like a failure but reports success or a count of none.
_HARMLESS: Final = re.compile(
    r"^(errors?|failures?|exceptions?)\s*(\(s\))?\s*(found|count)?\s*[:=(]?\s*"
    r"((0|null|none(?!\s+of\b))\b|\[\]|no(?=\s*($|[.,;!\n]|(errors?|failures?|exceptions?|problems?|issues?)\b)))"
    r"|^error(-| )free|^invalid (0|none)\b",
    re.IGNORECASE,
)
# Prose that merely begins with such a word ("Errors in judgement are ...", "Error handling in Go: a guide") ...
_PROSE: Final = re.compile(r"^(error|errors|exception|exceptions|timeout|could not|unable to)\s+[a-z]+\s+[a-z]+", re.IGNORECASE)
# ... says what went wrong, if something did.
_SAYS_SO: Final = re.compile(
    r"\b\d{3}\b|[!\[]|occurred|while|not found|denied|failed|failure|refused|timed|raised|^could not|^unable to"
    r"|^\w+ (in|from|with|by) .{0,60}:"
    r"|^\w+ (executing|reading|writing|calling|fetching|invoking|running|parsing|connecting|loading|processing|opening|creating|getting)\b",
    re.IGNORECASE,
)
_HEAD: Final = 400


def read_result(text: str) -> str | None:
    """Name the failure that a tool's result text admits to, or None when it reads like success.

    Looks at the first 400 characters only: a long document that mentions errors is a result, not a failure.
    """
    head = text[:_HEAD].lstrip().lower()
    if not head:
        return None
    if head[0] in "{[" and not head.startswith("[error"):
        wrapped = _WRAPPED.match(head)
        if wrapped is None and _json_failed(head):
            return _name_text(text)
        wrapped = wrapped or _BOXED.match(head)
        if wrapped is None:
            return None
        head = head[wrapped.end() :]
    if head[:1] in "\"'`":
        head = head[1:]
    if not head.startswith(_PREFIXES) or _HARMLESS.match(head):
        return None
    if _PROSE.match(head) and not _SAYS_SO.search(head[:120].partition("\n")[0]):
        return None
    return _name_text(text)


def _json_failed(head: str) -> bool:
    """Say whether a JSON result reports its own failure: at its top level, not in one of the things that it lists."""
    if not any(mark in head for mark in _JSON_MARKS):
        return False
    level = 2 if _NESTED.match(head) else 1
    return any(_depth(head[: found.start()]) <= level for found in _JSON_FAILURE.finditer(head))


def _depth(before: str) -> int:
    return before.count("{") + before.count("[") - before.count("}") - before.count("]")


def _name_text(text: str) -> str:
    name = name_failure("tool", None, text[:_HEAD])
    return name if name in ("unknown_tool", "invalid_arguments", "permission_denied") else "silent_failure"
