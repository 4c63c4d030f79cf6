"""3: the commands that agents ran: which again and again, which with too much output, which slowly."""

from __future__ import annotations

from typing import Final

from spantriage.report.case import Case
from spantriage.report.commands import Pattern, advice, patterns
from spantriage.report.figures import length, number, seconds
from spantriage.report.words import Row, Section, Sentence, code, tell

__all__ = ["LONG", "OFTEN", "command_patterns"]

OFTEN: Final = 3  # so many times is frequently
LONG: Final = 5_000  # characters of output that are too many
SHOWN: Final = 30
SLOWEST: Final = 10


def command_patterns(case: Case) -> Section:
    """Three tables over the patterns of commands."""
    section = Section("3. Command Pattern Analysis")
    found = patterns(case)
    nothing = _nothing(case)
    section.heading("Frequently Repeated Commands")
    often = [_often(case, pattern) for pattern in found if pattern.times >= OFTEN][:SHOWN]
    few = tell("No command ran {} times or more.", OFTEN)
    section.table(("Command", "Times Run", "Issue", "Recommendation"), often, few if found else nothing)
    section.heading("Commands with Excessive Output")
    large = sorted((pattern for pattern in found if pattern.output > LONG), key=lambda pattern: -pattern.output)[:SHOWN]
    short = tell("No command's output was longer than {} characters.", LONG)
    section.table(("Command", "Output Size", "Issue"), [_large(case, pattern) for pattern in large], short if found else nothing)
    section.heading("Slowest Command Patterns")
    slow = sorted((pattern for pattern in found if pattern.timed), key=lambda pattern: (-max(pattern.timed), pattern.name))[:SLOWEST]
    untimed = Sentence("No data: how long single commands took.")
    section.table(("Pattern", "Max Time", "Avg Time", "Notes"), [_slow(case, pattern) for pattern in slow], untimed if found else nothing)
    return section


def _often(case: Case, pattern: Pattern) -> Row:
    issue, cure = advice(pattern.name)
    same = max(pattern.exact.values())
    told = tell("{}" + (f"; {same} times with the very same arguments" if same > 1 else "") + ".", issue)
    refs = case.cite(*pattern.calls) or case.file("streaming_debug.log", pattern.name[:20])
    return (tell("{}", code(pattern.name)), pattern.times, told, cure), refs


def _large(case: Case, pattern: Pattern) -> Row:
    longest = sorted(pattern.calls, key=lambda call: -(length(call.result) or 0))
    issue = "All of it goes into the model's context; ask for less of it."
    return (tell("{}", code(pattern.name)), f"{pattern.output:,} characters", issue), case.cite(*longest)


def _slow(case: Case, pattern: Pattern) -> Row:
    timed = pattern.timed
    slowest = sorted(pattern.calls, key=lambda call: -call.duration_ns)[:3]
    return (tell("{}", code(pattern.name)), seconds(max(timed)), seconds(sum(timed) / len(timed)), number(len(timed), "call")), case.cite(
        *slowest
    )


def _nothing(case: Case) -> Sentence:
    """Why there are no commands: none ran, or nothing tells of them."""
    asked = [step for step in case.attempts if (step.note or {}).get("tool_calls")]
    if case.log is not None and not case.calls:
        gone = "" if case.places is not None and case.places.has("streaming_debug.log") else "; there is no streaming_debug.log either"
        return tell(
            f"No command was run: the log counts no tool call{gone}.",
            refs=[*case.file("status.json", "total_calls"), *case.cite(*asked[:1])],
        )
    return Sentence("No command was run." if case.calls else "No data: commands; no tool call was recorded.")
