"""`solverbench report RUN`: render a run again from its records; nothing is re-run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "formats", default="md,csv", show_default=True, help="Tables: md, csv; html: one page.")
@click.option("--figures", default="png,pdf", show_default=True, help="Figures: png, pdf, or none.")
@click.option("--sheets/--no-sheets", default=True, help="Sheets of sample images.")
def command(run: Path, formats: str, figures: str, sheets: bool) -> None:
    """Print the tables of the run folder RUN and write its tables, figures and sheets."""
    from solverbench import report
    from solverbench.report.records import load

    loaded = load(run)
    wanted = () if figures == "none" else tuple(figures.split(","))
    tables = [form for form in formats.split(",") if form != "html"]
    written = report.render(run, figures=wanted, tables=tables, sheets=sheets)
    if "html" in formats.split(","):
        from solverbench.report.html import write_html

        written.append(write_html(run, run / "report.html"))
    click.echo(report.summary(loaded))
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"wrote {len(written)} files below {run}", err=True)
