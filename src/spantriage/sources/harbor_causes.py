"""Who or what ended a trial, by the name of its exception: Harbor's own classification, and Terminal-Bench's words in it."""

from __future__ import annotations

from typing import Final

__all__ = ["INFRASTRUCTURE", "cause_of", "mode_of"]

INFRASTRUCTURE: Final = frozenset(
    {"sandbox_failed", "model_provider_failed", "harbor_failed", "verifier_failed"}
)  # none of the agent's doing
_CAUSES: Final[dict[str, tuple[str, ...]]] = {
    "sandbox_failed": (
        "EnvironmentStartTimeoutError", "SandboxBuildFailedError", "AgentSetupTimeoutError", "HealthcheckError",
        "SandboxLikelyOutOfMemoryError", "MemoryLimitExceededError", "SSHAccessError", "GKEExecStreamClosedError",
        "GKEPodNotFoundError", "RuntimeRequestError", "AddTestsDirError", "DownloadVerifierDirError",
    ),
    "model_provider_failed": (
        "ApiError", "ApiRateLimitError", "ApiInternalServerError", "ApiOverloadedError", "ApiConnectionClosedError",
        "ApiResponseStalledError", "UnknownApiError", "NetworkConnectionError", "ApiConnectionError", "ApiUsageLimitError",
        "RateLimitError", "InternalServerError", "ServiceUnavailableError", "APIConnectionError", "APIError", "Timeout",
        "BadRequestError", "UnprocessableEntityError", "UnsupportedParamsError", "APIResponseValidationError",
        "BudgetExceededError", "AgentAuthenticationError", "ModelNotFoundError", "ApiProviderResourceNotFoundError",
        "AuthenticationError", "PermissionDeniedError", "NotFoundError",
    ),
    "harbor_failed": ("ServiceOperationsUnsupportedError", "VercelScopeError", "DspyImportError", "MissingExtraError", "RegradeError"),
    "agent_exhausted_budget": (
        "AgentTimeoutError", "ContextWindowExceededError", "OutputTokenExceededError", "ContextLengthExceededError",
        "OutputLengthExceededError",
    ),
    "agent_refused_task": ("AgentSafetyRefusalError", "ContentPolicyViolationError"),
    "verifier_failed": ("VerifierTimeoutError", "RewardFileNotFoundError", "RewardFileEmptyError", "VerifierOutputParseError"),
    "cancelled": ("CancelledError",),
}  # fmt: skip
_BY_NAME: Final = {name: cause for cause, names in _CAUSES.items() for name in names}
# Terminal-Bench 1.x tells a mode instead: the exception that Harbor would have raised, and in which part of the trial.
_MODES: Final = {
    "agent_timeout": ("AgentTimeoutError", "agent"),
    "test_timeout": ("VerifierTimeoutError", "verifier"),
    "parse_error": ("VerifierOutputParseError", "verifier"),
    "context_length_exceeded": ("ContextLengthExceededError", "agent"),
    "output_length_exceeded": ("OutputLengthExceededError", "agent"),
    "agent_installation_failed": ("AgentSetupTimeoutError", "setup"),
    "fatal_llm_parse_error": ("FatalLLMParseError", "agent"),
    "unknown_agent_error": ("UnknownAgentError", "agent"),
    "unknown": ("UnknownError", "agent"),
}


def cause_of(exception_type: str) -> str:
    """The cause that an exception stands for; "unclassified" for names that nobody has classified."""
    return _BY_NAME.get(exception_type, "unclassified")


def mode_of(failure_mode: str) -> tuple[str, str]:
    """The exception and the part of the trial that a failure mode stands for."""
    return _MODES.get(failure_mode, (failure_mode, "agent"))
