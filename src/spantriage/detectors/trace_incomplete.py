"""trace.incomplete"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, span
from spantriage.model import Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class Incomplete(Detector):
    """Spans of this run are missing: they name parents that never came, or there were more than are kept.

    ## Why it matters
    Counts, costs and durations of the run are too low, and a failure may lie in what is missing. A process that died
    leaves exactly this: the spans that had ended, and not the ones around them.

    ## What to do
    Look for a crash or a kill at the time of the last span. Otherwise check sampling, exporters that drop, and spans
    that are never ended.

    ## When it is wrong
    A run that was called from another service has its parent there; it then scores 0.4.
    """

    code = "trace.incomplete"
    category = "infrastructure"
    severity = "info"
    actionable = "Look for a crash, for dropped or sampled spans, and for spans that are never ended."

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for the run, at the first span that hangs in the air."""
        loose = [s for s in settled.sequence if s.span_id in settled.orphans and not s.implied]
        if loose:
            missing = {s.parent_id for s in loose}
            whole = len(missing) == 1 and len(loose) == 1 and loose[0].kind in ("agent", "workflow") and settled.root is loose[0]
            summary = f"{len(loose)} spans of the run name {len(missing)} parents that never came"
            yield self.found(loose[0], summary, evidence=loose, reason="no_parent", score=0.4 if whole else 0.9)
        elif settled.truncated and settled.sequence:
            summary = f"The run has {settled.truncated} steps more than are kept"
            yield self.found(settled.root or settled.sequence[0], summary, reason="too_large", score=1.0)

    fires_on = (
        (answers("done", parent_id=99),),
        (asks("search"), calls("search", result="3 results"), span("workflow", "node", parent_id=77), answers("done")),
    )
    quiet_on = (
        (answers("done"),),
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (span("workflow", "node", span_id=50), answers("done", parent_id=50)),
    )
