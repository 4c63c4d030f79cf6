"""infra.out_of_memory"""

from __future__ import annotations

from dataclasses import dataclass

from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.detectors.troubled_place import TroubledPlace


@dataclass(frozen=True, slots=True)
class InfraOutOfMemory(TroubledPlace):
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
    actionable = "Give the place where tools run more memory, or let the tool work on less at a time."
    trouble = "out_of_memory"
    says = "ran out of memory"

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
