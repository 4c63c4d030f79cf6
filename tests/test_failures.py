"""The failure table, held against messages that libraries really write."""

from __future__ import annotations

import pytest

from spantriage.blame import blames_model, leads_to, reason_of
from spantriage.detectors.example import answers, asks, fails, span
from spantriage.failures import FAILURES, SIGNS, is_failure, name_failure, read_result
from spantriage.model import Kind

# kind of step, exception type, message, the name of the failure
MESSAGES: tuple[tuple[Kind, str | None, str, str], ...] = (
    # OpenAI's and Anthropic's clients
    (
        "model",
        "RateLimitError",
        "Error code: 429 - {'error': {'message': 'Rate limit reached', 'code': 'rate_limit_exceeded'}}",
        "rate_limited",
    ),
    ("model", "RateLimitError", "Error code: 429 - You exceeded your current quota, please check your plan", "rate_limited"),
    ("model", "RateLimitError", "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31000", "rate_limited"),
    ("model", "InternalServerError", "Error code: 500 - The server had an error", "provider_error"),
    ("model", "OverloadedError", "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error'}}", "provider_error"),
    ("model", "BadRequestError", "Error code: 400 - Unsupported parameter: 'timeout_ms' is not supported", "provider_error"),
    ("model", "NotFoundError", "Error code: 404 - The model `gpt-9` does not exist or you do not have access to it.", "provider_error"),
    ("model", "AuthenticationError", "Error code: 401 - Incorrect API key provided", "authentication"),
    ("model", "PermissionDeniedError", "Error code: 403 - Project does not have access", "authentication"),
    ("model", "APITimeoutError", "Request timed out.", "timeout"),
    ("model", "APIConnectionError", "Connection error.", "connection"),
    ("model", "BadRequestError", "Error code: 400 - This model's maximum context length is 8192 tokens. However", "context_overflow"),
    ("model", "BadRequestError", "Error code: 400 - prompt is too long: 205000 tokens > 200000 maximum", "context_overflow"),
    ("model", "LengthFinishReasonError", "Could not parse response content as the length limit was reached", "truncated_output"),
    ("model", "BadRequestError", "The response was filtered due to Azure OpenAI's content management policy", "content_filtered"),
    # other providers and gateways
    ("model", "ClientError", "429 RESOURCE_EXHAUSTED. {'error': {'code': 429}}", "rate_limited"),
    ("model", "ThrottlingException", "Too many tokens, please wait before trying again.", "rate_limited"),
    ("model", "ServerError", "503 UNAVAILABLE. The model is overloaded.", "provider_error"),
    ("model", "ContextWindowExceededError", "litellm.ContextWindowExceededError: litellm.BadRequestError", "context_overflow"),
    (
        "model",
        "BadRequestError",
        "litellm.BadRequestError: 400 - Invalid prompt: flagged as potentially violating our usage policy",
        "content_filtered",
    ),
    ("model", "OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB", "provider_error"),
    ("model", "ModelHTTPError", "status_code: 400, model_name: small, body: Invalid parameter: messages", "provider_error"),
    (
        "model",
        "BadRequestError",
        "Error code: 400 - {'code': 'tool_use_failed', 'message': 'Failed to call a function.'}",
        "malformed_output",
    ),
    # frameworks
    ("model", "ChatClientException", "service failed to complete the prompt: Error code: 429 - Rate limit reached", "rate_limited"),
    (
        "model",
        "Exception",
        "OpenAIRateLimitError('Error code: 429 - Rate limit')Traceback (most recent call last):\n\n\n  File ...",
        "rate_limited",
    ),
    ("agent", "UnexpectedModelBehavior", "Exceeded maximum output retries (1)", "malformed_output"),
    ("agent", "UnexpectedModelBehavior", "Model token limit (10) exceeded before any response was generated.", "truncated_output"),
    ("agent", "ContentFilterError", "Content filter triggered. Finish reason: 'content_filter', body:", "content_filtered"),
    ("agent", "UsageLimitExceeded", "The next request would exceed the request_limit of 8. Consider raising the limit", "step_limit"),
    ("agent", "GraphRecursionError", "Recursion limit of 8 reached without hitting a stop condition.", "step_limit"),
    ("agent", "LlmCallsLimitExceededError", "Max number of llm calls limit of `6` exceeded", "step_limit"),
    ("agent", "MaxTurnsExceeded", "Max turns (5) exceeded", "step_limit"),
    ("agent", "WorkflowRuntimeError", "Max iterations of 5 reached! Either something went wrong", "step_limit"),
    ("agent", "ValueError", "Invalid response from LLM call - None or empty.", "malformed_output"),
    ("workflow", "MaxTokensReachedException", "Model stopped generating due to maximum token limit.", "truncated_output"),
    (
        "workflow",
        "AgentParsingError",
        "Error while parsing tool call from model output: The model output does not contain any JSON",
        "malformed_output",
    ),
    ("workflow", "AgentToolExecutionError", "Unknown tool launch_rocket, should be one of: get_weather, final_answer.", "unknown_tool"),
    ("workflow", "AgentToolCallError", "Argument town is not in the tool's input schema", "invalid_arguments"),
    ("workflow", "AgentExecutionError", "Code execution failed at line 'wait()' due to: TimeoutError: timed out", "error"),
    ("agent", "CancelledError", "", "cancelled"),
    ("workflow", "Exception", "CancelledError()Traceback (most recent call last):", "cancelled"),
    ("tool", None, "Abandoned", "cancelled"),
    # tools: their own 429 or 500 is no provider's
    ("tool", "HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://api.example'", "error"),
    ("tool", "ToolRetryError", "please try another city", "error"),
    ("tool", "ValidationError", "1 validation error for get_weather\ncity\n  Field required", "invalid_arguments"),
    ("tool", "TypeError", "get_weather() got an unexpected keyword argument 'town'", "invalid_arguments"),
    ("tool", "PermissionError", "[Errno 13] Permission denied: '/etc/hosts'", "permission_denied"),
    ("tool", "ValueError", "the subscription was cancelled in May", "error"),
    ("tool", "ValueError", "file config of the tool was not found", "error"),
    ("tool", "JSONDecodeError", "Expecting value: line 1 column 1 (char 0)", "error"),
    # numbers and words that only look like something
    ("model", "ParseError", "unexpected end at line 4290", "error"),
    ("workflow", "ReportError", "see section 429 of the report", "error"),
    ("workflow", "ReportError", "row 500 of 1200 has no date", "error"),
    ("workflow", "SyntaxError", "invalid syntax (nodes.py, line 429)", "error"),
    ("workflow", "TypeError", "run() got an unexpected keyword argument 'timeout'", "error"),
    ("agent", "RecursionError", "maximum recursion depth exceeded", "error"),
    ("workflow", None, "", "error"),
)


@pytest.mark.parametrize(("kind", "error_type", "message", "name"), MESSAGES)
def test_a_message_is_named_for_what_it_says(kind: Kind, error_type: str | None, message: str, name: str) -> None:
    assert name_failure(kind, error_type, message) == name


def test_every_name_in_the_table_is_a_sign() -> None:
    assert {name for name, _ in FAILURES} < SIGNS


def test_the_end_of_a_generator_is_no_failure() -> None:
    assert not is_failure("GeneratorExit")
    assert is_failure("ValueError")


def test_a_huge_message_is_read_in_part_and_at_once() -> None:
    said = "tool " * 100_000 + "rate limit"
    assert name_failure("model", "APIError", said) == "provider_error"


# tool results that admit a failure, and how it is named
FAILED: tuple[tuple[str, str], ...] = (
    ("Error: weather service unavailable (503)", "silent_failure"),
    ("Error: KeyError: 'launch_rocket'", "silent_failure"),
    ("Error executing tool get_weather: connection refused", "silent_failure"),
    ("Traceback (most recent call last):\n  File 'x.py', line 1\nValueError: no", "silent_failure"),
    ("Invalid agent_id 'agent99'. Valid agents: agent1, agent2", "silent_failure"),
    ('{"status": "error", "message": "card declined"}', "silent_failure"),
    ('{"success": false}', "silent_failure"),
    ('{"error": {"code": 500, "message": "no"}}', "silent_failure"),
    ('{"result": {"success": false, "error": "BinderException"}}', "silent_failure"),
    ('{"content": [{"type": "text", "text": "Error: no such page"}]}', "silent_failure"),
    ('[{"type": "text", "text": "Error executing tool search: timed out"}]', "silent_failure"),
    ('{"result": "Error: no weather for Paris, service unavailable (503)"}', "silent_failure"),
    ('{"result": "failed"}', "silent_failure"),
    ('{"statusCode": 404}', "silent_failure"),
    ('{"status_code": 404, "body": ""}', "silent_failure"),
    ("Error: launch_rocket is not a valid tool, try one of [get_weather].", "unknown_tool"),
    ("Unknown tool name: 'launch_rocket'. Available tools: 'get_weather'", "unknown_tool"),
    ("Tool not found", "unknown_tool"),
    ("Error: Argument parsing failed.", "invalid_arguments"),
    ("Error: JSONDecodeError: Unterminated string starting at: line 1 column 10", "invalid_arguments"),
    ("bash: /opt/deploy.sh: Permission denied", "permission_denied"),
)
WELL = (
    "sunny",
    "",
    "Errors: 0",
    "errors (0)",
    "No errors found.",
    "Error-free since 2019",
    "0 errors, 2 warnings",
    "see section 429 of the report",
    "line 4290: raise ValueError('error')",
    "Error handling in Python: a guide\n\nExceptions are raised ...",
    "Errors in judgement are common among experts.",
    '{"error": null, "data": [1]}',
    '{"errors": [], "ok": true}',
    '{"error": 0.031, "slope": 2.5}',
    '{"title": "Postmortem", "body": "At 3 am we saw Error: 500 and then {\\"error\\": \\"down\\"}"}',
    '{"jobs": [{"id": 1, "status": "failed"}, {"id": 2, "status": "done"}]}',
    '[{"name": "deploy", "status": "error"}, {"name": "test", "status": "ok"}]',
    '[{"type": "text", "text": "3 results, the first is about errors"}]',
    '{"result": "Error handling in Go: a guide"}',
    '{"result": "No errors found"}',
    '{"output": "41 boxes", "error": null}',
    "The documentation says:\n\nError: something went wrong\n\nmeans that the disk is full.",
)


@pytest.mark.parametrize(("result", "name"), FAILED)
def test_a_result_that_admits_failure_is_named(result: str, name: str) -> None:
    assert read_result(result) == name


@pytest.mark.parametrize("result", WELL)
def test_a_result_that_only_speaks_of_errors_is_no_failure(result: str) -> None:
    assert read_result(result) is None


def test_a_failed_model_call_is_its_providers_whatever_it_says() -> None:
    assert blames_model(fails(answers(None), "TimeoutError"))


@pytest.mark.parametrize(
    ("error_type", "message", "is_models"),
    [
        ("RateLimitError", "Error code: 429 - Rate limit reached for mock", True),
        ("APITimeoutError", "Request timed out.", True),
        ("ModelServerError", "status_code: 500, model_name: small", True),
        ("TimeoutError", "", False),
        ("HTTPStatusError", "Client error '429 Too Many Requests' for url 'https://weather.example'", False),
        ("OperationalError", "connection to server at 10.0.0.7 was refused", False),
        ("Exception", "TimeoutError()Traceback (most recent call last):\n File 'langchain_openai/chat_models.py'", False),
    ],
)
def test_an_agents_failure_is_a_providers_when_its_words_say_so(error_type: str, message: str, is_models: bool) -> None:
    assert blames_model(fails(span("agent"), error_type, message)) is is_models


def test_the_reason_is_the_providers_code_before_the_exception_type() -> None:
    message = "Error code: 429 - {'error': {'type': 'requests', 'param': None, 'code': 'rate_limit_exceeded'}}"
    assert reason_of(fails(answers(None), "RateLimitError", message)) == "rate_limit_exceeded"
    assert reason_of(fails(answers(None), "openai.RateLimitError", "no")) == "openai.RateLimitError"
    assert reason_of(fails(answers(None), "Exception", "RateLimit")) is None


def test_an_answer_that_nobody_can_use_leads_to_failures_above_it() -> None:
    assert "truncated_output" in leads_to(answers("half", finish="length"))
    assert leads_to(answers("")) == ("malformed_output",)
    assert leads_to(answers("done")) == leads_to(asks("search")) == ()
