"""cost.runaway"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log

from spantriage.detectors import Detector, Example
from spantriage.detectors.example import agent, answers
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.spending import Spent, spent_in
from spantriage.state import RunState

SIGMA = 1.4826  # a median absolute deviation of normal values, times this, is their standard deviation


def _works(*tokens: int) -> Example:
    """A helper that is called once for each of these numbers."""
    steps: list[Step] = [agent("boss")]
    for number, used in enumerate(tokens, 100):
        steps += [
            agent("helper", parent_id=1, span_id=number),
            answers("done", parent_id=number, span_id=1_000 + number, input_tokens=used, output_tokens=0),
        ]
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Runaway(Detector):
    """An invocation of an agent cost far more than that agent usually does.

    It is compared with the others in the same run and in the runs before it in this process: by the logarithms of what
    they have cost, their median and their median absolute deviation. Dollars where every price is known, else tokens.

    ## Why it matters
    Most invocations cost about the same. One that costs a hundred times as much is mostly a loop, a history that has grown
    without bounds, or a document that should not have been read whole, and a few of them make up the bill.

    ## What to do
    Look at the loops found in the same run, then at its longest inputs. Give the agent a budget.

    ## When it is wrong
    A task that is a hundred times as large is rightly as dear. Nothing is said before there are ten others, nor when
    more than a tenth of them stand out: then they do not, and the agent simply does two kinds of work.
    """

    code = "cost.runaway"
    category = "resource_limit"
    score = 0.6
    actionable = "Look for a loop or an overlong input in this run, and give the agent a budget."
    tier = "run"

    runs: int = 10
    """How many other invocations of the agent there must be."""
    deviations: float = 4.5
    """How many robust standard deviations above the median one must lie."""
    times: float = 3.0
    """How many times the median it must cost at least; the only rule where all the others cost the same."""
    share: float = 0.1
    """If more than this share of all lies as high, none of them stands out."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Compare each invocation with all others that are known."""
        here = spent_in(settled)
        for name, unit in dict.fromkeys((each.agent, each.unit) for each in here):
            group = [each for each in here if (each.agent, each.unit) == (name, unit)]
            past = () if run.past is None else run.past.of(name, unit)
            amounts = [log(amount) for amount in (*past, *(each.amount for each in group))]
            bar = self._bar(amounts)
            if bar is not None:
                yield from (self._speak(each, _median(amounts), len(amounts) - 1) for each in group if log(each.amount) >= bar)

    def _bar(self, amounts: list[float]) -> float | None:
        """From where on an invocation stands out; None where nothing does."""
        if len(amounts) <= self.runs:
            return None
        middle = _median(amounts)
        spread = SIGMA * _median([abs(each - middle) for each in amounts])
        bar = middle + max(self.deviations * spread, log(self.times))
        high = sum(1 for each in amounts if each >= bar)
        return bar if high <= self.share * len(amounts) else None

    def _speak(self, spent: Spent, middle: float, others: int) -> Verdict:
        what, usual = (f"${spent.amount:.4g}", f"${exp(middle):.4g}") if spent.unit == "usd" else _tokens(spent.amount, exp(middle))
        summary = f"{spent.agent} used {what}, where it mostly uses {usual} (median, {others} others)"
        return self.found(spent.step, summary, reason=spent.unit)

    fires_on = (
        _works(900, 1_000, 1_100, 950, 1_050, 990, 1_010, 1_000, 980, 1_020, 90_000),
        _works(*[1_000] * 12, 3_001),
    )
    quiet_on = (
        _works(*[1_000] * 5, 90_000),
        _works(*[1_000] * 12, 2_900),
        _works(*[1_000] * 9, *[90_000] * 3),
        _works(*(100 * 2**n for n in range(12))),
        _works(*[1_000] * 12, 1),
    )


def _tokens(used: float, usual: float) -> tuple[str, str]:
    return f"{used:,.0f} tokens", f"{usual:,.0f}"


def _median(amounts: list[float]) -> float:
    ordered, half = sorted(amounts), len(amounts) // 2  # the module `statistics` takes longer to load than ten of ours
    return (ordered[half] + ordered[~half]) / 2
