"""The command line: one file per command."""

from __future__ import annotations

import sys

from spantriage.errors import MissingExtra, SpantriageError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 success, 1 findings at or above `--fail-on`, 2 usage or unreadable input."""
    try:
        from spantriage.cli.app import app
    except ImportError as error:
        missing = MissingExtra("the command line", "cli")
        print(f"{missing} ({error})", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        app(arguments)
    except SpantriageError as error:
        print(f"spantriage: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        raise SystemExit(0) from None
