"""Arguments that cannot fit, and everything that only looks like it."""

from __future__ import annotations

import pytest

from spantriage.arguments import blame, fault, read_arguments
from spantriage.detectors.example import calls, fails, span
from spantriage.model import ToolCall

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "exact": {"type": "boolean"},
        "near": {"type": "array"},
        "unit": {"type": "string", "default": "C"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["city", "unit", "note"],
    "additionalProperties": False,
}


def _reason(arguments: str | None, *, valid: bool | None = True, schema: dict[str, object] | None = None) -> str | None:
    found = fault(ToolCall("get_weather", "c1", arguments, valid), SCHEMA if schema is None else schema)
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ('{"days": 3}', "missing_property"),
        ('{"city": "Paris", "town": 1}', "unknown_property"),
        ('{"city": 7}', "wrong_type"),
        ('{"city": "Paris", "days": "some"}', "wrong_type"),
        ('{"city": "Paris", "days": 1.5}', "wrong_type"),
        ('{"city": "Paris", "near": 3}', "wrong_type"),
        ('{"city": "Paris", "exact": "maybe"}', "wrong_type"),
    ],
)
def test_a_clear_mismatch_with_the_schema_is_a_fault(arguments: str, reason: str) -> None:
    assert _reason(arguments) == reason


@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Paris"}',
        '{"city": "Paris", "days": "3"}',
        '{"city": "Paris", "days": 3.0}',
        '{"city": "Paris", "exact": "true"}',
        '{"city": "Paris", "near": "[\\"Lyon\\"]"}',
        '{"city": null}',
    ],
)
def test_what_libraries_convert_or_fill_in_is_no_fault(arguments: str) -> None:
    assert _reason(arguments) is None


def test_a_schema_that_is_more_than_a_list_of_properties_is_not_compared() -> None:
    assert _reason('{"days": 3}', schema={**SCHEMA, "anyOf": []}) is None
    assert _reason('{"days": 3}', schema={"days": {"type": "string"}}) is None


@pytest.mark.parametrize("arguments", ['{"city": "Par', '["Paris"]', "Paris", '{"INVALID_JSON": "{\\"city\\": \\"Par"}'])
def test_what_is_no_json_object_is_a_fault(arguments: str) -> None:
    assert _reason(arguments, valid=False) == "not_json"


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "null",
        "{'city': 'Paris'}",
        '"{\\"city\\": \\"Paris\\"}"',
        '{"city": NaN}',
        '{"city": "Par… (900 more)',
        '{"city": "' + "x" * 490,
    ],
)
def test_empty_repeated_and_cut_arguments_are_no_fault(arguments: str) -> None:
    assert _reason(arguments, valid=False) is None


def test_a_tool_without_a_schema_may_take_free_text() -> None:
    assert fault(ToolCall("apply_patch", "c1", "*** Begin Patch", False), None) is None


def test_arguments_that_were_not_captured_are_no_fault() -> None:
    assert _reason(None, valid=None) is None


@pytest.mark.parametrize("text", ['{"a": ' * 3_000, "{" * 20_000, '{"a": ' + "9" * 6_000 + "}", "\ud800{", '{"a": "\\d"}'])
def test_hostile_arguments_are_read_without_an_exception(text: str) -> None:
    read_arguments(text)


@pytest.mark.parametrize(
    ("error", "message", "arguments", "reason"),
    [
        ("ValidationError", "1 validation error for get_weather\ncity\n  Field required [type=missing]", '{"town": 7}', "missing_property"),
        ("ValidationError", "1 validation error for Get_weatherTool\ncity\n  Input should be a valid string", '{"city": 7}', "wrong_type"),
        ("TypeError", "get_weather() got an unexpected keyword argument 'town'", '{"town": 7}', "unknown_property"),
        ("TypeError", "get_weather() missing 1 required positional argument: 'city'", "{}", "missing_property"),
        ("AgentToolCallError", "Argument town is not in the tool's input schema", '{"town": 7}', "unknown_property"),
        ("JSONDecodeError", "Unterminated string starting at: line 1 column 10 (char 9)", '{"city": "Par', "not_json"),
        ("ValueError", "invalid parameter: days", '{"days": 400}', "ValueError"),
    ],
)
def test_an_error_that_blames_the_arguments_says_how(error: str, message: str, arguments: str, reason: str) -> None:
    assert blame(fails(calls("get_weather", arguments), error, message)) == reason


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        ("JSONDecodeError", "Expecting ',' delimiter: line 1 column 9 (char 8)", '{"city": "Paris"}'),
        ("JSONDecodeError", "Unterminated string starting at: line 1 column 10 (char 9)", "Paris"),
        ("ValidationError", "2 validation errors for ForecastRecord", '{"city": "Paris"}'),
        ("TypeError", "open_page() got an unexpected keyword argument 'timeout'", '{"city": "Paris"}'),
        ("ValueError", "service down", '{"city": "Paris"}'),
    ],
)
def test_an_error_inside_the_tool_does_not_blame_the_arguments(error: str, message: str, arguments: str) -> None:
    assert blame(fails(calls("get_weather", arguments), error, message)) is None


def test_a_retry_for_invalid_arguments_is_taken_at_its_word() -> None:
    step = fails(calls("get_weather"), "ToolRetryError", "try again")
    step.note = {"retry_cause": "validation_error"}
    assert blame(step) == "invalid_arguments"


def test_a_workflow_step_must_speak_of_tools_to_blame_arguments() -> None:
    assert blame(fails(span("workflow", "load"), "ValidationError", "1 validation error for Settings")) is None
    assert blame(fails(span("workflow", "Step 1"), "AgentToolCallError", "Argument town is not in the tool's input schema")) is not None
