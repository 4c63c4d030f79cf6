"""Questions about spans in SQL: a catalogue of named ones, and your own, here and on other people's engines."""

from __future__ import annotations

from spantriage.queries.asking import query

__all__ = ["query"]
