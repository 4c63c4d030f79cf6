"""The names of our codes elsewhere are names that exist there."""

from __future__ import annotations

from typing import Final

import pytest

from spantriage.detectors import all_detectors
from spantriage.taxonomy import NAMES, SETS, crosswalk

TRAIL: Final = frozenset(
    {"Language-only", "Tool-related", "Poor Information Retrieval", "Incorrect Memory Usage", "Tool Output Misinterpretation",
     "Incorrect Problem Identification", "Tool Selection Errors", "Formatting Errors", "Instruction Non-compliance",
     "Tool Definition Issues", "Environment Setup Errors", "Rate Limiting", "Authentication Errors", "Service Errors", "Resource Not Found",
     "Resource Exhaustion",
     "Timeout Issues", "Context Handling Failures", "Resource Abuse", "Goal Deviation", "Task Orchestration"}
)  # fmt: skip
MAST: Final = frozenset(
    {"1.1 Disobey task specification", "1.2 Disobey role specification", "1.3 Step repetition", "1.4 Loss of conversation history",
     "1.5 Unaware of termination conditions", "2.1 Conversation reset", "2.2 Fail to ask for clarification", "2.3 Task derailment",
     "2.4 Information withholding", "2.5 Ignored other agent's input", "2.6 Reasoning-action mismatch", "3.1 Premature termination",
     "3.2 No or incomplete verification", "3.3 Incorrect verification"}
)  # fmt: skip
AGENTRX: Final = frozenset(
    {"Instruction/Plan Adherence Failure", "Invention of New Information", "Invalid Invocation", "Misinterpretation of Tool Output",
     "Intent-Plan Misalignment", "Underspecified User Intent", "Intent Not Supported", "Guardrails Triggered", "System Failure",
     "Inconclusive"}
)  # fmt: skip
TRACETRIAGE: Final = frozenset(
    {"SESSION_ERROR", "ACTION_FAILED", "MISCLASSIFICATION", "LOCALIZATION_FAILED", "INVALID_PATCH", "WRONG_FIX", "DEPLOY_FAILED",
     "TEST_STILL_FAILS", "REPEATED_FAILURE", "OSCILLATING_FIX", "SLOW_CONVERGENCE", "REGRESSION"}
)  # fmt: skip


@pytest.mark.parametrize(("taxonomy", "labels"), [("trail", TRAIL), ("mast", MAST), ("agentrx", AGENTRX), ("tracetriage", TRACETRIAGE)])
def test_every_label_is_spelled_as_its_taxonomy_spells_it(taxonomy: str, labels: frozenset[str]) -> None:
    used = {label for entry in NAMES.values() for label in entry.get(taxonomy, ())}
    assert used - labels == set()


def test_every_code_has_an_entry_with_every_taxonomy_and_no_entry_is_for_a_code_that_does_not_exist() -> None:
    codes = {detector.code for detector in all_detectors()}
    entries = crosswalk()
    assert set(entries) == codes
    assert all(set(entry) == {"category", "subcategory", *SETS} for entry in entries.values())
    assert {name for name in NAMES if "." in name} - codes == set()
