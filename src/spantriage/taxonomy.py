"""What each code is called elsewhere: in MAST, TRAIL, AgentRx, Harbor's causes, TraceTriage, Logfire's annotations.

A name stands here when a finding of the code is what that taxonomy's label is given for; one code may have none.
"""

from __future__ import annotations

from typing import Final

from spantriage.detectors import all_detectors

__all__ = ["SETS", "crosswalk"]

SETS: Final = ("trail", "mast", "agentrx", "harbor", "tracetriage", "logfire")

_PROVIDER: Final = ("model_provider_failed",)
# code or topic -> set -> labels, in the set's own spelling; a code's own line adds to that of its topic
NAMES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "tool.error": {
        "trail": ("Tool-related", "Service Errors"),
        "agentrx": ("System Failure",),
        "tracetriage": ("ACTION_FAILED",),
        "logfire": ("wrong tool",),
    },
    "tool.silent_failure": {
        "trail": ("Tool-related", "Resource Not Found"),
        "agentrx": ("Misinterpretation of Tool Output", "System Failure"),
        "tracetriage": ("ACTION_FAILED",),
        "logfire": ("hallucination",),
    },
    "tool.unknown": {
        "trail": ("Tool Selection Errors", "Tool-related"),
        "mast": ("1.1 Disobey task specification",),
        "agentrx": ("Invalid Invocation",),
        "tracetriage": ("ACTION_FAILED",),
        "logfire": ("wrong tool",),
    },
    "tool.invalid_arguments": {
        "trail": ("Formatting Errors", "Tool Definition Issues"),
        "agentrx": ("Invalid Invocation",),
        "tracetriage": ("ACTION_FAILED", "INVALID_PATCH"),
        "logfire": ("format error",),
    },
    "tool.dropped_call": {"trail": ("Task Orchestration",), "mast": ("3.1 Premature termination",), "agentrx": ("System Failure",)},
    "tool.permission_denied": {"trail": ("Authentication Errors", "Environment Setup Errors"), "agentrx": ("System Failure",)},
    "tool.inconsistent": {"trail": ("Service Errors",), "agentrx": ("System Failure",)},
    "loop": {"mast": ("1.3 Step repetition",), "trail": ("Resource Abuse",), "logfire": ("slow",)},
    "loop.cycle": {"tracetriage": ("OSCILLATING_FIX",)},
    "loop.error_retry": {"tracetriage": ("REPEATED_FAILURE",)},
    "loop.oscillating_fix": {"tracetriage": ("OSCILLATING_FIX",)},
    "loop.no_progress": {"mast": ("1.5 Unaware of termination conditions",), "trail": ("Poor Information Retrieval",)},
    "loop.slow_convergence": {"tracetriage": ("SLOW_CONVERGENCE",), "mast": ("1.5 Unaware of termination conditions",)},
    "model.rate_limited": {"trail": ("Rate Limiting",), "harbor": _PROVIDER, "agentrx": ("System Failure",)},
    "model.provider_error": {"trail": ("Service Errors",), "harbor": _PROVIDER, "agentrx": ("System Failure",)},
    "model.authentication": {"trail": ("Authentication Errors",), "harbor": _PROVIDER, "agentrx": ("System Failure",)},
    "model.timeout": {"trail": ("Timeout Issues",), "harbor": _PROVIDER, "tracetriage": ("SESSION_ERROR",), "logfire": ("slow",)},
    "model.connection": {"trail": ("Service Errors",), "harbor": _PROVIDER, "agentrx": ("System Failure",)},
    "model.truncated_output": {"trail": ("Resource Exhaustion", "Formatting Errors"), "logfire": ("format error",)},
    "model.context_overflow": {
        "trail": ("Context Handling Failures", "Resource Exhaustion"),
        "mast": ("1.4 Loss of conversation history",),
        "harbor": ("agent_exhausted_budget",),
    },
    "model.content_filtered": {"harbor": ("agent_refused_task",), "agentrx": ("Guardrails Triggered",), "logfire": ("refused",)},
    "model.refusal": {"harbor": ("agent_refused_task",), "agentrx": ("Guardrails Triggered",), "logfire": ("refused",)},
    "model.empty_output": {"trail": ("Formatting Errors",), "mast": ("3.1 Premature termination",), "logfire": ("format error",)},
    "model.incomplete_stream": {"trail": ("Service Errors",), "harbor": _PROVIDER},
    "model.malformed_output": {"trail": ("Formatting Errors",), "logfire": ("format error",), "tracetriage": ("INVALID_PATCH",)},
    "flow.workflow_violation": {
        "trail": ("Instruction Non-compliance",),
        "mast": ("1.1 Disobey task specification",),
        "agentrx": ("Instruction/Plan Adherence Failure",),
    },
    "flow.output_lost": {"trail": ("Context Handling Failures",), "mast": ("2.1 Conversation reset",)},
    "flow.no_final_answer": {"mast": ("3.1 Premature termination",), "trail": ("Instruction Non-compliance",), "logfire": ("off topic",)},
    "flow.step_limit": {
        "trail": ("Resource Exhaustion",),
        "mast": ("1.5 Unaware of termination conditions",),
        "harbor": ("agent_exhausted_budget",),
        "tracetriage": ("SLOW_CONVERGENCE",),
    },
    "flow.cancelled": {"harbor": ("cancelled",)},
    "flow.error": {"trail": ("Task Orchestration",), "harbor": ("harbor_failed", "unclassified"), "agentrx": ("System Failure",)},
    "flow.no_tool_call": {"trail": ("Tool Selection Errors", "Instruction Non-compliance"), "mast": ("1.1 Disobey task specification",)},
    "flow.no_tool_work": {
        "trail": ("Goal Deviation", "Instruction Non-compliance"),
        "mast": ("3.1 Premature termination",),
        "agentrx": ("Instruction/Plan Adherence Failure",),
    },
    "flow.gave_up": {"trail": ("Goal Deviation",), "mast": ("3.1 Premature termination",), "logfire": ("refused",)},
    "flow.no_verification": {"mast": ("3.2 No or incomplete verification",), "agentrx": ("Instruction/Plan Adherence Failure",)},
    "flow.invented_result": {
        "trail": ("Language-only", "Tool-related", "Goal Deviation"),
        "mast": ("2.6 Reasoning-action mismatch",),
        "agentrx": ("Invention of New Information",),
        "logfire": ("hallucination",),
    },
    "flow.handoff_failed": {"trail": ("Task Orchestration",), "agentrx": ("System Failure",)},
    "flow.never_ended": {"trail": ("Timeout Issues",), "tracetriage": ("SESSION_ERROR",), "logfire": ("slow",)},
    "flow.crashed": {"harbor": ("harbor_failed",), "agentrx": ("System Failure",), "tracetriage": ("SESSION_ERROR",)},
    "infra.error": {"trail": ("Environment Setup Errors", "Service Errors"), "harbor": ("sandbox_failed",), "agentrx": ("System Failure",)},
    "infra.timeout": {
        "trail": ("Timeout Issues",),
        "harbor": ("sandbox_failed",),
        "agentrx": ("System Failure",),
        "tracetriage": ("SESSION_ERROR",),
        "logfire": ("slow",),
    },
    "infra.out_of_memory": {"trail": ("Resource Exhaustion",), "harbor": ("sandbox_failed",), "agentrx": ("System Failure",)},
    "cost.budget_exceeded": {"trail": ("Resource Exhaustion",), "harbor": ("agent_exhausted_budget",)},
    "cost.runaway": {"trail": ("Resource Abuse",)},
    "cost.duplicate_work": {"trail": ("Resource Abuse",), "mast": ("1.3 Step repetition",)},
    "python.error": {"trail": ("Tool-related",), "tracetriage": ("INVALID_PATCH", "TEST_STILL_FAILS"), "agentrx": ("Invalid Invocation",)},
}


def crosswalk() -> dict[str, dict[str, object]]:
    """`{code: {"category", "subcategory", "trail": [...], "mast": [...], ...}}` for every detector there is."""
    entries: dict[str, dict[str, object]] = {}
    for detector in all_detectors():
        code = detector.code
        topic = NAMES.get(code.partition(".")[0], {})
        own = NAMES.get(code, {})
        entries[code] = {
            "category": detector.category,
            "subcategory": detector.subcategory,
            **{name: [*topic.get(name, ()), *own.get(name, ())] for name in SETS},
        }
    return entries
