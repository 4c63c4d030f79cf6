"""Credentials in rows: found quickly where there are none, taken out where there are some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from spantriage.redact import HIDDEN, is_secret_name, redact, suspicious

__all__ = ["betrays", "redacted", "texts_in"]

SHORT: Final = 8  # no credential is shorter
CLEAN_CAP: Final = 8_192
CLEAN_LENGTH: Final = 200


class _Clean(set[str]):
    """Texts in which no credential was found: most texts of spans come again and again."""

    def betrays(self, texts: list[str]) -> bool:
        """Say whether one of the texts holds a credential."""
        new = [text for text in texts if len(text) >= SHORT and text not in self]
        if not new:
            return False
        if suspicious("\n".join(new)) and any(suspicious(text) and redact(text) != text for text in new):
            return True
        if len(self) > CLEAN_CAP:
            self.clear()
        for text in new:
            if len(text) <= CLEAN_LENGTH:
                self.add(text)
        return False


betrays: Final = _Clean().betrays
is_secret: Final = lru_cache(maxsize=4_096)(is_secret_name)


def texts_in(value: object) -> list[str]:
    """Every text inside a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [said for each in value.values() for said in texts_in(each)]
    return [said for each in value for said in texts_in(each)] if isinstance(value, (tuple, list)) else []


def redacted(value: Any) -> Any:
    """The same value without credentials in its texts."""
    kinds: dict[type, Callable[[Any], Any]] = {str: redact, dict: _redacted_dict, list: _redacted_list, tuple: _redacted_list}
    change = kinds.get(type(value))
    return value if change is None else change(value)


def _redacted_dict(value: dict[str, Any]) -> dict[str, Any]:
    return {key: HIDDEN if type(each) is str and is_secret(key) else redacted(each) for key, each in value.items()}


def _redacted_list(value: Sequence[Any]) -> list[Any]:
    return [redacted(each) for each in value]
