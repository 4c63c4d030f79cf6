"""Write docs/reference/ and docs/queries/ from the code, and docs/frameworks.md: `python docs/generate.py`.

With `--check` say what is out of date and exit 1.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

import query_pages

from spantriage import config
from spantriage.cli.detectors import page
from spantriage.detectors import all_detectors
from spantriage.finding import Finding
from spantriage.record import Record
from spantriage.taxonomy import SETS, crosswalk

FOLDER: Final = Path(__file__).parent
NOTE: Final = "<!-- Written by docs/generate.py; change the code, not this page. -->\n\n"


def detectors() -> str:
    """Every detector's page, after a table of them all."""
    found = [detector() for detector in all_detectors()]
    rows = [f"| [`{d.code}`](#{d.code.replace('.', '')}) | {d.severity} | {d.kind} | {d.category} | {d.title} |" for d in found]
    head = "# Detectors\n\n| code | severity | kind | category | what it is |\n|---|---|---|---|---|\n" + "\n".join(rows)
    pages = [lower(page(detector)) for detector in all_detectors()]
    return NOTE + "\n\n".join([head, *pages]) + "\n"


def lower(text: str) -> str:
    """The same page one heading level down."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.splitlines())


def settings() -> str:
    """Every setting with its default, variable and meaning."""
    rows = [
        f"| `{name}` | `SPANTRIAGE_{name.upper()}` | `{getattr(config.Settings(), name)!r}` | {meaning} |"
        for name, meaning in field_docs(config.Settings)
    ]
    return (
        f"{NOTE}# Settings\n\nBy argument of `attach`, by variable, or in `[tool.spantriage]` of pyproject.toml, in that order.\n"
        'A detector\'s own settings stand in `[tool.spantriage.detectors."code"]`. '
        "`SPANTRIAGE_DISABLED=1` turns `import spantriage.auto` off.\n\n"
        "| setting | variable | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def field_docs(kind: type) -> list[tuple[str, str]]:
    """Fields of a dataclass with the strings that stand under them in the source."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: list[tuple[str, str]] = []
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            found.append((node.target.id, str(after.value.value)))
    return found


def schema() -> str:
    """The JSON Schema of a finding."""
    return json.dumps(Finding.model_json_schema(), indent=2) + "\n"


def attributes() -> str:
    """The names that go onto spans."""
    record = "\n".join(f"| `triage.agent.{name}` |" for name in sorted({*dict(Record().flat()), *Record().as_dict()} - _NESTED))
    return (
        f"{NOTE}# Attributes on spans\n\n| on a step's span | meaning |\n|---|---|\n"
        "| `triage.codes` | codes of all findings on the span |\n| `triage.category` | category of the worst |\n"
        "| `triage.subcategory` | its subcategory, where it has one |\n| `triage.severity` | info, warning, error or critical |\n"
        "| `triage.score` | how likely the claim holds, 0 to 1 |\n\n"
        "On agents' spans and on roots also the reliability record; what is unknown is left out.\n\n"
        f"| on agents and roots |\n|---|\n{record}\n"
    )


_NESTED: Final = {"enforcement_attempts", "by_round", "workflow_errors", "findings", "total_enforcement_retries"}


def taxonomy() -> str:
    """The crosswalk to other taxonomies."""
    rows = []
    for code, entry in crosswalk().items():
        names = [", ".join(each) if isinstance(each, list) and each else "-" for each in (entry[name] for name in SETS)]
        rows.append(f"| `{code}` | {entry['category']} | {entry['subcategory'] or '-'} | {' | '.join(names)} |")
    head = f"| code | category | subcategory | {' | '.join(SETS)} |\n|{'---|' * (3 + len(SETS))}\n"
    return f"{NOTE}# What each code is called elsewhere\n\n{head}" + "\n".join(rows) + "\n"


def frameworks() -> str:
    """Frameworks and how they are instrumented, from frameworks.toml."""
    known = tomllib.loads((FOLDER / "frameworks.toml").read_text())
    scenarios = known["scenario"]
    facts, tried = [], []
    for framework in known["framework"]:
        for way in framework["way"]:
            seen = "run" if way["seen"] == "run" else f"from {way['seen']}"
            cells = (framework["name"], way["how"], seen, ", ".join(way["recognised"]), way.get("unseen", "-"), way["content"])
            facts.append(f"| {' | '.join(cells)} |")
            missed = way.get("missed", {})
            marks = (missed.get(scenario["name"], "found") for scenario in scenarios)
            if way["seen"] == "run":
                tried.append(f"| {framework['name']}, {way['by']} | {framework['versions']} | {' | '.join(marks)} |")
    what = " | ".join(f"{scenario['what']}: `{scenario['codes'][0]}`" for scenario in scenarios)
    note = NOTE.replace("change the code", "change frameworks.toml")
    head = f"| framework, way | versions | {what} |\n|{'---|' * (2 + len(scenarios))}\n"
    return f"{note}# Frameworks\n\n{FRAMEWORKS}" + "\n".join(facts) + f"\n\n## What was tried\n\n{TRIED}{head}" + "\n".join(tried) + "\n"


FRAMEWORKS: Final = (
    "Every library whose spans follow OpenTelemetry's GenAI conventions or OpenInference is read; these were looked at one by one.\n"
    '"Run" means that the framework itself was run with spantriage attached, by `make frameworks`; the others are known from\n'
    "recorded spans or from their documentation. What was not recorded cannot be judged: where a model's messages are missing,\n"
    "spantriage says `trace.evidence_unavailable` rather than nothing.\n\n"
    "| framework | instrumented by | known | recognised | cannot be seen | content |\n|---|---|---|---|---|---|\n"
)
TRIED: Final = (
    "One agent with one tool, on a model that misbehaves as the column says. A run in which all goes well gives no finding with\n"
    "any of them. Where a failure is not found, the cell says why.\n\n"
)

PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/detectors.md": detectors,
    "reference/settings.md": settings,
    "reference/finding.schema.json": schema,
    "reference/attributes.md": attributes,
    "reference/taxonomy.md": taxonomy,
    "frameworks.md": frameworks,
    **query_pages.pages(),
}


def main() -> int:
    """Write or check every page."""
    for folder in ("reference", "queries"):
        (FOLDER / folder).mkdir(exist_ok=True)
    stale = [name for name, make in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != make()]
    if "--check" in sys.argv:
        print("\n".join(f"docs/{name} is out of date: run python docs/generate.py" for name in stale))
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(PAGES[name]())
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
