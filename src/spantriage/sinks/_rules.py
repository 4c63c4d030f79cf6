"""Rules that say who is told of what: read from TOML, each checked, with the file and the rule named where one is wrong."""

from __future__ import annotations

import tomllib
from datetime import datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spantriage.cause import RANK
from spantriage.errors import ConfigError
from spantriage.finding import Finding
from spantriage.model import Severity

__all__ = ["Rule", "read_rules"]

TARGETS: Final = ("webhook", "command", "callback", "jsonl", "console")  # schemes that may stand in `to`
Seconds = Annotated[float, Field(ge=0, lt=1e9)]


class Rule(BaseModel):
    """One rule: what it matches, when that is enough, who is told, and when not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.-]+$")
    to: tuple[str, ...] = Field(min_length=1, description="sinks, such as webhook:https://... or command:notify")
    codes: tuple[str, ...] = Field(default=(), description="codes or topics (`loop`); none: all")
    severity: Severity = Field(default="error", description="from which on")
    kind: Literal["incident", "outcome"] | None = Field(default=None, description="`outcome`: this agent or run failed")
    agents: tuple[str, ...] = Field(default=(), description="names, * and ? stand for anything; none: all")
    at_least: int = Field(default=1, ge=1, lt=1_000_000, description="findings of a group within `within_s`")
    within_s: float = Field(default=300.0, gt=0, lt=1e9)
    burn_usd_per_hour: float | None = Field(
        default=None, gt=0, description="an agent's spending within `within_s`, by the hour; no findings"
    )
    red_flags: bool = Field(default=False, description="red flags of an agent's record; no findings")
    group_by: tuple[Literal["agent", "code", "trace_id"], ...] = Field(default=("agent", "code"), description="one message for each")
    group_s: Seconds = Field(default=0.3, description="how long a message waits for company")
    repeat_s: Seconds = Field(default=3_600.0, description="how long what goes on is not told again")
    recovers_s: Seconds = Field(default=600.0, description="how long nothing must match until recovery is told; 0: never told")
    quiet: tuple[str, ...] = Field(default=(), description="times of day such as 22:00-07:00: what is not critical waits until their end")
    timezone: str = "UTC"

    @field_validator("severity")
    @classmethod
    def _is_level(cls, value: str) -> str:
        if value == "info":
            raise ValueError("info says that nothing need be done: warning, error or critical")
        return value

    @field_validator("quiet")
    @classmethod
    def _are_times(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for span in value:
            _times(span)
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"no time zone is called {value!r}") from error
        return value

    @field_validator("to")
    @classmethod
    def _are_sinks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(target.partition(":")[0] not in TARGETS for target in value):
            raise ValueError(f"each begins with one of: {', '.join(TARGETS)}")  # the target itself may be secret
        return value

    @property
    def watches(self) -> bool:
        """Whether it looks at records, and not at findings."""
        return self.red_flags or self.burn_usd_per_hour is not None

    def matches(self, finding: Finding) -> bool:
        """Whether a finding counts for it."""
        topic = finding.code.partition(".")[0]
        return (
            not self.watches
            and RANK[finding.severity] >= RANK[self.severity]
            and (not self.codes or finding.code in self.codes or topic in self.codes)
            and (self.kind is None or finding.kind == self.kind)
            and self.is_about(finding.agent or "unknown")
        )

    def is_about(self, agent: str) -> bool:
        """Whether it looks at this agent."""
        return not self.agents or any(fnmatchcase(agent, pattern) for pattern in self.agents)

    def group_of(self, finding: Finding) -> tuple[str, ...]:
        """What a finding is told together with."""
        return tuple(str(getattr(finding, name) or "unknown") for name in self.group_by)

    def is_quiet(self, now: datetime) -> bool:
        """Whether it is a time of day at which nobody is to be disturbed."""
        here = now.astimezone(ZoneInfo(self.timezone)).time()
        return any((a <= here < b) if a <= b else (here >= a or here < b) for a, b in map(_times, self.quiet))


def _times(said: str) -> tuple[time, time]:
    begin, dash, end = said.partition("-")
    try:
        if not dash:
            raise ValueError
        return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
    except ValueError:
        raise ValueError(f"quiet times are such as 22:00-07:00, not {said!r}") from None


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules in a file, `[[rule]]` each. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"alert rules {path}: {getattr(error, 'strerror', None) or error}") from error
    given = found.get("rule")
    if not isinstance(given, list) or not given or found.keys() - {"rule"}:
        raise ConfigError(f"alert rules {path}: there should be [[rule]] tables, and nothing else")
    rules: list[Rule] = []
    for number, fields in enumerate(given, 1):
        try:
            rule = Rule.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "it"
            raise ConfigError(f"alert rules {path}: rule {number}, {place}: {first['msg']}") from None
        if any(rule.name == other.name for other in rules):
            raise ConfigError(f"alert rules {path}: rule {number}: there is another rule {rule.name!r}")
        rules.append(rule)
    return tuple(rules)
