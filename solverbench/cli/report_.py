"""`solverbench report RUN`: render a run again from its records; nothing is re-run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format", "formats", default="md,csv", show_default=True,
    help="Tables: md, csv, latex, parquet, or none; html: one page.",
)  # fmt: skip
@click.option("--figures", default="png,pdf", show_default=True, help="Figures: png, pdf, svg, or none.")
@click.option("--sheets/--no-sheets", default=True, help="Sheets of sample images.")
@click.option("--only", multiple=True, metavar="NAME", help="Only these figures and sheets (patterns allowed).")
@click.option("--slim", type=click.Path(path_type=Path), help="Write all into a small copy of RUN, to keep.")
def command(run: Path, formats: str, figures: str, sheets: bool, only: tuple[str, ...], slim: Path | None) -> int:
    """Print the tables of the run folder RUN and write its tables, figures and sheets.

    Exit code 3 if cells are missing: everything is made of those that are there, and says so.
    """
    from solverbench import report
    from solverbench.report.records import load

    loaded = load(run)
    tables, drawn = _listed(formats), _listed(figures)
    written = report.render(
        loaded, drawn, tables, sheets, only or ("*",), slim, say=lambda text: click.echo(text, err=True)
    )
    click.echo(report.summary(loaded))
    click.echo(f"wrote {len(written)} files below {slim or run}", err=True)
    return 0 if loaded.complete else 3


def _listed(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(word.strip() for word in text.split(","))
