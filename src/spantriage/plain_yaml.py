"""YAML from outside: plain values only, and nothing in it that makes a small file large."""

from __future__ import annotations

from typing import Final

import yaml

from spantriage.errors import SourceError

__all__ = ["load"]

ALIASES: Final = 1_000


class _Loader(yaml.SafeLoader):
    """A safe loader without merged mappings, and with a limit on aliases."""

    aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > ALIASES:
                raise yaml.YAMLError(f"more than {ALIASES} aliases")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave `<<` as it stands: merged lists of mappings grow with the power of their depth."""


def load(text: str) -> object:
    """Parse one document. What aliases share stays shared, so walk only along keys that you know.

    Raises SourceError when it is no YAML, or more than plain.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise SourceError(f"not YAML: {' '.join(str(error).split())[:200]}") from None
