"""The commands, put together."""

from __future__ import annotations

import typer

from spantriage import __version__
from spantriage.cli import demo, detectors, doctor, logs, mcp, pack, query, report, scan, serve, taxonomy, traces, watch

app = typer.Typer(
    name="spantriage",
    help="Finds the failures of AI agents in their OpenTelemetry spans, live and recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("scan")(scan.scan)
app.command("serve")(serve.serve)
app.command("watch")(watch.watch)
app.command("query")(query.query)
app.command("report")(report.report)
app.command("pack")(pack.pack)
app.command("mcp")(mcp.mcp)
app.command("demo")(demo.demo)
app.add_typer(detectors.app, name="detectors")
app.add_typer(traces.app, name="traces")
app.add_typer(logs.app, name="logs")
app.command("taxonomy")(taxonomy.taxonomy)
app.command("doctor")(doctor.doctor)


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    """Finds the failures of AI agents in their OpenTelemetry spans, live and recorded."""
    if show:
        typer.echo(f"spantriage {__version__}")
        raise typer.Exit
