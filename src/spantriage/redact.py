"""Secrets taken out of every text before it reaches a sink. Linear-time patterns; values by shape, and by key name."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HIDDEN", "is_secret_name", "redact", "suspicious"]

HIDDEN: Final = "[redacted]"
# Shapes of credentials. Each pattern has a literal prefix or bounded repeats, so that no text makes it slow.
_VALUES: Final = re.compile(
    r"\b(?:sk|pk|rk)[-_](?:ant-|proj-|live_|test_|or-v1-|svcacct-)?[A-Za-z0-9_-]{16,200}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,255}|\bgithub_pat_[A-Za-z0-9_]{20,255}|\bglpat-[A-Za-z0-9_-]{16,64}"
    r"|\b(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,60}|\bya29\.[A-Za-z0-9_-]{20,300}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,200}|\bhf_[A-Za-z0-9]{20,60}|\bpylf_v\d_[A-Za-z0-9_]{10,120}|\br8_[A-Za-z0-9]{20,60}"
    r"|\bnpm_[A-Za-z0-9]{30,60}|\bpypi-[A-Za-z0-9_-]{30,250}|\bSG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{16,80}|\bdop_v1_[a-f0-9]{32,80}"
    r"|\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}(?:\.[A-Za-z0-9_-]{0,2000})?"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=\s-]{0,8000}"
    r"|(?<=://)[^\s/:@]{1,100}:[^\s/@]{1,200}(?=@)"
)
_KEYED: Final = re.compile(
    r"""((?:api[_-]?key|access[_-]?key|secret(?:[_-]?key)?|passw(?:or)?d|passphrase|auth(?:orization)?|credentials?|"""
    r"""(?:access|refresh|id|auth|bearer|session|csrf)[_-]?token|token|cookie|private[_-]?key)"""
    r"""["']?\s{0,3}[:=]\s{0,3}["']?(?:bearer |basic )?)([^\s"',;}&]{4,4000})""",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"(\b(?:bearer|basic) )[A-Za-z0-9._~+/=-]{12,4000}", re.IGNORECASE)


# A text without one of these cannot hold a match; looking is a hundred times cheaper than matching.
_VALUE_HINTS: Final = (
    "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "akia", "asia", "agpa",
    "aida", "aroa", "aiza", "ya29.", "xox", "hf_", "pylf_v", "r8_", "npm_", "pypi-", "sg.", "dop_v1_", "eyj", "-----begin", "://",
)  # fmt: skip
_KEY_HINTS: Final = ("key", "secret", "passw", "passphrase", "auth", "credential", "token", "cookie")


def redact(text: str) -> str:
    """The same text with credentials replaced by "[redacted]"."""
    low = text.lower()
    if any(hint in low for hint in _VALUE_HINTS) and _has_value(text, low):
        text = _VALUES.sub(HIDDEN, text)
    if "bearer " in low or "basic " in low:
        text = _BEARER.sub(rf"\1{HIDDEN}", text)
    if any(hint in low for hint in _KEY_HINTS):
        text = _KEYED.sub(rf"\1{HIDDEN}", text)
    return text


def is_secret_name(name: str) -> bool:
    """Say whether what bears this name is a credential: `api_key`, `http.request.header.authorization`."""
    return redact(f"{name}=aaaaaaaa").endswith(HIDDEN)


def _has_value(text: str, low: str) -> bool:
    """Say whether a credential begins where one of the hints stands; to look everywhere takes a hundred times longer."""
    if len(low) != len(text):  # some capitals are two letters when small
        return True
    for hint in _VALUE_HINTS:
        at = low.find(hint)
        while at >= 0:
            if _VALUES.match(text, at if hint != "://" else at + 3):
                return True
            at = low.find(hint, at + 1)
    return False


def suspicious(text: str) -> bool:
    """Say, cheaply, whether `redact` could change the text: False is certain, True is not."""
    low = text.lower()
    for hint in _PLAIN_HINTS:
        if hint in low:
            return True
    if "://" in low and "@" in low:
        return True
    if ":" in low or "=" in low:
        for hint in _KEY_HINTS:
            if hint in low:
                return True
    return False


_PLAIN_HINTS: Final = (*(hint for hint in _VALUE_HINTS if hint != "://"), "bearer ", "basic ")
