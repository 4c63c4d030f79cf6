"""`import spantriage.auto` watches the agents of this program. Quiet where it finds nothing to watch; safe to repeat.

Where the program has put in a processor of ours itself, with settings of its own, that one does the work.
"""

from __future__ import annotations

import logging
import os
from typing import Final

from opentelemetry import trace

from spantriage.attachment import Triage, enter, watch_provider
from spantriage.config import SWITCH, load_settings
from spantriage.placing import has_another
from spantriage.processor import TriageProcessor

__all__ = ["TRIAGE", "attach_after_instrument"]

LOG: Final = logging.getLogger("spantriage")


def _attach() -> Triage | None:
    if SWITCH.get(os.environ.get("SPANTRIAGE_DISABLED", "").lower(), False):
        return None
    try:
        if has_another(trace.get_tracer_provider()):
            return None
        settings = load_settings()
        triage = Triage(TriageProcessor(settings=settings), yields=True, store=settings.store)
        watch_provider(triage)
        return triage
    except Exception:  # an import must not break the program; the reason is told once
        LOG.warning("spantriage is off", exc_info=True)
        return None


TRIAGE: Final[Triage | None] = _attach()


def attach_after_instrument() -> None:
    """For `opentelemetry-instrument`: settle in the provider that it has configured."""
    if TRIAGE is not None and TRIAGE.strategy == "waiting":
        enter(TRIAGE, trace.get_tracer_provider())
