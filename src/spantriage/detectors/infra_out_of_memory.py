"""infra.out_of_memory"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spantriage import text
from spantriage.detectors import Detector
from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.environment import trouble_of, troubles_of
from spantriage.failures import HOSTS
from spantriage.model import Step, Verdict
from spantriage.settled import Settled
from spantriage.state import AgentState, RunState


@dataclass(frozen=True, slots=True)
class InfraOutOfMemory(Detector):
    """A tool, or the place where it runs, was killed for want of memory.

    ## Why it matters
    Exit code 137 says nothing to a model: it mostly tries the same command again, and is killed again. The failure is
    not the agent's.

    ## What to do
    Raise the limit of the sandbox or container, or make the tool read its input in pieces. Say in the tool's result
    that memory was what was lacking.

    ## When it is wrong
    Whatever kills with signal 9 leaves exit code 137 as well, a time limit among them. Where the agent's next tools
    work again the finding is "info".
    """

    code = "infra.out_of_memory"
    category = "resource_limit"
    score = 0.8
    actionable = "Give the place where tools run more memory, or let the tool work on less at a time."
    speaks_of = HOSTS | {"tool"}

    def check(self, step: Step, agent: AgentState) -> Iterator[Verdict]:
        """While the run is live: speak at once."""
        if not agent.run.ended and trouble_of(step) == "out_of_memory":
            yield self._speak(step, went_on=False)

    def conclude(self, run: RunState, settled: Settled) -> Iterator[Verdict]:
        """Speak of each step that it hit, softly where the agent's next tools worked again."""
        for step, went_on in troubles_of(settled, "out_of_memory"):
            yield self._speak(step, went_on=went_on)

    def _speak(self, step: Step, *, went_on: bool) -> Verdict:
        words = step.error_message if step.failed else text.clip(" ".join((step.result or "").split()), 160)
        where = f"Tool {step.tool}" if step.kind == "tool" else f"{step.kind.capitalize()} {step.name}"
        return self.found(
            step,
            f"{where} ran out of memory",
            root_cause=words,
            reason=step.error_type,
            severity="info" if went_on and not step.failed else None,
        )

    fires_on = (
        (asks("bash"), calls("bash", '{"command": "make"}', "g++: fatal error\nKilled"), answers("sorry")),
        (
            asks("bash"),
            calls("bash", '{"command": "python train.py"}', "<returncode>137</returncode>\n<output></output>"),
            answers("sorry"),
        ),
        (asks("load"), fails(calls("load"), "MemoryError", ""), answers("sorry")),
        (asks("run"), fails(calls("run"), "SandboxError", "container was OOMKilled"), answers("sorry")),
    )
    quiet_on = (
        (asks("bash"), calls("bash", '{"command": "make"}', "ok"), answers("done")),
        (asks("read"), calls("read", '{"path": "oom.md"}', "When the kernel runs out of memory ... exit code 137"), answers("read")),
        (asks("search"), calls("search", result="5 articles: 'Out of memory errors in Java', ..."), answers("five")),
        (asks("bash"), calls("bash", '{"command": "ls"}', "<returncode>1</returncode>"), answers("no")),
    )
