"""`solverbench order NAME...`: the order of convergence, measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.common import json_option, print_rows, resolve_solver

if TYPE_CHECKING:
    from solverbench.orders import Report
    from solverbench.orders.measure import Problem
    from solverbench.orders.noise import Kind, NoiseReport

PROBLEMS: tuple[Problem, ...] = ("nonlinear", "gaussian")
NOISE: tuple[Kind, ...] = ("strong", "weak", "small-noise")


@click.command("order")
@click.argument("solvers", nargs=-1, required=True, metavar="SOLVER... | all")
@click.option("--path", "path_name", default="edm", show_default=True, help="Gaussian path it is integrated on.")
@click.option("--problem", type=click.Choice(PROBLEMS), help="One of the two problems; both by default.")
@click.option("--kind", type=click.Choice(NOISE), help="Only this, of solvers that draw noise, in full.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the page docs/orders.md.")
@json_option
def command(
    solvers: tuple[str, ...],
    path_name: str,
    problem: Problem | None,
    kind: Kind | None,
    jobs: int,
    as_markdown: bool,
    as_json: bool,
) -> None:
    """Measure the order of SOLVERs: names, your own file.py, or all.

    measured: the least slope over a nonlinear field and a Gaussian, on smooth and uneven grids, with a 95 % interval.
    aided: where that falls short, the same with first steps so short that a history is as good as exact. local: of
    one step with exact history, one more than the order. 10-20: the slope from 10 to 20 evaluations on the EDM grid.
    weak: of the output law's variance; strong: on one Brownian path; both exact.

    --kind strong: the distance to the solution on the same Brownian path, on the Gaussian exactly and on the mixture
    by sampling. --kind weak: the exact law's variance and mean. --kind small-noise: p, q and r of an error
    O(h^p + tau^r h^q), tau being eta.

    Exit code 1 if a solver is worse than it is registered to be.
    """
    from solverbench.errors import UsageError
    from solverbench.methods.registry import SOLVERS
    from solverbench.methods.registry import solvers as registered
    from solverbench.orders.measure import WORSE, expected
    from solverbench.orders.noise import expected_of
    from solverbench.paths import path

    if as_markdown and as_json:
        raise UsageError("give --markdown or --json, not both")
    path(path_name)
    if kind and (problem or as_markdown):
        raise UsageError("--kind is of solvers with noise, on problems of its own: leave out --problem and --markdown")
    if "all" in solvers and len(solvers) > 1:
        raise UsageError(f"`all` means every solver and stands alone: leave out the others, got {' '.join(solvers)}")
    names = list(registered()) if solvers == ("all",) else [name for s in solvers for name in resolve_solver(s)]
    made = [SOLVERS[name] for name in names]  # unknown names are errors before anything is measured
    if kind:
        made = [s for s in made if solvers != ("all",) or s.stochastic]
    specs, problems = [str(s) for s in made], (problem,) if problem else PROBLEMS
    measured = partial(_measure_all, files=tuple(s for s in solvers if ".py" in s), path=path_name, problems=problems)
    reports = measured([(name, kind) for name in specs], jobs=min(jobs, len(made)))
    if as_json:
        records = (row for r in reports for row in (r.record() if kind else [r.record()]))
        print_rows(({k: _plain(v) for k, v in row.items()} for row in records), True)
    elif as_markdown:
        noisy = [(str(s), k) for s in made if s.stochastic for k in NOISE]
        click.echo(_markdown(reports, measured(noisy, jobs=jobs)), nl=False)
    else:
        print_rows((row for r in reports for row in _noise_rows(r)) if kind else map(_row, reports), False)
    due = [expected_of(s, kind) if kind else expected(s) for s in made]
    worse = [(s, d) for s, d, r in zip(made, due, reports, strict=True) if WORSE.index(r.verdict) > WORSE.index(d)]
    for solver, verdict in worse:
        click.echo(f"{solver}: registered as {verdict!r}", err=True)
    if worse:
        raise click.exceptions.Exit(1)


def _measure_all(
    asked: Sequence[tuple[str, Kind | None]],
    files: tuple[str, ...],
    path: str,
    problems: tuple[Problem, ...],
    jobs: int,
) -> list[Any]:
    measure = partial(_measure, files=files, path=path, problems=problems)
    if jobs == 1:
        return list(map(partial(measure, files=()), asked))
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(pool.map(measure, asked))


def _measure(asked: tuple[str, Kind | None], files: tuple[str, ...], path: str, problems: tuple[Problem, ...]) -> Any:
    from solverbench.orders import order

    name, kind = asked
    for file in files:  # a new process knows nothing of them yet
        resolve_solver(file)
    return order(name, path, kind=kind) if kind else order(name, path, problems)


def _markdown(reports: list[Report], noise: list[NoiseReport]) -> str:
    by_name: dict[str, dict[str, NoiseReport]] = {}
    for r in noise:
        by_name.setdefault(r.name, {})[r.kind] = r
    rows = (_with_noise(name, r["weak"], r["strong"], r["small-noise"]) for name, r in by_name.items())
    return _PAGE + _pipes(map(_row, reports)) + _PAGE_OF_NOISE + _pipes(rows)


def _pipes(rows: Iterator[dict[str, Any]]) -> str:
    from tabulate import tabulate

    named = [{**row, "solver": f"`{row['solver']}`"} for row in rows]
    return tabulate(named, headers="keys", tablefmt="pipe", missingval="", disable_numparse=True) + "\n"


def _with_noise(name: str, weak: NoiseReport, strong: NoiseReport, small: NoiseReport) -> dict[str, Any]:
    def term(of: str) -> str | None:
        q, r = small.slopes.get(f"{of}, h at tau = 1/16"), small.slopes.get(f"{of}, tau")
        return f"tau^{r.order:.1f} h^{q.order:.1f}" if q and r else None

    p = small.slopes.get("drift, h")
    return {
        "solver": name,
        "claimed weak": weak.claimed,
        "variance": _slope(weak, "variance"),
        "mean": _slope(weak, "mean"),
        "claimed strong": strong.claimed,
        "Gaussian": _slope(strong, "gaussian"),
        "nonlinear": _slope(strong, "nonlinear, mean"),
        "mean square": _slope(strong, "nonlinear, mean square"),
        "drift": f"h^{p.order:.1f}" if p else None,
        "distance": term("distance"),
        "of variance": term("variance"),
    }


def _slope(report: NoiseReport, of: str) -> str | None:
    return str(report.slopes[of]) if of in report.slopes else None


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
the exact solution on the same Brownian path; more of them below. *exact*: nothing but rounding.

Verdicts: *as claimed*; *below claim: start-up*, the first steps cost the order and with an exact history it is there;
*below claim: coefficients*, it is not there; *inconsistent*, it does not converge. `solverbench show NAME` says why.

"""

_PAGE_OF_NOISE = """
## With noise

Weak: the exact law's variance, and its mean given the start, on the Gaussian. Strong: the distance to the solution on
the same Brownian path, its root mean square on the *Gaussian* exactly; its mean (*nonlinear*) and root mean square on
the mixture, by sampling 512 paths from each of nine starts against a fine solution, over 48 to 192 steps: the interval
is over batches of paths, and an order is that of this window. One draw a step ends at strong order one; where the field
is linear, order 3/2 is two. In small noise the error is O(*drift* + *distance*), tau being eta and the distance that on
the Gaussian; *of variance*, the same of the law. The first power of tau: what a solver of high order loses to its one
draw a step is the path inside the step, which is as large as the noise. Solvers without a process of one strength
(churn, restarts, ER-SDE's other scales) have a law only.

"""


def _noise_rows(report: NoiseReport) -> Iterator[dict[str, Any]]:
    for row in report.record():
        yield {
            "solver": report.name,
            "claimed": report.claimed,
            "of": row["of"],
            "measured": str(report.slopes[row["of"]]) if report.slopes else report.error or "nothing to measure",
            "steps": row["window"],
            "constant": f"{row['constant']:.2g}" if math.isfinite(row["constant"]) else None,
            "verdict": report.verdict,
        }


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
