"""`solverbench baseline save|update|show`: the numbers that `check` compares with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.check_ import FILE, how, measured
from solverbench.cli.common import Numbers, json_option, print_rows
from solverbench.cli.run_ import options_in

if TYPE_CHECKING:
    from solverbench.gate.baseline import Baseline


@click.group("baseline")
def command() -> None:
    """Keep a suite's numbers in a small file, to be committed, and renew or show them."""


@command.command("save")
@click.option("--out", type=click.Path(path_type=Path), default=FILE, show_default=True, help="Where.")
@click.option("--suite", default="ci", show_default=True, help="A shipped suite, or a .toml file.")
@click.option("--scale", default="full", metavar="full|quick|paper", help="How many samples, and of what.")
@click.option("--solver", "solvers", multiple=True, help="Only these: names, patterns, mine.py or mine.py:name.")
@click.option("--problem", "problems", multiple=True, help="Only these problems (patterns allowed).")
@click.option("--nfe", type=Numbers(), default=(), help="Only these budgets of model evaluations.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of starts and noise.")
@how
def save(out: Path, jobs: int | None, cell_timeout: float, in_process: bool, quiet: bool, **asked: Any) -> int:
    """Run the cells and keep their numbers. Refuses to overwrite, and to keep a cell that failed (exit code 3)."""
    from solverbench.errors import UsageError

    if out.exists():
        raise UsageError(f"{out} is there already: renew it with `solverbench baseline update {out}`")
    _keep(out, asked, jobs, cell_timeout, in_process, quiet)
    return 0


@command.command("update")
@click.argument("baseline", type=click.Path(path_type=Path), default=FILE)
@how
def update(baseline: Path, jobs: int | None, cell_timeout: float, in_process: bool, quiet: bool) -> int:
    """Run again what BASELINE is of, and keep what changed and what is new; look at the diff before you commit it.

    Lines of cells in which nothing changed stay as they are.
    """
    from solverbench.gate.baseline import Baseline

    before = Baseline.read(baseline)
    _keep(baseline, options_in(before.asked, baseline), jobs, cell_timeout, in_process, quiet, before)
    return 0


@command.command("show")
@click.argument("baseline", type=click.Path(path_type=Path), default=FILE)
@json_option
def show(baseline: Path, as_json: bool) -> None:
    """Print what BASELINE holds."""
    from solverbench.gate.baseline import Baseline

    kept = Baseline.read(baseline)
    if not as_json:
        of = f"of {kept.made.get('created')}, {kept.made.get('versions')}"
        click.echo(f"suite {kept.asked['suite']}, seed {kept.asked['seed']}, {of}\n")
    print_rows(
        [
            {"problem": e.problem, "solver": e.solver, "NFE": e.budget, "status": e.status, **e.exact}
            | {name: value for name, (value, _, _) in e.sampled.items()}
            for e in kept.entries
        ],
        as_json,
        None if as_json else ("problem", "solver", "NFE", "status", "w2", "kl", "rmse", "fd"),
    )


def _keep(
    out: Path, asked: dict[str, Any], jobs: int | None, seconds: float, in_process: bool, quiet: bool,
    before: Baseline | None = None,
) -> None:  # fmt: skip
    from solverbench.gate.measure import FailedError, failures
    from solverbench.gate.verdict import renewed

    made = measured(asked, jobs, seconds, in_process, quiet)
    if bad := failures(made):
        names = ", ".join(sorted({entry.solver for entry in bad}))
        raise FailedError(f"{len(bad)} cells failed, of {names}: a baseline holds none; leave them out by --solver")
    (renewed(before, made) if before else made).write(out)
    click.echo(f"{len(made.entries)} cells kept in {out}", err=True)
