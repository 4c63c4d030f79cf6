"""Every exception that spantriage raises on purpose.

SpantriageError
├── ConfigError(ValueError)     a setting is unknown or has a bad value
├── SourceError(ValueError)     a recorded run cannot be read
│   └── NotARun                 it is JSON, but no recorded run in a format that we know
├── SinkError(OSError)          a sink that was asked for by name cannot be opened
├── AttachError(RuntimeError)   there is no tracer provider to attach to
└── MissingExtra(ImportError)   an optional library is needed

None of them ever leaves a span hook: on the agent's path errors are counted, not raised.
"""

__all__ = ["AttachError", "ConfigError", "MissingExtra", "NotARun", "SinkError", "SourceError", "SpantriageError"]


class SpantriageError(Exception):
    """The root of the tree; catch this to catch them all."""


class ConfigError(SpantriageError, ValueError):
    """A setting is unknown or has a bad value; the message names the setting and where it was read."""


class SourceError(SpantriageError, ValueError):
    """A recorded run cannot be read; the message names file and line."""


class NotARun(SourceError):
    """A JSON file in no format that we know; in a folder such files are passed over."""


class SinkError(SpantriageError, OSError):
    """A sink that was asked for by name cannot be opened; the message names the sink and the reason."""


class AttachError(SpantriageError, RuntimeError):
    """There is nothing to attach to; the message says how to get a tracer provider."""


class MissingExtra(SpantriageError, ImportError):
    """An optional library is needed; the message is the pip line that installs it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f'{purpose} needs an extra: pip install "spantriage[{extra}]"')
