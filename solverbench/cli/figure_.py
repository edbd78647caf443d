"""`solverbench figure KIND [RUN]`: one figure, of a run's records or of solvers alone."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("figure")
@click.argument("kind", required=False)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--solver", "solvers", multiple=True, help="Solvers to draw; of a run, shell patterns too. Repeatable.")
@click.option("--problem", default="", help="Problem of the run; its first by default.")
@click.option("--nfe", type=click.IntRange(1), help="Budget, where a figure has one; 10 by default.")
@click.option("--metric", default="", help="What solvers are compared by, where a problem has it: typical, fd, kl, ...")
@click.option("--out", type=click.Path(path_type=Path), help="File: png, pdf or svg. Default: KIND.pdf here.")
def command(
    kind: str | None,
    run: Path | None,
    solvers: tuple[str, ...],
    problem: str,
    nfe: int | None,
    metric: str,
    out: Path | None,
) -> None:
    """Draw one figure of KIND, for RUN where it is of a run; without a KIND, list them."""
    from solverbench.cli.common import print_rows, resolve_solver
    from solverbench.report.figures import KINDS, Wish, draw, write
    from solverbench.report.records import load

    if kind is None:
        print_rows(({"figure": k, "of": known.of, "shows": known.about} for k, known in KINDS.items()), as_json=False)
        return
    if run is None:
        solvers = tuple(name for spec in solvers for name in resolve_solver(spec))
    figure = draw(kind, Wish(load(run) if run else None, problem, solvers, nfe, metric))
    path = out or Path(f"{kind}.pdf")
    write(figure, path)
    click.echo(str(path))
