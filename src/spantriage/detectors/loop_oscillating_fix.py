"""loop.oscillating_fix"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from spantriage import text
from spantriage.calls import Calls, calls_of
from spantriage.deeds import deed_of, passed, sets_all, target_of
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, calls, fails
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import RunState


def _writes(content: str, path: str = "app.py") -> Step:
    return calls("write_file", f'{{"path": "{path}", "content": "{content}"}}', "written")


def _replaces(old: str, new: str) -> Step:
    return calls("str_replace", f'{{"path": "app.py", "old_str": "{old}", "new_str": "{new}"}}', "edited")


def _tests(result: str) -> Step:
    return calls("run_tests", "{}", result)


_BAD, _GOOD = "1 failed, 4 passed", "5 passed"


@dataclass(slots=True)
class _Swing:
    """What went to and fro, and the steps at which it came back to where it had been."""

    steps: list[Step] = field(default_factory=list)
    returns: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OscillatingFix(Detector):
    """An agent undoes its own work: it puts a file back to what it was before, or its changes make a test pass, fail and pass in turn.

    `reason` is "content" (the same edit was made again after another, or turned round) or "tests" (the same check
    flipped, with edits between).

    ## Why it matters
    Two faults pull at one place, and each repair brings the other back. More turns of the same kind do not end it.

    ## What to do
    Keep the state that worked, and change one thing at a time from there. Show the agent both failures at once.

    ## When it is wrong
    Taking back an experiment is good practice, and so is one failing test on the way: a single return is only "info".
    Which calls edit and which ones check is read from their names and commands.
    """

    code = "loop.oscillating_fix"
    category = "model_logic"
    subcategory = "wrong_strategy"
    score = 0.6
    actionable = "Keep the last state that worked, and let the agent see both failures at once."
    tier = "run"

    returns: int = 3
    """How many returns to an earlier state are a warning; one alone is told as info."""

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Look at each file's edits, then at each check's results."""
        for made in calls_of(settled):
            for target, swing in _edits(made).items():
                if swing.returns:
                    yield self._speak(swing, f"{target} was put back to an earlier state {_times(swing)}", "content", made)
            for swing in _checks(made).values():
                if swing.returns:
                    tool = swing.steps[0].tool
                    yield self._speak(
                        swing, f"The same check with {tool} failed again {_times(swing)} after edits that had mended it", "tests", made
                    )

    def _speak(self, swing: _Swing, summary: str, reason: str, made: Calls) -> Verdict:
        few = len(swing.returns) < self.returns
        return self.found(
            swing.returns[-1],
            summary,
            reason=reason,
            severity="info" if few else None,
            score=0.4 if few else None,
            evidence=swing.steps[-8:],
            wasted=made.between(swing.steps[0], swing.returns[-1]),
        )

    fires_on = (
        (_writes("a"), _writes("b"), _writes("a"), answers("done")),
        (_writes("a"), _writes("b"), _writes("a"), _writes("b"), _writes("a"), answers("done")),
        (_replaces("x", "y"), _tests(_BAD), _replaces("y", "x"), answers("done")),
        (_tests(_BAD), _writes("a"), _tests(_GOOD), _writes("b"), _tests(_BAD), answers("done")),
        tuple(
            calls("bash", f'{{"command": "{command}"}}', "<returncode>0</returncode>")
            for command in ("git checkout a.py", "sed -i s/x/y/ a.py", "git checkout a.py", "sed -i s/x/z/ a.py", "git checkout a.py")
        ),
    )
    quiet_on = (
        (_writes("a"), _writes("b"), _writes("c"), answers("done")),
        (_writes("a"), _writes("a"), answers("done")),
        (_writes("a", "one.py"), _writes("b", "two.py"), _writes("a", "three.py"), answers("done")),
        (_tests(_BAD), _writes("a"), _tests(_BAD), _writes("b"), _tests(_GOOD), answers("done")),
        (_tests(_GOOD), _tests(_BAD), _tests(_GOOD), answers("done")),
        (_writes("a"), fails(_writes("b"), "PermissionError", "read-only"), _writes("a"), answers("done")),
        tuple(calls("set_light", f'{{"room": "hall", "on": "{on}"}}', "ok") for on in ("yes", "no", "yes")),
    )


def _edits(made: Calls) -> dict[str, _Swing]:
    """Each file's edits; one comes back when an earlier edit, not the last, was the same, or the last was its reverse."""
    swings: dict[str, _Swing] = {}
    last: dict[str, int] = {}
    seen: set[tuple[str, object]] = set()  # file and edit, by digest and by what it swapped
    for step in made.tools:
        target = target_of(step) if step.sign == "ok" and deed_of(step) == "edit" else None
        if target is None or step.arguments_digest is None:
            continue
        own, swap = step.arguments_digest, _swap(step)
        was_turned = swap is not None and (target, swap[::-1]) in seen
        was_there = last.get(target, own) != own and (target, own) in seen and sets_all(step)
        swing = swings.setdefault(target, _Swing())
        swing.steps.append(step)
        if was_turned or was_there:
            swing.returns.append(step)
        last[target] = own
        seen.update(((target, own), (target, swap)))
    return swings


def _swap(step: Step) -> tuple[str, str] | None:
    """What an edit takes out and what it puts in, where its arguments were short enough to be kept."""
    arguments = text.load(step.arguments)
    if not isinstance(arguments, dict):
        return None
    old = next((arguments[key] for key in ("old_string", "old_str", "old", "search", "before") if key in arguments), None)
    new = next((arguments[key] for key in ("new_string", "new_str", "new", "replace", "after") if key in arguments), None)
    return (old, new) if type(old) is str and type(new) is str and old != new else None


def _checks(made: Calls) -> dict[object, _Swing]:
    """Each check's results; one comes back when it fails after it had failed and then passed, with edits before each change."""
    swings: dict[object, _Swing] = {}
    last: dict[object, tuple[bool, int]] = {}
    mended: set[object] = set()
    edits = 0
    for step in made.tools:
        deed = deed_of(step)
        edits += deed == "edit" and step.sign == "ok"
        good = passed(step) if deed == "check" and step.arguments_digest is not None else None
        if good is None:
            continue
        key = step.tool, step.arguments_digest
        swing = swings.setdefault(key, _Swing())
        swing.steps.append(step)
        before, when = last.get(key, (good, edits))
        if good and not before and edits > when:
            mended.add(key)
        elif not good and before and edits > when and key in mended:
            swing.returns.append(step)
        last[key] = good, edits
    return swings


def _times(swing: _Swing) -> str:
    number = len(swing.returns)
    return "once" if number == 1 else f"{number} times"
