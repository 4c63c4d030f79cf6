"""infra.error"""

from __future__ import annotations

from dataclasses import dataclass

from spantriage.detectors.example import agent, answers, asks, calls, fails, span
from spantriage.detectors.troubled_place import TroubledPlace


@dataclass(frozen=True, slots=True)
class InfraError(TroubledPlace):
    """The place where tools run has failed: its container, its disk, its network.

    ## Why it matters
    No prompt and no model helps here. Runs that fail like this say nothing about the agent, and should be left out when
    agents are compared.

    ## What to do
    Read the words in the evidence: a full disk, a sandbox that died, a clone that broke off (`RPC failed`), a name that
    cannot be resolved. Run the task again once it is mended.

    ## When it is wrong
    An agent may have filled the disk or cut the network itself, and tasks about broken networks look broken. Where its
    next tools work again the finding is "info".
    """

    code = "infra.error"
    category = "infrastructure"
    actionable = "Look after the place where tools run: its disk, its network, its containers."
    trouble = "error"
    says = "failed because of the place where it ran"

    fires_on = (
        (asks("bash"), calls("bash", '{"command": "git clone x"}', "error: RPC failed; curl 56 GnuTLS recv error (-54)"), answers("sorry")),
        (asks("run"), fails(calls("run"), "SandboxError", "sandbox s-1 is not running: connection refused"), answers("sorry")),
        (asks("bash"), calls("bash", '{"command": "cp a b"}', "cp: error writing 'b': No space left on device"), answers("sorry")),
        (fails(agent("boss"), "RuntimeError", "failed to start docker container: no such image"), answers("sorry")),
        (fails(span("workflow", "setup"), "OSError", "[Errno 28] No space left on device"), answers("sorry")),
    )
    quiet_on = (
        (asks("bash"), calls("bash", '{"command": "git clone x"}', "Cloning into 'x'..."), answers("done")),
        (asks("search"), fails(calls("search"), "ValueError", "service down"), answers("sorry")),
        (asks("fetch"), fails(calls("fetch"), "ConnectionError", "connection refused by https://crm.example"), answers("sorry")),
        (asks("read"), calls("read", '{"path": "faq.md"}', "What to do when there is no space left on device"), answers("read")),
        (asks("bash"), calls("bash", '{"command": "docker ps"}', "CONTAINER ID  IMAGE\n1f  sandbox: running"), answers("one")),
    )
