"""How fast questions are answered, and spans kept: against DuckDB over raw JSON lines, and against SQLite with JSON and indexes.

    python benchmarks/query.py                   a million spans: some ten minutes, 6 GB of disk
    python benchmarks/query.py --spans 100000    fewer
    python benchmarks/query.py --check           exits 1 where a bar is missed

The engines take turns at every statement, in one process; the best of three (of one for raw lines) counts. The statements
are those of the documentation of MassGen's log analyser, and seven analyses over all runs.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson
from keeping import import_rates, keep, pack_apart, visible_after
from massgen_runs import runs

from spantriage.queries.duck import Duck
from spantriage.queries.parsing import statements
from spantriage.store.columns import RECORDS
from spantriage.store.lines import line
from spantriage.store.spans import RecordedRows
from spantriage.store.spool import Spool

SQL: Final = Path(__file__).parents[1] / "tests" / "data" / "sql"
SPANS: Final = 1_000_000
TRIES: Final = 3
ANALYSES: Final = {
    "cost_by_agent": """select attributes->>'massgen.agent_id' as agent, sum((attributes->'massgen.usage.input')::int) as i,
        sum((attributes->'massgen.usage.cost')::float) as c from records
        where span_name like 'agent.%' and attributes->>'massgen.usage.input' is not null group by 1 order by 1""",
    "phases": """select attributes->>'massgen.round_type' as phase, count(*) as n, round(avg(duration)::numeric, 2) as a
        from records where span_name like 'agent.%' group by 1 order by 1""",
    "tool_errors": """select span_name, count(*) as n, sum(case when is_exception then 1 else 0 end) as failed, avg(duration) as a
        from records where span_name like 'mcp.%' group by 1 order by 1""",
    "tokens_by_model": """select attributes->>'gen_ai.request.model' as model, sum((attributes->'gen_ai.usage.input_tokens')::int) as i,
        sum((attributes->'gen_ai.usage.output_tokens')::int) as o from records
        where attributes->>'gen_ai.request.model' is not null group by 1 order by 1""",
    "a key without a column": """select attributes->>'massgen.enforcement.reason' as reason, count(*) as n from records
        where span_name like 'agent.%' and attributes->>'massgen.enforcement.reason' is not null group by 1 order by 1""",
    "roll-up of runs": """select trace_id, count(*) as n, sum(duration) as d, sum(case when is_exception then 1 else 0 end) as x
        from records group by 1 order by d desc, trace_id limit 20""",
    "self time": """select p.span_name, count(*) as n, sum(p.duration) - sum(c.spent) as own from records p
        join (select trace_id, parent_span_id, sum(duration) as spent from records group by 1, 2) c
        on c.trace_id = p.trace_id and c.parent_span_id = p.span_id group by 1 order by 1""",
}
BARS: Final = (
    ("the documented statements, against raw lines", 20.0), ("the documented statements, against SQLite", 6.0),
    ("the analyses, against raw lines", 15.0), ("the analyses, against SQLite", 20.0), ("without a live tail of 2 MB", 1 / 1.5),
)  # fmt: skip
Run = Callable[[str], object]


def raw_lines(path: Path) -> Run:
    """DuckDB over lines of JSON as they come from Logfire."""
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    columns = ", ".join(f"{c.name}: '{c.kind}'" for c in RECORDS)
    con.execute(f"create view records as select * from read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})")
    return lambda sql: con.sql(sql).to_arrow_table()


def sqlite(path: Path, lines: Path) -> Run:
    """SQLite with the same rows, JSON as text, and indexes on what is asked for most."""
    con = sqlite3.connect(path)
    names = [c.name for c in RECORDS]
    con.execute(f"create table records ({', '.join(names)})")
    con.execute("pragma synchronous = off")
    with lines.open("rb") as file:
        con.executemany(f"insert into records values ({', '.join('?' * len(names))})", _cells(file, names))
    for column in ("trace_id", "span_name", "start_timestamp", "is_exception"):
        con.execute(f"create index by_{column} on records ({column})")
    con.commit()
    return lambda sql: con.execute(_for_sqlite(sql)).fetchall()


def _cells(file: Iterable[bytes], names: list[str]) -> Iterable[list[Any]]:
    for text in file:
        row = orjson.loads(text)
        yield [orjson.dumps(v).decode() if isinstance(v := row.get(name), (dict, list)) else v for name in names]


def _for_sqlite(sql: str) -> str:
    sql = re.sub(r"\(attributes->'([^']+)'\)::int", r"cast(json_extract(attributes, '$.\"\1\"') as integer)", sql)
    sql = re.sub(r"\(attributes->'([^']+)'\)::float", r"cast(json_extract(attributes, '$.\"\1\"') as real)", sql)
    sql = re.sub(r"attributes->>'([^']+)'", r"json_extract(attributes, '$.\"\1\"')", sql)
    sql = re.sub(r"now\(\) - interval '(\d+) (\w+)'", r"strftime('%Y-%m-%dT%H:%M:%S', 'now', '-\1 \2')", sql)
    return sql.replace("::numeric", "")


def documented(run_id: str) -> dict[str, str]:
    """The documented statements with a run's id filled in; a condition alone asks for whole rows."""
    found = {}
    for path in sorted(SQL.glob("*.sql")):
        text = re.sub(r"\[\w*trace_id\w*\]", run_id, path.read_text(), flags=re.IGNORECASE)
        for number, sql in enumerate(statements(text)):
            found[f"{path.stem} {number}"] = sql if "select" in sql.lower() else f"SELECT * FROM records {sql}"
    return found


def race(questions: dict[str, str], runners: dict[str, Run]) -> dict[str, float]:
    """Seconds for all questions together, each the best of its tries; the runners take turns."""
    sums = dict.fromkeys(runners, 0.0)
    slowest = dict.fromkeys(runners, (0.0, ""))
    for name, sql in questions.items():
        best = dict.fromkeys(runners, float("inf"))
        for attempt in range(TRIES):
            for runner, run in runners.items():
                if attempt and runner == "raw lines":
                    continue
                began = time.perf_counter()
                run(sql)
                best[runner] = min(best[runner], time.perf_counter() - began)
        for runner, took in best.items():
            sums[runner] += took
            slowest[runner] = max(slowest[runner], (took, name))
    for runner, (took, name) in slowest.items():
        print(f"    {runner}: {sums[runner] * 1e3:,.0f} ms, the slowest {took * 1e3:,.1f} ms ({name})")
    return sums


def tail_costs(store: Path, questions: dict[str, str]) -> float:
    """How much longer all questions take while a writer has a file of 2 MB open; 1/ratio, as the bar is one from below."""
    packed = Duck(store)
    spool, rows = Spool(store), RecordedRows(content=True, redacts=False)
    spool.append(b"".join(line(row) for span in runs(1_000, seed=3) for row in rows.of(span)))
    sums = race(questions, {"packed": packed.run, "packed and a live tail": Duck(store).run})
    spool.rotate()
    return sums["packed"] / sums["packed and a live tail"]


def main() -> int:
    """Build, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=SPANS)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spantriage-query-") as temporary:
        folder = Path(temporary)
        store, lines = folder / "store", folder / "raw.jsonl"
        run_id = keep(chosen.spans, store, lines)
        pack_apart(store)
        visible_after(folder / "live")
        import_rates(folder, min(chosen.spans, 100_000))
        duck = Duck(store)
        runners: dict[str, Run] = {
            "store": duck.run,
            "raw lines": raw_lines(lines),
            "SQLite": sqlite(folder / "rows.sqlite", lines),
        }
        for title, questions in (("the documented statements", documented(run_id)), ("the analyses", ANALYSES)):
            print(title)
            sums = race(questions, runners)
            found[f"{title}, against raw lines"] = sums["raw lines"] / sums["store"]
            found[f"{title}, against SQLite"] = sums["SQLite"] / sums["store"]
        found["without a live tail of 2 MB"] = tail_costs(store, {**documented(run_id), **ANALYSES})
    missed = [name for name, bar in BARS if found[name] < bar]
    for name, bar in BARS:
        print(f"{name}: {found[name]:.2f} times as fast (bar: {bar:.2f}){' MISSED' if name in missed else ''}")
    return 1 if chosen.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
