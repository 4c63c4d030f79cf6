"""A report as one HTML file: nothing is fetched, nothing from outside can run, and it is read with or without a mouse."""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from spantriage import __version__
from spantriage.cause import RANK
from spantriage.finding import Finding
from spantriage.report.case import Case
from spantriage.report.charts import RELIABILITY, reliability, spent, used
from spantriage.report.figures import UNKNOWN, money, seconds, tokens
from spantriage.report.sections.correctness import shrunk
from spantriage.report.sections.overview import gravest, worst
from spantriage.report.timeline import draw
from spantriage.report.tree import grow
from spantriage.report.words import Code, Document, Ref, outside
from spantriage.summary import total

__all__ = ["page", "run_page"]

FINDINGS: Final = 500
TITLES: Final = (
    "No failure found",
    "The run ended; it needs a look",
    "The run ended, and something in it failed",
    "The run failed",
)


def run_page(case: Case, document: Document) -> str:
    """The page of one run."""
    nodes, left_out = grow(case)
    findings = sorted(case.findings, key=lambda f: (-RANK[f.severity], not f.primary, f.time))
    return page(
        "run.html.j2",
        document,
        verdict=_verdict(case, findings),
        tiles=_tiles(case, findings),
        timeline=draw(case),
        nodes=nodes,
        nodes_left_out=left_out,
        findings=[(finding, case.refs_of(finding)) for finding in findings[:FINDINGS]],
        findings_left_out=len(findings[FINDINGS:]),
        agents=[outside(name, 60) for name in case.records],
        used=used(case),
        spent=spent(case),
        columns=RELIABILITY,
        records=reliability(case),
    )


def page(template: str, document: Document, **values: object) -> str:
    """A page from one of the templates; its policy allows the styles and the script that it holds and nothing else."""
    style, script = _text("style.css"), _text("script.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    found = _environment().get_template(template)
    return found.render(
        document=document, style=style, script=script, policy=policy, version=__version__, spans_here=template == "run.html.j2", **values
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("spantriage.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    environment.filters |= {"kind": lambda block: type(block).__name__, "is_code": lambda value: isinstance(value, Code), "anchor": _anchor}
    return environment


@cache
def _text(name: str) -> str:
    return (files("spantriage.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()


def _anchor(ref: Ref) -> str | None:
    return None if ref.span_id is None else f"step-{ref.span_id}"


def _verdict(case: Case, findings: list[Finding]) -> dict[str, object]:
    """What stands on top: did it fail, who, why, what to do."""
    primary = case.judged.primary
    outcome = case.judged.judgement.outcome
    loud = [finding for finding in findings if RANK[finding.severity]]
    agent = worst(case)
    first = gravest(case)
    failed = outcome not in ("ok", "passed")
    return {
        "outcome": outcome,
        "level": "bad" if failed or primary else "warn" if loud else "good",
        "title": TITLES[3 if failed else 2 if primary is not None else 1 if loud else 0],
        "issue": next(shrunk(case), None),
        "agent": agent if loud or primary else None,
        "finding": first,
        "is_cause": primary is not None,
        "refs": [] if first is None else case.refs_of(first),
        "score": case.judged.judgement.failure_score,
    }


def _tiles(case: Case, findings: list[Finding]) -> list[tuple[str, str]]:
    records = case.records.values()
    given, told = total(r.input_tokens for r in records), total(r.output_tokens for r in records)
    return [
        ("Duration", seconds(case.duration_s)), ("Agents", str(len(case.records))), ("Steps", f"{len(case.steps):,}"),
        ("Tokens in / out", UNKNOWN if given is told is None else f"{tokens(given)} / {tokens(told)}"),
        ("Cost", money(total(r.cost_usd for r in records))),
        ("Findings", str(sum(RANK[f.severity] > 0 for f in findings))), ("Failure score", f"{case.judged.judgement.failure_score:.2f}"),
    ]  # fmt: skip
