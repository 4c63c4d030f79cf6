"""Could a call's arguments fit what the tool takes, and does an error text blame them? In doubt they fit."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from spantriage import text
from spantriage.model import Step, ToolCall

__all__ = ["blame", "fault", "read_arguments"]

READ_CAP: Final = 20_000
TEXT_CAP: Final = 2_000  # characters of an error text that are looked at
STEP_CAP: Final = 1_000  # a tool step's own arguments may have been cut to this
# Lengths and endings at which instrumentations cut long values; what is cut is no fault of the model's.
_CUTS: Final = frozenset({128, 255, 256, 500, 512, 1_000, 1_024, 2_000, 2_048, 4_000, 4_095, 4_096, 8_000, 8_192, 10_000, 12_000, 16_384})
_CUT_MARKS: Final = ("...", "…", "more)", "truncated]", "truncated)", "[truncated", "<truncated>")
_NOTHING: Final = frozenset({"", "null", "none", '""', "{}", "undefined"})

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool, int),
    "array": (list, tuple),
    "object": (dict,),
}

# Ordered: the first pattern that matches an error text says what was wrong with the arguments.
_REASONS: Final = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (
            "not_json",
            r"json_invalid|invalid json|JSONDecodeError|unterminated string|not valid json|(malformed|unpars[e]?able) (json|arguments?)",
        ),
        (
            "missing_property",
            r"type=missing\b|\"type\":\s?\"missing\"|field required|missing \d+ required|required (property|argument|parameter|field)",
        ),
        ("unknown_property", r"extra_forbidden|extra inputs|unexpected keyword argument|not in the tool'?s input schema"),
        ("wrong_type", r"type=\w+_(type|parsing)\b|should be a valid|is not of type"),
    )
)
_VALIDATED: Final = re.compile(r"validation errors? for (?:call\[)?([\w.\[\]-]{1,100})")
_KEYWORD: Final = re.compile(r"unexpected keyword argument '(\w{1,100})'")
_ARGUMENT_MODELS: Final = ("input", "inputs", "args", "arguments", "params", "parameters", "schema", "request")
_ABOUT_TOOLS: Final = re.compile(r"\btool|argument|parameter|function.?call|input schema", re.IGNORECASE)


def fault(call: ToolCall, schema: Mapping[str, object] | None) -> tuple[str, str] | None:
    """What is certainly wrong with a request, as (reason, words), or None.

    Reasons: "not_json", "missing_property", "unknown_property", "wrong_type". Only top-level properties are compared.
    """
    said = call.arguments
    if call.valid is False and (said is None or _is_broken(said, schema)):
        return "not_json", "are not a JSON object"
    if schema is None or said is None or not call.valid:
        return None
    given = read_arguments(said)
    return None if given is None else _misfit(given, schema)


def read_arguments(said: str) -> Mapping[str, object] | None:
    """Arguments as a mapping: from JSON, from JSON in a JSON string, from what only Python takes for JSON (NaN). None: from none."""
    loaded = text.load(said)
    if isinstance(loaded, str):
        loaded = text.load(loaded)
    if isinstance(loaded, Mapping):
        return loaded
    if len(said) > READ_CAP or not said.lstrip().startswith("{"):
        return None
    try:
        loaded = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None


def blame(step: Step) -> str | None:
    """The reason why a failed step's own words put the blame on the arguments, or None when they speak of something else.

    A tool that fails to parse somebody else's JSON, or to validate its own result, says much the same; the arguments
    tell the two apart.
    """
    if (step.note or {}).get("retry_cause") == "validation_error":
        return _reason(step) or "invalid_arguments"
    if step.sign != "invalid_arguments":
        return None
    said = ((step.error_message if step.failed else step.result) or "")[:TEXT_CAP]
    if step.kind != "tool" and not _ABOUT_TOOLS.search(f"{step.error_type} {said[:500]}"):
        return None
    reason = _reason(step)
    own = step.arguments or ""
    given = read_arguments(own) if len(own) <= STEP_CAP else None
    if reason == "not_json" and own and not _is_broken(own, None):
        return None
    if step.kind == "tool" and (model := _VALIDATED.search(said)) and not _is_of(model.group(1), step.tool):
        return None
    keyword = _KEYWORD.search(said)
    if keyword is not None and given is not None and keyword.group(1) not in _names(given):
        return None
    return reason or step.error_type or "invalid_arguments"


def _reason(step: Step) -> str | None:
    said = f"{step.error_type}: {step.error_message} {(step.result or '')[:500]}"
    return next((reason for reason, pattern in _REASONS if pattern.search(said)), None)


def _is_broken(said: str, schema: Mapping[str, object] | None) -> bool:
    bare = said.strip()
    if bare.lower() in _NOTHING or bare.endswith(_CUT_MARKS) or len(said) in _CUTS:
        return False
    if bare.startswith("{'") and bare.endswith("}"):
        return False  # an instrumentation's str() of what was a mapping
    if schema is None and bare[:1] not in '{["':
        return False  # a tool that takes free text
    given = read_arguments(bare)
    return given is None or "INVALID_JSON" in given


def _misfit(given: Mapping[str, object], schema: Mapping[str, object]) -> tuple[str, str] | None:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or any(key in schema for key in ("anyOf", "oneOf", "allOf", "$ref", "if")):
        return None
    required = schema.get("required")
    for name in required if isinstance(required, (list, tuple)) else ():
        if type(name) is str and name not in given and name in properties and not _may_be_absent(properties[name]):
            return "missing_property", f"lack {text.clip(name, 60)}"
    for name, value in given.items():
        spec = properties.get(name)
        if spec is None and schema.get("additionalProperties") is False and "patternProperties" not in schema:
            return "unknown_property", f"hold {text.clip(str(name), 60)}, which the tool does not take"
        if isinstance(spec, Mapping) and not _may_be(value, spec):
            return "wrong_type", f"give {text.clip(str(name), 60)} as {type(value).__name__} and not as {spec['type']}"
    return None


def _may_be_absent(spec: object) -> bool:
    return not isinstance(spec, Mapping) or "default" in spec or "const" in spec or "null" in str(spec)


def _may_be(value: object, spec: Mapping[str, object]) -> bool:
    """Say whether a value may pass for this type; what many libraries convert passes."""
    kind = spec.get("type")
    allowed = _TYPES.get(kind) if type(kind) is str else None
    if allowed is None or value is None or isinstance(value, allowed):
        return not (kind == "integer" and isinstance(value, float) and not value.is_integer())
    if not isinstance(value, str):
        return False
    bare = value.strip().lower()
    if kind in ("integer", "number"):
        return not bare or any(c.isdigit() for c in bare)
    return kind != "boolean" or bare in ("", "true", "false", "yes", "no", "0", "1", "on", "off")


def _is_of(model: str, tool: str | None) -> bool:
    """Say whether the validated model is a tool's arguments: named for the tool, or for what it is."""
    plain = re.sub(r"[\W_]", "", model.lower())
    own = re.sub(r"[\W_]", "", (tool or "").lower())
    return not own or own in plain or plain in own or plain.endswith(_ARGUMENT_MODELS)


def _names(given: Mapping[str, object]) -> set[str]:
    """Argument names; some frameworks record positional and named ones apart."""
    inner = given.get("kwargs")
    return {*map(str, given), *(map(str, inner) if isinstance(inner, Mapping) else ())}
