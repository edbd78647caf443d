"""`solverbench compare`: a solver against others, or one run against another."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.check_ import how
from solverbench.cli.common import Numbers, json_option, resolve_solver
from solverbench.cli.progress import progress
from solverbench.cli.run_ import executor
from solverbench.errors import NothingSelectedError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from solverbench.run.cells import Selection
    from solverbench.run.runner import Executor
    from solverbench.run.suite import Suite

USUAL = ("ddim", "heun", "dpmpp-2s", "dpmpp-2m", "dpmpp-3m", "unipc-2", "unipc-3", "deis-tab3", "ddpm", "sde-dpmpp-2m")
"""Who is compared with by default, as far as the suite has them."""

NOTHING_IN_COMMON = 4
"""The exit code, as `check` has it for a baseline of something else."""


@click.command("compare")
@click.argument("what", nargs=-1, required=True, metavar="SOLVER... | RUN_A RUN_B")
@click.option("--against", help="Other solvers, separated by commas; patterns allowed [default: the usual ones].")
@click.option("--suite", default="cifar10", show_default=True, help="A shipped suite, or a .toml file.")
@click.option("--scale", default="full", metavar="full|quick|paper", help="How many samples, and of what.")
@click.option("--quick", "scale", flag_value="quick", help="--scale quick.")
@click.option("--problem", "problems", multiple=True, help="Only these problems (patterns allowed).")
@click.option("--nfe", type=Numbers(), default=(), help="Only these budgets of model evaluations.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of starts and noise.")
@click.option("--out", type=click.Path(path_type=Path), default="reports", show_default=True, help="Where runs go.")
@click.option("--name", help="Name of the run's folder [default: the time].")
@how
@click.option("--no-cache", is_flag=True, help="Neither reuse cells of earlier runs nor keep these.")
@json_option
def command(
    what: tuple[str, ...],
    against: str | None,
    suite: str,
    scale: str,
    problems: tuple[str, ...],
    nfe: tuple[int, ...],
    seed: int,
    out: Path,
    name: str | None,
    jobs: int | None,
    cell_timeout: float,
    in_process: bool,
    quiet: bool,
    no_cache: bool,
    as_json: bool,
) -> int:
    """Say where SOLVER, your mine.py or a name, wins, ties and loses against others on a suite; or what changed
    between two run folders; exit code 4 if these have no number in common.

    Cells that an earlier run has finished are taken from the cache; the others are run. Tables, figures and sheets
    go to OUT/SUITE/RUN, as `solverbench run` writes them, and report.html, a page with SOLVER marked.
    """
    folders = [Path(word) for word in what if _is_run(word)]
    if folders:
        if len(folders) != 2 or len(what) != 2:
            raise UsageError(f"give two run folders, or solvers: a run is compared with a run; got {', '.join(what)}")
        return _runs(folders[0], folders[1], as_json)
    from solverbench.run import suite as suites

    mine = [resolved for word in what for resolved in resolve_solver(word)]
    loaded = suites.load(suite, scale=scale)
    others = re.split(r",(?![^\[]*\])", against) if against is not None else [n for n in USUAL if n not in mine]
    selection = _selection(loaded, mine, others, against is not None, problems=problems, nfe=nfe, seed=seed)
    execute = executor(jobs, cell_timeout, None, in_process, not no_cache)
    return _solvers(loaded, selection, mine, execute, out, name, quiet, as_json)


def _is_run(word: str) -> bool:
    """Whether a run is meant: a folder, but one that has a solver's name only if it holds a run."""
    from solverbench.methods import SOLVERS

    folder = Path(word)
    return folder.is_dir() and (word not in SOLVERS or (folder / "manifest.json").is_file())


def _selection(suite: Suite, mine: list[str], others: list[str], named: bool, **filters: Any) -> Selection:
    """The cells of both; of the usual others, if none are named, those that the suite itself has."""
    from solverbench.run import cells

    if set(others) <= set(mine):
        raise NothingSelectedError(f"nothing to compare {', '.join(mine)} with: name others by --against")
    found = cells.select(suite, solvers=[*mine, *others], **filters)

    def wanted(cell: cells.Cell) -> bool:
        own = cell.problem.spec.solvers or suite.solvers
        return named or str(cell.solver) in mine or str(cell.solver) in own

    return replace(found, cells=tuple(filter(wanted, found.cells)))


def _solvers(
    suite: Suite,
    selection: Selection,
    mine: list[str],
    execute: Executor,
    out: Path,
    name: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    from solverbench import report
    from solverbench.contract.twins import same_program
    from solverbench.methods import SOLVERS
    from solverbench.report.duel import LEGEND, duels, summary, tables
    from solverbench.report.formats import csv, markdown
    from solverbench.run.runner import run
    from solverbench.run.store import RunFolder

    watch = progress(len(selection.cells), quiet)
    labels = [str(SOLVERS[spec]) for spec in mine]
    folder = RunFolder(out, suite.name, name)
    for spec in mine:
        if same := same_program(SOLVERS[spec]):
            watch.say(f"{spec} is the same program as {', '.join(same)}")
    outcome = run(suite, selection, folder, execute=execute, say=watch.say, done=watch.done, notes={"mine": labels})
    watch.end(vars(outcome))
    loaded = report.load(folder.path)
    rows = duels(loaded, labels)
    if as_json:
        click.echo(_json(rows))
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        found = tables(loaded, rows)
        for form in (markdown, csv):
            form(loaded, found, "compare")
        once = (*[LEGEND] * bool(found), *loaded.warnings)  # the tables' notes, but said after the last
        alone = [replace(table, notes=[note for note in table.notes if note not in once]) for table in found]
        said = "\n".join(textwrap.fill(note, max(width, 40)) for note in once)
        parts = [*(table.text(width) for table in alone), said, "\n".join(summary(rows))]
        if text := "\n\n".join(filter(None, parts)):
            click.echo(text)
    if not outcome.interrupted:
        report.render(folder.path, tables=("md", "csv", "html"))  # while a solver of a file is known
    watch.say(f"{outcome.finished - outcome.reused} cells run, {outcome.reused} reused: {folder.path}")
    return outcome.exit_code


def _runs(before: Path, after: Path, as_json: bool) -> int:
    from solverbench.report.changes import changes
    from solverbench.report.records import load

    found = changes(load(before), load(after))
    if as_json:
        click.echo(_json(found.rows))
        for remark in found.remarks:
            click.echo(remark, err=True)
    else:
        click.echo(found.table().text(shutil.get_terminal_size((120, 24)).columns))
    return 0 if len(found.rows) else NOTHING_IN_COMMON


def _json(rows: pd.DataFrame) -> str:
    """Records; what is no number becomes null."""
    return json.dumps(json.loads(rows.to_json(orient="records", double_precision=15)), indent=1)
