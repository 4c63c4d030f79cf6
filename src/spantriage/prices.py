"""What a model call cost: its tokens times the list price of its model on that day.

The prices are those that came with the `genai-prices` package (extra `prices`); nothing is ever fetched. Without the
package, for a model that it does not know, or without token counts, the cost is unknown, which is None and not 0.
"""

from __future__ import annotations

import importlib.util
import logging
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from spantriage.late import apart_from_forks
from spantriage.model import Kind, Step

if TYPE_CHECKING:
    from decimal import Decimal

    from genai_prices.types import ModelInfo, Provider

__all__ = ["cost_of", "fill_costs", "is_loaded", "load"]

LOG: Final = logging.getLogger("spantriage")
KEPT: Final = 1_000  # models whose prices are remembered
PRICED: Final[frozenset[Kind]] = frozenset({"model", "event"})  # an event may hold the usage of a streamed call
# Providers as the GenAI conventions spell them, where the package knows them under another name only.
PROVIDERS: Final = {"gcp.gen_ai": "google", "x_ai": "x-ai", "azure.ai.inference": "azure"}


class Rate(NamedTuple):
    """US dollars for one token of each sort, and for the call itself."""

    input: float
    cached: float
    output: float
    reasoning: float
    call: float  # whatever its length


class Rates(NamedTuple):
    """A model's prices: `tiers[0]` up to `starts[0]` input tokens, `tiers[1]` above it, and so on."""

    starts: tuple[int, ...]
    tiers: tuple[Rate, ...]


class _Known(NamedTuple):
    info: ModelInfo
    provider: Provider
    rates: dict[int, Rates]  # by identity of the package's price object: one for each period


_known: dict[tuple[str | None, str], _Known | None] = {}
_installed: bool | None = None  # None: nobody has looked yet


def is_loaded() -> bool:
    """Say whether costs can be told at once, without an import."""
    return _installed is not None


def load() -> bool:
    """Import the prices, which takes some 40 ms; False where the package is not installed. Never raises. For the worker's thread."""
    global _installed  # noqa: PLW0603  # one package, one answer
    if _installed is None:
        with apart_from_forks():
            _installed = _import() if _installed is None else _installed
    return _installed


def _import() -> bool:
    if importlib.util.find_spec("genai_prices") is None:
        LOG.debug("no prices: pip install spantriage[prices]")
        return False
    try:
        from genai_prices import Usage, calc_price

        calc_price(Usage(input_tokens=1), "gpt-4o")  # makes it read its table
    except LookupError:
        LOG.debug("the prices do not know a model of old")
    except Exception:
        LOG.warning("the prices cannot be loaded, so that costs stay unknown", exc_info=True)
        return False
    return True


def fill_costs(steps: Iterable[Step]) -> None:
    """Give each model call its cost, unless its span states one."""
    if not load():
        return
    for step in steps:
        if step.cost_usd is None and step.kind in PRICED and step.input_tokens is not None:
            step.cost_usd = cost_of(step)


def cost_of(step: Step) -> float | None:
    """What the call cost in US dollars at list price; None when that cannot be told."""
    given, answered, model = step.input_tokens, step.output_tokens, step.model
    if given is None or answered is None or not given + answered or model is None or step.cumulative or not load():
        return None
    key = (step.provider, model)
    if key not in _known:
        if len(_known) >= KEPT:
            _known.clear()
        _known[key] = _find(*key, step.start_ns)
    known = _known[key]
    if known is None:
        return None
    rates = _rates_at(known, step.start_ns)
    cached, reasoning = step.cached_tokens or 0, min(step.reasoning_tokens or 0, answered)
    if cached > given:  # counted apart from the input, against the convention
        given += cached
    rate = rates.tiers[bisect_left(rates.starts, given)]
    read = (given - cached) * rate.input + cached * rate.cached
    return round(rate.call + read + (answered - reasoning) * rate.output + reasoning * rate.reasoning, 12)


def _find(provider: str | None, model: str, time_ns: int) -> _Known | None:
    """The package's entry; a model whose provider is not told is looked for by its name alone."""
    from genai_prices import Usage, calc_price

    spelled = provider if provider is None else PROVIDERS.get(provider, provider)
    head, slash, rest = model.partition("/")
    for name, at in ((model, spelled), (rest, head)) if slash and spelled in (None, "litellm") else ((model, spelled),):
        try:
            found = calc_price(Usage(input_tokens=1), name, provider_id=at, genai_request_timestamp=_day(time_ns))
        except (LookupError, ValueError):
            continue
        return _Known(found.model, found.provider, {})
    return None


def _rates_at(known: _Known, time_ns: int) -> Rates:
    info = known.info
    prices = info.get_prices(_day(time_ns)) if isinstance(info.prices, list) else info.prices
    rates = known.rates.get(id(prices))
    if rates is None:
        starts = sorted({tier.start for value in vars(prices).values() for tier in getattr(value, "tiers", ())})
        rates = Rates(tuple(starts), tuple(_rate(known, start + 1, time_ns) for start in (0, *starts)))
        known.rates[id(prices)] = rates
    return rates


def _rate(known: _Known, size: int, time_ns: int) -> Rate:
    """Ask the package what single tokens cost behind an input of this size, so that its rules stay its own."""
    from genai_prices import Usage

    def cost(given: int = size, **tokens: int) -> Decimal:
        usage = Usage(input_tokens=given, **tokens)
        return known.info.calc_price(usage, known.provider, genai_request_timestamp=_day(time_ns)).total_price

    base = cost()
    each = cost(size + 1) - base
    fee = base - each * size
    return Rate(
        float(each),
        float((cost(cache_read_tokens=size) - fee) / size),
        float(cost(output_tokens=1) - base),
        float(cost(output_tokens=1, output_reasoning_tokens=1) - base),
        float(fee),
    )


def _day(time_ns: int) -> datetime:
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
