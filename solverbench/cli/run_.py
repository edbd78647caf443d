"""`solverbench run`: the main job."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from solverbench.cli.common import Numbers, json_option, print_rows, resolve_solver


@click.command("run")
@click.option("--suite", default="cifar10", show_default=True, help="A shipped suite, or a .toml file.")
@click.option("--scale", default="full", metavar="full|quick|paper", help="How many samples, and of what.")
@click.option("--quick", "scale", flag_value="quick", help="--scale quick: a first look in under a minute.")
@click.option("--solver", "solvers", multiple=True, help="Only these: names, patterns, mine.py or mine.py:name.")
@click.option("--problem", "problems", multiple=True, help="Only these problems (patterns allowed).")
@click.option(
    "--spectrum", metavar="NAME|FILE", help="Gaussian of problems of kind law: cifar10-gaussian, power-law, file.npy."
)
@click.option("--nfe", type=Numbers(), default="", help="Only these budgets of model evaluations.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of starts and noise.")
@click.option("--out", type=click.Path(path_type=Path), default="reports", show_default=True, help="Where runs go.")
@click.option("--name", help="Name of the run's folder [default: the time].")
@click.option("--dry-run", is_flag=True, help="Print the cells and stop.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")
@json_option
def command(
    suite: str,
    scale: str,
    solvers: tuple[str, ...],
    problems: tuple[str, ...],
    spectrum: str | None,
    nfe: tuple[int, ...],
    seed: int,
    out: Path,
    name: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Judge samplers on a suite of problems whose solution is known: tables on stdout, everything else in a folder.

    The folder OUT/SUITE/RUN holds manifest.json, cells.jsonl (one line per finished cell, written at once), tables,
    figures and sheets of samples. --json prints the records instead of tables.
    """
    from solverbench.run import cells
    from solverbench.run import suite as suites

    loaded = suites.load(suite, scale=scale).on(spectrum)
    names = [resolved for spec in solvers for resolved in resolve_solver(spec)]
    selection = cells.select(loaded, solvers=names, problems=problems, nfe=nfe, seed=seed)
    if dry_run:
        rows = [
            {"cell": c.id, "problem": c.problem.spec.name, "solver": str(c.solver), "budget": c.budget, "seed": c.seed}
            for c in selection.cells
        ]
        print_rows(rows, as_json)
        return 0
    return _run(loaded, selection, out, name, quiet, as_json)


def _run(loaded: Any, selection: Any, out: Path, name: str | None, quiet: bool, as_json: bool) -> int:
    from tqdm import tqdm

    from solverbench import report
    from solverbench.report.records import load
    from solverbench.run.runner import run
    from solverbench.run.store import RunFolder

    folder = RunFolder(out, loaded.name, name)
    started = time.perf_counter()
    terminal = sys.stderr.isatty()
    bar: Any = tqdm(
        total=len(selection.cells), unit="cell", disable=quiet or not terminal, leave=False, dynamic_ncols=True
    )

    def say(text: str) -> None:
        if quiet:
            return
        if terminal:
            bar.clear()  # a message goes above the bar
        click.echo(text, err=True)

    def done(record: dict[str, Any]) -> None:
        bar.set_postfix_str(_cell(record), refresh=False)
        bar.update()
        if record["status"] in ("failed", "diverged"):
            say(f"{_cell(record)} {record['status']}: {record['reason']}")
        elif not terminal:
            say(f"{_cell(record)} {record['status']} in {record['seconds']:.2f} s")

    outcome = run(loaded, selection, folder, say=say, done=done)
    bar.close()
    if outcome.interrupted:
        kept = f"{outcome.finished} of {len(selection.cells)} cells"
        click.echo(f"interrupted: {kept} are kept in {folder.path}", err=True)
    if outcome.finished:
        loaded_run = load(folder.path)
        if as_json:
            lines = (folder.path / "cells.jsonl").read_text("utf-8").splitlines()
            click.echo(json.dumps([json.loads(line) for line in lines], indent=1))
        else:
            click.echo(report.summary(loaded_run))
        if not outcome.interrupted:
            report.render(folder.path)
    if not quiet:
        failed = f", {outcome.failed} failed" if outcome.failed else ""
        took = time.perf_counter() - started
        click.echo(f"{outcome.finished} cells{failed} in {took:.0f} s: {folder.path}", err=True)
    return outcome.exit_code


def _cell(record: dict[str, Any]) -> str:
    return f"{record['problem']} {record['solver']} {record['budget']}"
