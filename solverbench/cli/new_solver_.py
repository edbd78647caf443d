"""`solverbench new-solver NAME`: a solver to start from, and its test."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new-solver")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=".", show_default=True, help="Folder of the files.")
@click.option("--stochastic", is_flag=True, help="One that draws noise.")
def command(name: str, out: Path, stochastic: bool) -> None:
    """Write NAME.py, a working solver of second order with comments, and test_NAME.py, which holds it to that.

    Nothing is overwritten. `pytest test_NAME.py` passes as written; docs/writing-a-solver.md says what may be changed.
    """
    from solverbench.templates import write

    for path in write(name, out, stochastic):
        click.echo(path)
