"""When something happened, as ns since the epoch, from all the ways in which logs spell it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

__all__ = ["LAST_NS", "NS", "read"]

NS: Final = 1_000_000_000
LAST_NS: Final = (1 << 63) - 1
# A bare number is seconds, milliseconds, microseconds or ns, whichever puts it between 1973 and 5138.
_UNITS: Final = ((1e11, NS), (1e14, 1_000_000), (1e17, 1_000), (1e20, 1))


def read(said: object) -> int | None:
    """ISO 8601 (without a zone: UTC) or a number since the epoch; None when it is neither, or no time that we can hold."""
    if type(said) is int or type(said) is float:
        return _number(said)
    if type(said) is not str or not 4 < len(said) < 64:
        return None
    try:
        found = datetime.fromisoformat(said.replace("Z", "+00:00") if said.endswith("Z") else said)
    except ValueError:
        try:
            return _number(float(said))
        except ValueError:
            return None
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    try:
        return _within(int(found.timestamp()) * NS + found.microsecond * 1_000)
    except (OverflowError, ValueError, OSError):
        return None


def _number(said: float) -> int | None:
    if not 0 < said < 1e20:  # NaN and infinity too
        return None
    unit = next(unit for bound, unit in _UNITS if said < bound)
    return _within(said * unit if type(said) is int else int(said) * unit + int(said % 1 * unit))


def _within(found: int) -> int | None:
    return found if 0 < found <= LAST_NS else None
