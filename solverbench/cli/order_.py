"""`solverbench order NAME...`: the order of convergence, measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.common import json_option, print_rows, resolve_solver

if TYPE_CHECKING:
    from solverbench.orders.measure import Problem

PROBLEMS: tuple[Problem, ...] = ("nonlinear", "gaussian")


@click.command("order")
@click.argument("solvers", nargs=-1, required=True, metavar="SOLVER... | all")
@click.option("--path", "path_name", default="edm", show_default=True, help="Gaussian path it is integrated on.")
@click.option("--problem", type=click.Choice(PROBLEMS), help="One of the two problems; both by default.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the page docs/orders.md.")
@json_option
def command(
    solvers: tuple[str, ...], path_name: str, problem: Problem | None, jobs: int, as_markdown: bool, as_json: bool
) -> None:
    """Measure the order of SOLVERs: names, your own file.py, or all.

    measured: the least slope over a nonlinear field and a Gaussian, on smooth and uneven grids, with a 95 % interval.
    aided: where that falls short, the same with first steps so short that a history is as good as exact. local: of
    one step with exact history, one more than the order. 10-20: the slope from 10 to 20 evaluations on the EDM grid.
    weak: of the output law's variance; strong: on one Brownian path; both exact.
    Exit code 1 if a solver is worse than it is registered to be.
    """
    from solverbench.methods.registry import SOLVERS
    from solverbench.methods.registry import solvers as registered
    from solverbench.orders.measure import WORSE, expected
    from solverbench.paths import path

    path(path_name)
    names = list(registered()) if solvers == ("all",) else [name for s in solvers for name in resolve_solver(s)]
    made = [SOLVERS[name] for name in names]  # unknown names are errors before anything is measured
    problems = (problem,) if problem else PROBLEMS
    reports = _measure_all([str(s) for s in made], solvers, path_name, problems, min(jobs, len(made)))
    if as_json:
        print_rows(({k: _plain(v) for k, v in r.record().items()} for r in reports), True)
    elif as_markdown:
        click.echo(_markdown(reports), nl=False)
    else:
        print_rows(map(_row, reports), False)
    worse = [s for s, r in zip(made, reports, strict=True) if WORSE.index(r.verdict) > WORSE.index(expected(s))]
    for solver in worse:
        click.echo(f"{solver}: registered as {expected(solver)!r}", err=True)
    if worse:
        raise click.exceptions.Exit(1)


def _measure_all(
    names: list[str], specs: tuple[str, ...], path: str, problems: tuple[Problem, ...], jobs: int
) -> list[Any]:
    if jobs == 1:
        return [_measure((name, (), path, problems)) for name in names]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    files = tuple(s for s in specs if ".py" in s)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_measure, [(name, files, path, problems) for name in names]))


def _measure(task: tuple[str, tuple[str, ...], str, tuple[Problem, ...]]) -> Any:
    from solverbench.orders import order

    name, files, path, problems = task
    for file in files:  # a new process knows nothing of them yet
        resolve_solver(file)
    return order(name, path, problems)


def _markdown(reports: list[Any]) -> str:
    from tabulate import tabulate

    rows = [{**row, "solver": f"`{row['solver']}`"} for row in map(_row, reports)]
    return _PAGE + tabulate(rows, headers="keys", tablefmt="pipe", missingval="", disable_numparse=True) + "\n"


_PAGE = """# Orders of convergence

Written by `solverbench order all --markdown`; do not edit.

From sigma~ = 1.5 to 0.15 in double precision, on a mixture of three Gaussians on the line, whose flow is the quantile
map, and on Gaussian directions; over a shorter way to 40 digits where double precision ends too early (no constant
then). *measured*: the least slope over both problems and over a smooth and an uneven grid, with its 95 % interval
over start points or directions. *aided*: where that falls short of the claim, on a grid whose first step is halved
down to step^4, so that a multistep method's history is as good as exact. *local*: the order of one step with exact
history on uneven steps: one more than a method's order, or equal to it for one that corrects with the next
evaluation. *10-20*: the slope from 10 to 20 evaluations on the EDM grid from 80 to 0.002; *constant*: error times
N^order. Samplers that draw noise are measured without it against dx~/dlambda = -(1 + eta^2)(x~ - D), and by exact
laws on the Gaussian: *weak* is the order of the output's variance, *strong* that of the root mean square distance to
the exact solution on the same Brownian path. *exact*: nothing but rounding.

Verdicts: *as claimed*; *below claim: start-up*, the first steps cost the order and with an exact history it is there;
*below claim: coefficients*, it is not there; *inconsistent*, it does not converge. `solverbench show NAME` says why.

"""


def _row(report: Any) -> dict[str, Any]:
    least = report.attained
    return {
        "solver": report.name,
        "claimed": report.claimed,
        "measured": str(least) if report.slopes else None,
        "aided": _short(report.aided.order),
        "local": _short(report.local.order) if report.local else None,
        "10-20": _short(report.practical),
        "constant": f"{least.constant:.2g}" if math.isfinite(least.constant) else None,
        "weak": _short(report.weak["variance"].order) if report.weak else None,
        "strong": _short(report.strong.order) if report.strong else None,
        "verdict": f"{report.verdict} ({report.error})" if report.error else report.verdict,
    }


def _short(number: float) -> str | None:
    return None if math.isnan(number) else "exact" if math.isinf(number) else f"{number:.2f}"


def _plain(value: Any) -> Any:
    """JSON has no infinities: "exact", and null for what was not found."""
    if isinstance(value, float) and not math.isfinite(value):
        return "exact" if value > 0 else None
    return value
