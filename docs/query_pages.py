"""The pages about questions: one for each file of the catalogue, with what it answers on a recorded run, and one above them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from spantriage.queries.asking import open_engine
from spantriage.queries.catalogue import Named, all_queries
from spantriage.queries.steps import MEANINGS
from spantriage.store.columns import RECORDS

DATA: Final = Path(__file__).parent.parent / "tests" / "data" / "queries"
FILES: Final = [DATA / "two_agents.jsonl", DATA / "tools.jsonl"]
RUN: Final = "01a1f9433a281fec09d7f7bd200e0a62"
GIVEN: Final = {"trace_id": RUN, "a": RUN, "b": "01a1f9433a0c6d37d5353211a1990f22", "file": "agents/tools.py"}
ROWS: Final = 8
NOTE: Final = "<!-- Written by docs/generate.py; change the .sql file, not this page. -->\n\n"


def pages() -> dict[str, Callable[[], str]]:
    """What each page is made by."""
    made: dict[str, Callable[[], str]] = {"queries/README.md": index}
    for name in all_queries():
        made[f"queries/{name}.md"] = lambda name=name: page(all_queries()[name])  # type: ignore[misc]  # the name of now
    return made


def page(known: Named) -> str:
    """One question: what it answers, what it wants, what it gives, how it is said, and an answer."""
    lines = [f"{NOTE}# {known.name}", "", f"**{known.title}.** {known.purpose}"]
    for other, why in known.instead.items():
        lines += ["", f"Instead of [{other}]({other}.md): {why}"]
    if known.parameters:
        lines += ["", "| parameter | kind | default | meaning |", "|---|---|---|---|"]
        for asked in known.parameters:
            default = "required" if asked.required else "none" if asked.default is None else f"`{asked.default}`"
            lines.append(f"| `{asked.name}` | {asked.kind} | {default} | {asked.meaning} |")
    lines += ["", "| column | unit | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {unit} | {meaning} |" for name, (unit, meaning) in known.columns.items()]
    sql = "\n".join(line for line in known.sql.splitlines() if not line.startswith("--"))
    lines += ["", "```console", f"$ {command(known)}", "```", "", "```sql", sql, "```", "", *answer(known)]
    return "\n".join(lines) + "\n"


def command(known: Named) -> str:
    """How it is asked from a shell."""
    words = ["spantriage", "query", known.name, "--on", "traces.jsonl"]
    for asked in known.parameters:
        if asked.required:
            words += ["--trace-id", "latest"] if asked.name == "trace_id" else ["--param", f"{asked.name}=..."]
    return " ".join(words)


def answer(known: Named) -> list[str]:
    """What it answers on a recorded run of two agents, as a table."""
    bound = known.bind({asked.name: GIVEN[asked.name] for asked in known.parameters if asked.name in GIVEN and asked.required})
    found = engine().run(known.sql, bound)
    if not found.num_rows:
        return ["On a recorded run of two agents: no rows."]
    more = f", the first {ROWS} of {found.num_rows} rows" if found.num_rows > ROWS else ""
    lines = [f"On a recorded run of two agents{more}:", "", f"| {' | '.join(found.column_names)} |", f"|{'---|' * found.num_columns}"]
    lines += [f"| {' | '.join(cell(value) for value in row.values())} |" for row in found.slice(0, ROWS).to_pylist()]
    return lines


@cache
def engine() -> Any:
    """DuckDB with that run, and with what is found in it."""
    return open_engine(FILES)


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.strftime("%H:%M:%S.%f")[:-3]
    if isinstance(value, (float, Decimal)):
        return f"{float(value):.4g}"
    text = " ".join(str(value).split())
    return (text if len(text) <= 80 else f"{text[:80]}…").replace("|", "\\|").replace("<", "&lt;")


def index() -> str:
    """All questions, and what one's own may name."""
    rows = [f"| [`{known.name}`]({known.name}.md) | {known.title} | {', '.join(known.instead) or ''} |" for known in all_queries().values()]
    columns = [f"| `{column.name}` | {column.kind} | {column.meaning} |" for column in RECORDS]
    steps = [f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items()]
    return (
        f"{NOTE}# Questions\n\n{INTRODUCTION}\n| question | answers | instead of |\n|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\n## Your own\n\n{OWN}\n| column of `records` | type | meaning |\n|---|---|---|\n"
        + "\n".join(columns)
        + "\n\nEvery SELECT over `records` may also name these, which are worked out from the attributes of whatever library wrote the span:\n\n"
        + "| column | meaning |\n|---|---|\n"
        + "\n".join(steps)
        + f"\n\n{REST}"
    )


INTRODUCTION: Final = """\
`spantriage query NAME` asks by name, `--sql` in SQL, `spantriage.query(...)` from Python, `spantriage mcp` for a coding agent. `--on` says what
is asked: a store, files or folders of recorded spans, `logfire`, or `clickhouse`; the rows are the same.

```console
$ spantriage scan traces/ --store .spantriage/store        # keep recorded spans, and what is found in them
$ spantriage query runs
$ spantriage query trace_tree --trace-id latest
$ spantriage query timeline --trace-id 01a1f943             # the beginning of an id is enough
$ spantriage query usage_trend --param by=hour --format csv
$ spantriage query --sql "select span_name, duration from records where level >= 'error'" --on traces.jsonl --follow
```

```python
import spantriage

table = spantriage.query("tool_reliability", "traces.jsonl")  # an Arrow table
```

Some questions are older than what is known of MassGen's spans, and mislead; they keep their meaning, and the ones that correct them say why.
"""
OWN: Final = """\
SQL is PostgreSQL's: `attributes->>'key'` is text, `(attributes->'key')::int` a number, `attributes ? 'key'` whether it is there, `:name` a
parameter, which is always bound. Whole numbers divide to whole numbers, a bare `numeric` rounds once, `level` compares with its names.
Only `records` and `findings` can be read: no file, no setting, no other table. A mistake is told with its line and column and the
nearest name there is. `findings` has the fields of [a finding](../reference/finding.schema.json).
"""
REST: Final = """\
## Where spans are kept

`attach(store="FOLDER")`, `SPANTRIAGE_STORE=FOLDER` or `scan --store FOLDER` fill a store. Each process appends to a file of its own, which
a question reads a fraction of a second later; a span that has been written survives the death of its process. `triage.status()["store"]`
accounts for every span: received = written + unsuitable + dropped + queued. What people and models said
(messages, arguments, results) is left out unless the folder is named `FOLDER?content=yes`; credentials are taken out in any case.
`FOLDER?keep_days=30` forgets days. Closed files are packed into Parquet when a question is asked, or by `spantriage pack FOLDER`, while others
go on writing and reading.

```
FOLDER/meta.json                                   layout version, attributes that have a column of their own
FOLDER/spool/<utc>-<host>-<pid>-...jsonl           one writer each
FOLDER/parquet/date=YYYY-MM-DD/*.parquet           packed; the footer names what is in it
FOLDER/findings/*.jsonl
```

## Engines

| `--on` | needs | notes |
|---|---|---|
| a folder, files | `pip install "spantriage[cli]"` | DuckDB in the process; nothing is sent anywhere |
| `logfire` | `[logfire]`, `LOGFIRE_READ_TOKEN` | 30 days, more with `logfire?days=90`; a rate limit is waited for, up to a minute; `--on logfire --on FOLDER` asks the folder where there is no token |
| `clickhouse:http://user@host:8123/otel` | `[clickhouse]` | the tables of the OpenTelemetry Collector's exporter, `otel_traces` and `otel_logs`; or `CLICKHOUSE_DSN` |
"""
