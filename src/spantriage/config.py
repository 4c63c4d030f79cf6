"""Settings: by argument, by `SPANTRIAGE_*` variable, by `[tool.spantriage]` in pyproject.toml, in that order."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spantriage.errors import ConfigError

if TYPE_CHECKING:
    from spantriage.detectors import Detector

__all__ = ["Settings", "configure_detectors", "load_settings"]

PREFIX: Final = "SPANTRIAGE_"
DEFAULT_SINKS: Final = ("otlp", "jsonl:.spantriage/findings.jsonl")
BUDGETS: Final = "cost.budget_exceeded"  # the detector that tells by a finding, too, when an agent uses more than it may
SWITCH: Final = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """How spantriage behaves. Every field is a setting; `SPANTRIAGE_GRACE_S=5` sets `grace_s`."""

    sinks: tuple[str, ...] = DEFAULT_SINKS
    """Where findings go, such as `jsonl:findings.jsonl` or `otlp`; in a variable separated by commas."""
    enrich: bool = True
    """Write verdicts and records onto spans before they are exported."""
    store: str = ""
    """A folder in which every span and finding is kept for questions: `FOLDER` or `FOLDER?content=yes&keep_days=30`; empty: none."""
    select: tuple[str, ...] = ()
    """Detector codes or topics (`loop`) to use; empty: all."""
    ignore: tuple[str, ...] = ()
    """Detector codes or topics to leave out."""
    grace_s: float = 2.0
    """How long after its root ended a run waits for late spans before it is judged, in seconds."""
    idle_s: float = 60.0
    """How long without a span until a run without an ended root counts as abandoned, in seconds."""
    max_runs: int = 10_000
    """Runs kept at the same time; beyond it the one idle for longest is judged early and let go."""
    max_steps: int = 32_000
    """Steps kept of one run; later ones are counted and not looked at again."""
    queue_size: int = 8_192
    """Ended spans that may wait for the worker; beyond it the oldest is dropped and counted."""
    journal: str = ""
    """Folder of the journal of open spans, by which the next start tells of a crash; empty: beside a `jsonl` sink; `off`: none."""
    budget_usd: float = 0.0
    """Dollars after which `Triage.should_stop` stops an agent within a run; 0: any number."""
    budget_tokens: int = 0
    """Tokens after which it does; 0: any number."""
    budget_steps: int = 0
    """Model calls and tool calls after which it does; 0: any number."""
    exit_s: float = 1.5
    """How long the end of the process may wait for findings to leave, in seconds."""
    detectors: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Settings of single detectors: `[tool.spantriage.detectors."loop.repeated_call"] at = 5`."""


def load_settings(given: Mapping[str, object] | None = None, *, folder: Path | None = None, file: Path | None = None) -> Settings:
    """Put the settings together: the project's, or those of a TOML file that was asked for; the environment's; those given.

    Raises ConfigError naming the setting and where it was read.
    """
    settings = Settings()
    for origin, values in (
        ("pyproject.toml", _project(folder)) if file is None else (str(file), _asked(file)),
        ("environment", _environment(os.environ)),
        ("argument", {k: v for k, v in (given or {}).items() if v is not None}),
    ):
        settings = replace(settings, **{name: _read(name, value, origin) for name, value in values.items()})  # type: ignore[arg-type]  # checked by _read
    return settings


def configure_detectors(settings: Settings, known: Iterable[type[Detector]]) -> tuple[Detector, ...]:
    """The selected detectors with their settings. Raises ConfigError for a code or a field that does not exist."""
    chosen: list[Detector] = []
    detectors = list(known)
    topics = {d.code for d in detectors} | {d.code.partition(".")[0] for d in detectors}
    for word in (*settings.select, *settings.ignore, *settings.detectors):
        if word not in topics:
            raise ConfigError(f"no detector is called {word!r}; 'spantriage detectors list' names them all")
    for detector in detectors:
        names = {detector.code, detector.code.partition(".")[0]}
        if (settings.select and not names & {*settings.select}) or names & {*settings.ignore}:
            continue
        chosen.append(_configure(detector, settings))
    return tuple(chosen)


def _configure(detector: type[Detector], settings: Settings) -> Detector:
    values = settings.detectors.get(detector.code, {})
    if not isinstance(values, Mapping):
        raise ConfigError(f"settings of detector {detector.code} cannot be {values!r}; they are a table")
    if detector.code == BUDGETS:
        values = {**{f"agent_{what}": getattr(settings, f"budget_{what}") for what in ("usd", "tokens", "steps")}, **values}
    standard = detector()
    unknown = values.keys() - {f.name for f in fields(detector)}
    if unknown:
        raise ConfigError(f"detector {detector.code} has no setting {min(unknown)!r}")
    read: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(standard, name)
        try:
            read[name] = _convert(default, value)
        except (TypeError, ValueError):
            kind = type(default).__name__
            raise ConfigError(f"setting {name!r} of detector {detector.code} cannot be {value!r}; it is of the kind {kind}") from None
    return detector(**read)


def _project(folder: Path | None) -> dict[str, object]:
    try:
        folder = folder or Path.cwd()
    except OSError:  # it was deleted under us
        return {}
    for place in (folder, *folder.parents):
        try:
            with (place / "pyproject.toml").open("rb") as file:
                found: object = tomllib.load(file)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            return {}  # a broken project file is its owner's business; the program must still run
        return _table(found) or {}
    return {}


def _asked(file: Path) -> dict[str, object]:
    """A file of settings: a table `tool.spantriage` as in pyproject.toml, or else the whole file."""
    try:
        with file.open("rb") as opened:
            found = tomllib.load(opened)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    table = _table(found)
    return found if table is None else table


def _table(found: object) -> dict[str, object] | None:
    for name in ("tool", "spantriage"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _environment(variables: Mapping[str, str]) -> dict[str, object]:
    names = {f.name for f in fields(Settings)} - {"detectors"}
    return {
        key.removeprefix(PREFIX).lower(): value
        for key, value in variables.items()
        if key.startswith(PREFIX) and key.removeprefix(PREFIX).lower() in names
    }


def _read(name: str, value: object, origin: str) -> object:
    default = getattr(Settings(), name, None)
    if name not in {f.name for f in fields(Settings)}:
        raise ConfigError(f"unknown setting {name!r} in {origin}; there are: {', '.join(f.name for f in fields(Settings))}")
    try:
        return _convert(default, value)
    except (TypeError, ValueError):
        said = repr(value) if name != "sinks" or isinstance(value, int | float) else "that"  # a sink's target may be secret
        raise ConfigError(f"setting {name!r} in {origin} cannot be {said}; it is of the kind {type(default).__name__}") from None


def _convert(default: object, value: object) -> object:
    if isinstance(default, bool):
        word = str(value).lower()
        if word not in SWITCH:
            raise ValueError
        return SWITCH[word]
    if isinstance(default, int | float):
        if isinstance(value, bool):
            raise TypeError
        found = type(default)(str(value))
        if not (1 if isinstance(default, int) and default else 0) <= found < 1e12:  # a whole number that is 0 stands for "any"
            raise ValueError
        return found
    if isinstance(default, str):
        return os.fspath(value)  # type: ignore[call-overload]  # what is no path is a TypeError
    if isinstance(default, tuple):
        words = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else None
        if words is None or not all(isinstance(word, str) for word in words):
            raise TypeError
        return tuple(word.strip() for word in words if word.strip())
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return dict(value)
    raise TypeError
