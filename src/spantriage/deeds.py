"""What a tool call does to the world, as its name and its command say: it changes something, checks it, or only looks.

Nothing tells this but words, so that what follows from it is never more than a likely claim.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from spantriage.model import Step

__all__ = ["Deed", "command_of", "deed_of", "passed", "sets_all", "target_of", "words_of"]

Deed = Literal["edit", "check", "read", "shell", "other"]
READ: Final = 400  # characters at either end of a result that are looked at
_ARGUMENTS: Final = 1_500  # characters of a call's arguments that are

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SHELLS: Final = frozenset({"bash", "shell", "sh", "zsh", "terminal", "console", "powershell", "command", "cmd", "exec", "execution"})
_EDITS: Final = frozenset(
    {"edit", "write", "create", "insert", "replace", "patch", "modify", "update", "delete", "remove", "overwrite", "append", "rename",
     "save", "set", "apply", "fix", "refactor", "submit", "deploy", "publish", "migrate", "commit"}
)  # fmt: skip
_CHECKS: Final = frozenset(
    {"test", "tests", "check", "verify", "validate", "validation", "lint", "linter", "typecheck", "compile", "build", "review", "diagnose",
     "diagnostics", "pytest", "evaluate", "assert", "confirm"}
)  # fmt: skip
_READS: Final = frozenset(
    {"get", "read", "search", "list", "find", "fetch", "view", "grep", "glob", "ls", "look", "lookup", "query", "browse", "visit", "open",
     "inspect", "show", "cat", "retrieve", "load", "web", "calculate", "think", "describe", "status"}
)  # fmt: skip
_NOTES: Final = frozenset({"todo", "todos", "plan", "memory", "note", "notes"})  # changes nothing but what the agent says to itself
_COMMAND: Final = re.compile(r'"(?:command|cmd|script|code|input)"\s*:\s*\[?\s*"')
_TARGET: Final = re.compile(r'"(?:file_?path|filePath|path|file|filename|file_?name|target_file|uri|notebook_path)"\s*:\s*"([^"]{1,300})"')
_REDIRECTED: Final = re.compile(r"(?<![>&\d])>\s{0,3}([\w./~-]{1,200})")
_RESTORED: Final = re.compile(r"\bgit\s+(?:checkout|restore)\s+(?:[\w-]{1,40}\s+)?(?:--\s+)?([\w./~-]{1,200}\.\w{1,8})\b")
_IN_PLACE: Final = re.compile(
    r"(?:^|[;&|\n]|\\n)\s{0,8}(?:sed|perl)\s+-[a-z]*i[a-z.]*\s.{0,600}?([\w./~-]+\.\w{1,8})(?=\s*(?:[\"';&|]|\\n|$))"
)
_SHELL_EDIT: Final = re.compile(
    r"(?:^|[;&|\n]|\\n)\s{0,8}(?:(?:sed|perl)\s+-[a-z]*i|patch\s|git\s+(?:apply|checkout|restore|revert)\s|tee\s|apply_patch\b"
    r"|(?:cat|echo|printf)\b[^|;&]{0,400}?>{1,2}\s{0,3}[\w./~-])"
)
_SHELL_CHECK: Final = re.compile(
    r"\b(?:pytest|py\.test|unittest|tox|nox|runtests(?:\.py)?|ctest|rspec|jest|vitest|mocha|phpunit|mypy|pyright|pylint|flake8|eslint|tsc"
    r"|py_compile|coqc|javac|gcc|g\+\+|rustc|sphinx-build)\b"
    r"|\b(?:npm|pnpm|yarn|bun|go|cargo|mvn|gradle|gradlew|dotnet|mix|swift|zig|make|just)\s+(?:run\s+)?(?:test|check|build|vet|lint|clippy|verify)"
    r"|\bmanage\.py\s+(?:test|check)|\bmake\b"
    r"|\b(?:python[\d.]*|node|ruby|perl|bash|sh|php|go\s+run)\s+(?:-\w\s+)?[\w./-]+\.\w{1,4}\b|(?:^|[;&|]\s{0,3})\./[\w./-]+"
)
_CODE: Final = re.compile(
    r"(?:<returncode>|exit(?:ed)?(?: with)?[ _]?(?:code|status)\W{1,3}|return ?code\W{1,3}|^\[exit )(-?\d{1,3})\b", re.IGNORECASE
)
_BAD: Final = re.compile(
    r"\b[1-9]\d{0,4} (?:tests? )?(?:failed|failures?|errors?|failing)\b|\bFAIL(?:ED|URES?)?\b|^Traceback \(most|\n\s*Traceback \(most"
    r"|\b(?:Assertion|Syntax|Type|Name|Import|ModuleNotFound|Attribute|Value|Key|Index|Indentation)Error\b|\btests? failed\b"
    r"|^(?:error|failed|failure)\b|\bcompilation (?:failed|error)|\bbuild failed|\bcommand not found",
    re.MULTILINE,
)
_GOOD: Final = re.compile(
    r"\b[1-9]\d{0,6} (?:tests? )?(?:passed|passing)\b|\ball (?:tests|checks) (?:passed|pass)\b|^OK\b|\b0 (?:failed|failures|errors)\b"
    r"|\b(?:build|compilation) (?:succeeded|successful)\b|\bsuccess(?:fully)?\b|^(?:ok|passed|pass|valid)\b",
    re.IGNORECASE | re.MULTILINE,
)


def deed_of(step: Step) -> Deed:
    """What a tool call does. A shell's command decides for itself; a name that says nothing is "other"."""
    return _deed((step.tool or "")[:READ], (step.arguments or "")[:_ARGUMENTS])


@lru_cache(maxsize=4_096)  # several detectors ask of each call
def _deed(tool: str, arguments: str) -> Deed:
    words = words_of(tool)
    if not words.isdisjoint(_NOTES):
        return "other"
    if not words.isdisjoint(_SHELLS) and words.isdisjoint(_CHECKS):
        command = _command(arguments)
        if _SHELL_EDIT.search(command):
            return "edit"
        return "check" if _SHELL_CHECK.search(command) else "shell"
    for deed, names in _NAMED:
        if not words.isdisjoint(names):
            return deed
    return "other"


_NAMED: Final[tuple[tuple[Deed, frozenset[str]], ...]] = (("check", _CHECKS), ("read", _READS), ("edit", _EDITS))


@lru_cache(maxsize=1_024)
def words_of(name: str) -> frozenset[str]:
    """The words of a name in any spelling: `str_replace_editor`, `strReplaceEditor`, `files.str-replace`."""
    return frozenset(word.lower() for word in _WORD.findall(name[:200]))


def command_of(step: Step) -> str:
    """The command line or code of a call, or its arguments as they are."""
    return _command((step.arguments or "")[:_ARGUMENTS])


def _command(arguments: str) -> str:
    found = _COMMAND.search(arguments)
    return arguments[found.end() :] if found else arguments


def target_of(step: Step) -> str | None:
    """The file that a call is about, where its arguments name one."""
    found = _TARGET.search((step.arguments or "")[:_ARGUMENTS])
    if found is None and _SHELL_EDIT.search(command := command_of(step)):
        found = _RESTORED.search(command) or _IN_PLACE.search(command) or _REDIRECTED.search(command)
    return found[1].removeprefix("./") if found else None


def sets_all(step: Step) -> bool:
    """Whether an edit leaves its file in a state that the call alone decides; an appended line or a `sed` does not."""
    if words_of(step.tool or "").isdisjoint(_SHELLS):
        return True
    command = command_of(step)
    return _RESTORED.search(command) is not None or (_REDIRECTED.search(command) is not None and ">>" not in command)


def passed(step: Step) -> bool | None:
    """Whether a check went well; None when its result does not say."""
    if step.sign not in ("ok", "error", "silent_failure"):
        return None
    if step.failed or step.sign == "silent_failure":
        return False
    result = step.result or ""
    return _went_well(result if len(result) <= 2 * READ else f"{result[:READ]}\n{result[-READ:]}")


@lru_cache(maxsize=1_000)
def _went_well(said: str) -> bool | None:
    lowered = said.lower()
    code = _CODE.search(said) if "code" in lowered or "exit" in lowered or "status" in lowered else None
    if code is not None:
        return code[1] == "0" and _BAD.search(said) is None
    if _BAD.search(said):
        return False
    return True if _GOOD.search(said) else None
