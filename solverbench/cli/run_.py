"""`solverbench run`: the main job."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from solverbench.cli.common import Amount, Numbers, json_option, print_rows, resolve_solver
from solverbench.cli.progress import Events, progress
from solverbench.errors import UsageError


@click.command("run")
@click.option("--suite", default="cifar10", show_default=True, help="A shipped suite, or a .toml file.")
@click.option("--scale", default="full", metavar="full|quick|paper", help="How many samples, and of what.")
@click.option("--quick", "scale", flag_value="quick", help="--scale quick: a first look in under a minute.")
@click.option("--solver", "solvers", multiple=True, help="Only these: names, patterns, mine.py or mine.py:name.")
@click.option("--problem", "problems", multiple=True, help="Only these problems (patterns allowed).")
@click.option(
    "--spectrum", metavar="NAME|FILE", help="Gaussian of problems of kind law: cifar10-gaussian, power-law, file.npy."
)
@click.option("--nfe", type=Numbers(), default=(), help="Only these budgets of model evaluations.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of starts and noise.")
@click.option("--device", default="cpu", metavar="auto|cuda|cpu", help="Where samples are computed [default: cpu].")
@click.option("--out", type=click.Path(path_type=Path), default="reports", show_default=True, help="Where runs go.")
@click.option("--name", help="Name of the run's folder [default: the time].")
@click.option("--resume", type=click.Path(path_type=Path), help="Finish the run in this folder; all else is as it was.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes, of one thread each [default: one per core].")
@click.option("--cell-timeout", type=Amount(), default=3600.0, show_default=True, help="Seconds a cell may take.")
@click.option("--memory", type=Amount(), help="GB a cell may take.")
@click.option("--in-process", is_flag=True, help="No workers and no limits: for debugging.")
@click.option(
    "--executor", "where", type=click.Choice(["processes", "dask"]), default="processes", show_default=True,
    help="dask: on the machines of a cluster; docs/clusters.md.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster [default: --jobs workers on this machine].")
@click.option("--resource", "resources", metavar="NAME=N", multiple=True, help="Only workers that have it: GPU=1.")
@click.option("--no-cache", is_flag=True, help="Neither reuse cells of earlier runs nor keep these.")
@click.option(
    "--timing",
    type=click.IntRange(3),
    metavar="ROUNDS",
    help="Then time solvers side by side, alone, in so many rounds; with --resume also those of a finished run.",
)
@click.option("--no-report", is_flag=True, help="Neither tables nor figures: `solverbench report RUN` makes them.")
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
    device: str,
    out: Path,
    name: str | None,
    resume: Path | None,
    jobs: int | None,
    cell_timeout: float,
    memory: float | None,
    in_process: bool,
    where: str,
    scheduler: str | None,
    resources: tuple[str, ...],
    no_cache: bool,
    timing: int | None,
    no_report: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Judge samplers on a suite of problems whose solution is known: tables on stdout, everything else in a folder.

    The folder OUT/SUITE/RUN holds manifest.json, cells.jsonl (one line per finished cell, written at once), tables,
    figures and sheets of samples. --json prints an event a line as it happens instead of tables: docs/runs.md.
    """
    from solverbench.run.store import RunFolder

    if where != "dask" and (scheduler or resources):
        raise UsageError("--scheduler and --resource are of a cluster: give --executor dask with them")
    asked: dict[str, Any] = {
        "suite": suite,
        "scale": scale,
        "solvers": solvers,
        "problems": problems,
        "nfe": nfe,
        "seed": seed,
        "spectrum": spectrum,
        "device": device,
    }
    asked = _asked_before(resume) if resume else asked
    asked["device"] = _device(asked.get("device", "cpu"), scheduler is not None and not timing, quiet)
    if asked["device"] == "cuda" and memory is not None:
        raise UsageError("--memory limits addresses, of which CUDA reserves far more than it uses: leave it out")
    loaded, selection = select(**asked)
    if dry_run:
        rows = [
            {"cell": c.id, "problem": c.problem.spec.name, "solver": str(c.solver), "budget": c.budget, "seed": c.seed}
            for c in selection.cells
        ]
        print_rows(rows, as_json)
        return 0
    execute: Any = executor(jobs, cell_timeout, memory, in_process, not no_cache)
    if where == "dask":
        execute = _on_cluster(execute, scheduler, resources, not no_cache)
    folder = RunFolder.again(resume) if resume else RunFolder(out, loaded.name, name)
    return _run(loaded, selection, folder, execute, asked, timing or 0, not no_report, quiet, as_json)


def select(
    suite: str,
    scale: str,
    solvers: Sequence[str],
    problems: Sequence[str],
    nfe: Sequence[int],
    seed: int,
    spectrum: str | None = None,
    device: str = "cpu",
) -> tuple[Any, Any]:
    """The suite and the cells that options of this verb mean."""
    from solverbench.run import cells
    from solverbench.run import suite as suites

    loaded = suites.load(suite, scale=scale).on(spectrum).by(device)
    names = [resolved for spec in solvers for resolved in resolve_solver(spec)]
    return loaded, cells.select(loaded, solvers=names, problems=problems, nfe=nfe, seed=seed)


def _device(asked: str, elsewhere: bool, quiet: bool) -> str:
    """The name of a device. Where all is computed elsewhere, it is asked there whether there is a GPU."""
    from solverbench.engines.devices import choose

    if elsewhere and asked == "cuda":
        return asked
    if elsewhere and asked == "auto":
        raise UsageError("--device auto would be this machine's choice for others: say cuda or cpu with --scheduler")
    choice = choose(asked)
    if asked == "auto" and not quiet:
        click.echo(f"device {choice.name}: {choice.why}", err=True)
    return choice.name


def _asked_before(folder: Path) -> dict[str, Any]:
    """What a run that is to be resumed was asked for. Raises UsageError if that would be another run today."""
    from solverbench.run import suite as suites

    file = folder / "manifest.json"
    if not file.is_file():
        raise UsageError(f"{folder} holds no run that could be resumed: it has no manifest.json")
    try:
        manifest = json.loads(file.read_text("utf-8"))
        wanted, digest, files = manifest["asked"], manifest["suite_hash"], dict(manifest["files"])
    except (ValueError, TypeError, KeyError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{file} is no manifest of this version ({why}): start a new run") from None
    asked = options_in(wanted, file)
    if suites.load(asked["suite"], scale=asked["scale"]).digest != digest:
        raise UsageError(f"suite {asked['suite']!r} has changed since {folder} was begun: start a new run")
    for own, digest in files.items():
        if not Path(own).is_file() or hashlib.sha256(Path(own).read_bytes()).hexdigest() != digest:
            raise UsageError(f"{own} has changed since {folder} was begun: start a new run")
    return asked


_OPTIONS: dict[str, Any] = {"suite": str, "scale": str, "solvers": list, "problems": list, "nfe": list, "seed": int}
_LATER: dict[str, Any] = {"spectrum": (str, type(None)), "device": str}
"""Options of `select`, and those that files of older versions lack."""


def options_in(asked: Any, file: Path) -> dict[str, Any]:
    """The options of `select` that a file has kept. Raises UsageError if it has not, or was altered."""
    kinds = {**_OPTIONS, **_LATER}
    if not (isinstance(asked, dict) and _OPTIONS.keys() <= asked.keys() <= kinds.keys()):
        raise UsageError(f"{file} does not say what was asked for, as this version writes it: begin anew")
    for key, value in asked.items():
        entry = int if key == "nfe" else str
        if not isinstance(value, kinds[key]) or (type(value) is list and {*map(type, value)} - {entry}):
            raise UsageError(f"{file} was altered: nothing is run with {key} {value!r}; begin anew")
    return asked


_ENDLESS = 1e6
"""Seconds and GB from which on there is no limit: timers and the system take no more."""


def executor(jobs: int | None, seconds: float, memory: float | None, in_process: bool, cached: bool) -> Any:
    """Where cells are finished, by the options of this verb."""
    from solverbench.run.cache import Cache
    from solverbench.run.runner import InProcess
    from solverbench.run.workers import Limits, Processes

    cache = Cache() if cached else None
    if in_process:
        return InProcess(cache)
    limits = Limits(
        seconds if seconds < _ENDLESS else math.inf, int(memory * 2**30) if memory and memory < _ENDLESS else None
    )
    return Processes(jobs or len(os.sched_getaffinity(0)), limits, cache.root if cache else None)


def _on_cluster(local: Any, scheduler: str | None, resources: Sequence[str], cached: bool) -> Any:
    """The executor that does on a cluster what `local`, of worker processes, would do here."""
    from solverbench.run.cluster import Dask
    from solverbench.run.workers import Processes

    if not isinstance(local, Processes):
        raise UsageError("--in-process and --executor dask exclude each other: leave one out")
    amounts = {}
    for text in resources:
        name, _, amount = text.partition("=")
        try:
            amounts[name] = Amount().convert(amount, None, None)
        except click.BadParameter:
            raise UsageError(f"--resource is NAME=N, as in GPU=1, got {text!r}") from None
    return Dask(scheduler, local.jobs, local.limits, cached, amounts)


def _run(
    loaded: Any,
    selection: Any,
    folder: Any,
    execute: Any,
    asked: dict[str, Any],
    timing: int,
    reported: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    from solverbench.run.runner import run

    started = time.perf_counter()
    cells, before = len(selection.cells), len(folder.finished)
    begun = {"folder": str(folder.path), "cells": cells, "finished": before}
    watch = Events(**begun) if as_json else progress(cells - before, quiet)
    outcome = run(
        loaded, selection, folder, execute=execute, asked=asked, timing=timing,
        say=watch.say, done=watch.done, timed=watch.timed,
    )  # fmt: skip
    watch.end({**vars(outcome), "exit_code": outcome.exit_code, "folder": str(folder.path)})
    if outcome.interrupted:
        kept = f"{len(folder.records())} of {cells} cells are kept"
        click.echo(f"interrupted: {kept}; go on with --resume {folder.path}", err=True)
    if reported and (outcome.finished or outcome.timed):
        _report(folder.path, printed=not as_json, rendered=not outcome.interrupted)
    if not quiet:
        failed = f", {outcome.failed} failed" if outcome.failed else ""
        failed += f", {outcome.reused} taken from the cache" if outcome.reused else ""
        failed += f", {outcome.timed} timed" if outcome.timed else ""
        took = time.perf_counter() - started
        click.echo(f"{outcome.finished} cells{failed} in {took:.0f} s: {folder.path}", err=True)
    return outcome.exit_code


def _report(folder: Path, printed: bool, rendered: bool) -> None:
    from solverbench import report

    loaded = report.load(folder)
    try:
        if printed:
            click.echo(report.summary(loaded))
    finally:  # also for a reader that has left
        if rendered:
            report.render(loaded)
