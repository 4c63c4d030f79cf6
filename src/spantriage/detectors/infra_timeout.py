"""infra.timeout"""

from __future__ import annotations

from dataclasses import dataclass

from spantriage.detectors.example import answers, asks, calls, fails
from spantriage.detectors.troubled_place import TroubledPlace


@dataclass(frozen=True, slots=True)
class InfraTimeout(TroubledPlace):
    """A command or a sandbox was stopped because its time was up.

    ## Why it matters
    What the command had done until then may be half done. The agent has waited for all of it, and so has whoever pays
    for the machine.

    ## What to do
    Give long work a limit of its own, or start it in the background. Say in the result how long the limit is, so that
    the model can choose a smaller piece.

    ## When it is wrong
    A limit that the agent itself has set (`timeout 10 ...`) is a way of asking. A slow service behind a tool is
    `tool.error`. Where the agent's next tools work again the finding is "info".
    """

    code = "infra.timeout"
    category = "resource_limit"
    actionable = "Raise the tool's time limit, or let long work run in the background and ask for its state."
    trouble = "timeout"
    says = "was stopped by its time limit"

    fires_on = (
        (
            asks("bash"),
            calls("bash", '{"command": "pytest"}', "The last command <command>pytest</command> timed out and has been killed."),
            answers("sorry"),
        ),
        (asks("bash"), calls("bash", '{"command": "make"}', "<returncode>124</returncode>"), answers("sorry")),
        (asks("run"), fails(calls("run"), "TimeoutExpired", "Command 'make' timed out after 600 seconds"), answers("sorry")),
        (asks("run"), calls("run", result="Error: sandbox timed out after 300 s"), answers("sorry")),
    )
    quiet_on = (
        (asks("bash"), calls("bash", '{"command": "pytest"}', "5 passed"), answers("done")),
        (asks("fetch"), fails(calls("fetch"), "httpx.ReadTimeout", "timed out"), answers("sorry")),
        (asks("read"), calls("read", '{"path": "log.txt"}', "12:00 command foo timed out and has been killed"), answers("read")),
        (fails(answers(None, finish=None), "APITimeoutError", "Request timed out."),),
    )
