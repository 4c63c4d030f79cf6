"""flow.cancelled"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage.detectors import Detector
from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.failures import name_failure
from spantriage.model import Severity, Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


@dataclass(frozen=True, slots=True)
class Cancelled(Detector):
    """A run, or a part of it, was cancelled while it was at work.

    ## Why it matters
    What it had done is lost, and its tokens are paid for. Cancelled calls leave no answer, no token count and, in most
    libraries, no error either.

    ## What to do
    Find out who cancelled: a user who had waited enough, a timeout around the whole run, or a sibling that failed. The
    duration of the outermost cancelled span, which this finding points at, is how long they waited.

    ## When it is wrong
    Cancelling is mostly done on purpose, so this is never more than a warning. A part that was cancelled while its agent
    went on, such as the slower one of two calls made at the same time, is only an info. Without an error on any span, a
    cancelled run is told by a last model call that has neither reply nor token count where the calls before it had them.
    """

    code = "flow.cancelled"
    category = "infrastructure"
    kind = "outcome"
    actionable = "Find out who cancelled, and give the work the time it needs or a result that can be handed out early."

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak once for each outermost cancelled span."""
        spoken: set[int] = set()
        latest = _latest(settled)
        for step in settled.sequence:
            if step.sign == "cancelled" and not step.implied:
                outermost = _outermost(step, settled)
                if outermost.span_id in spoken:
                    continue
                spoken.add(outermost.span_id)
                after = f" after {outermost.duration_ns / 1e9:.1f} s"
                severity: Severity = "info" if latest.get(outermost.agent_span_id, -1) >= outermost.end_ns else "warning"
                summary = f"{outermost.kind.capitalize()} {outermost.name} was cancelled{after}"
                yield self.found(
                    outermost,
                    summary,
                    root_cause=step.error_message or None,
                    reason=step.error_type,
                    severity=severity,
                    evidence=(outermost, step),
                )
        if not spoken and (found := _abandoned(settled)) is not None:
            top, last = found
            summary = f"{top.agent} ended while its last model call was still without an answer"
            yield self.found(top, summary, reason="abandoned", severity="warning", score=0.6, evidence=(top, last))

    fires_on = (
        (fails(agent("boss"), "asyncio.CancelledError", ""), fails(answers(None, finish=None), "CancelledError", "")),
        (asks("slow"), fails(calls("slow"), "CancelledError", "")),
        (fails(span("workflow", "model"), "CancelledError", "CancelledError()"),),
        (agent("boss"), asks("search", input_tokens=9), calls("search", result="3 results"), answers(None, finish=None, captured=False)),
    )
    quiet_on = (
        (asks("search"), calls("search", result="3 results"), answers("done")),
        (asks("refund"), fails(calls("refund"), "ValueError", "the subscription was cancelled in May"), answers("sorry")),
        (answers(None, finish=None, captured=False),),
        (fails(agent("boss"), "TimeoutError", ""),),
    )


def _outermost(step: Step, settled: Settled) -> Step:
    """The furthest ancestor that was cancelled with the step, or the step itself."""
    found = step
    for above in settled.above(step):
        heard = above.failed and above.sign in ("echo", "cancelled")
        if heard and name_failure(above.kind, above.error_type, above.error_message) == "cancelled":
            found = above
    return found


def _latest(settled: Settled) -> dict[int | None, int]:
    """When each agent began its last call that went well: one cancelled before that was gone on without."""
    latest: dict[int | None, int] = {}
    for step in settled.sequence:
        if step.kind in ("model", "tool") and not step.failed and not step.implied:
            latest[step.agent_span_id] = step.start_ns
    return latest


def _abandoned(settled: Settled) -> tuple[Step, Step] | None:
    """The last agent and its last model call, if that call is without any end where others of its kind have one."""
    models = [s for s in settled.sequence if s.kind == "model"]
    last = max(models, key=lambda s: s.order, default=None)
    top = None if last is None or last.agent_span_id is None else settled.steps.get(last.agent_span_id)
    if last is None or top is None or top.failed or top.result or last.failed or last.sign != "ok" or _has_end(last):
        return None
    if not any(s.dialect == last.dialect and _has_end(s) for s in models):
        return None
    went_on = any(s.start_ns >= last.end_ns for s in settled.sequence if s is not last)
    return None if went_on else (top, last)


def _has_end(step: Step) -> bool:
    replied = step.content is not None and step.content.replied
    return replied or step.finish is not None or step.input_tokens is not None or step.output_tokens is not None
