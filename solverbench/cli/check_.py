"""`solverbench check`: the gate. Are a suite's numbers as good as those that were kept?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.common import Amount, json_option
from solverbench.cli.run_ import executor, options_in, select

if TYPE_CHECKING:
    from solverbench.gate.baseline import Baseline

FILE = "solverbench-baseline.json"


def measured(asked: dict[str, Any], jobs: int | None, seconds: float, in_process: bool, quiet: bool) -> Baseline:
    """The numbers of what was asked for, computed now, nothing reused."""
    from tqdm import tqdm

    from solverbench.gate.measure import measure

    suite, selection = select(**asked)
    execute = executor(jobs, seconds, None, in_process, cached=False)
    with tqdm(total=len(selection.cells), unit="cell", disable=True if quiet else None, leave=False) as bar:
        return measure(suite, selection, asked, execute, lambda _: (bar.update(), None)[1])


def how(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options on where cells are finished."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="No progress on stderr."),
        click.option("--in-process", is_flag=True, help="No workers and no limits: for debugging."),
        click.option(
            "--cell-timeout", type=Amount(), default=600.0, show_default=True,
            help="Seconds a cell may take.",
        ),
        click.option("--jobs", type=click.IntRange(1), help="Worker processes [default: one per core]."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("check")
@click.option("--baseline", type=click.Path(path_type=Path), default=FILE, show_default=True, help="What was kept.")
@click.option("--suite", help="Refuse a baseline of another suite.")
@click.option(
    "--strict", is_flag=True, help="Stop at exact numbers that are better, too: programs are to stay as they are."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of starts and noise [default: the baseline's].")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML there.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Append a table for a job's summary there.")
@how
@json_option
def command(
    baseline: Path,
    suite: str | None,
    strict: bool,
    seed: int | None,
    junit: Path | None,
    markdown: Path | None,
    jobs: int | None,
    cell_timeout: float,
    in_process: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run what the baseline is of, and print what is worse or better than it was, or new.

    Exact numbers may differ by 1e-9 relative. Sampled ones are tested together, so that the chance of any false alarm
    is at most 1 %. Exit codes: 0 nothing is worse, 1 something is, 3 cells failed, 4 no baseline, or of another suite.
    """
    from solverbench.errors import StorageError
    from solverbench.gate import outputs
    from solverbench.gate.baseline import Baseline, NoBaselineError
    from solverbench.gate.measure import failures
    from solverbench.gate.verdict import findings, regressions
    from solverbench.run import suite as suites

    kept = Baseline.read(baseline)
    asked = options_in(kept.asked, baseline)
    if suite and suite != asked["suite"]:
        raise NoBaselineError(f"{baseline} is of suite {asked['suite']!r}, not of {suite!r}: save another with --out")
    if suites.load(asked["suite"], scale=asked["scale"]).digest != kept.suite_hash:
        raise NoBaselineError(f"suite {asked['suite']!r} has changed since {baseline} was saved: `baseline update` it")
    if seed is not None:
        asked["seed"] = seed
    started = time.perf_counter()
    now = measured(asked, jobs, cell_timeout, in_process, quiet)
    seconds = time.perf_counter() - started
    found = findings(kept.entries, now.entries)
    stopped = regressions(found, strict=strict)
    for path, text, mode in (
        (junit, outputs.junit(stopped, now.entries, seconds), "w"),
        (markdown, outputs.text(found, now.entries, form="github") + "\n", "a"),
    ):
        if path:
            try:
                with open(path, mode, encoding="utf-8") as file:
                    file.write(text)
            except OSError as error:
                raise StorageError(f"cannot write {path}: {error.strerror}") from None
    click.echo(json.dumps(outputs.as_json(found, kept), indent=1) if as_json else outputs.text(found, now.entries))
    if stopped and (others := kept.elsewhere(now)):
        click.echo(f"{baseline} was saved elsewhere: {'; '.join(others)}", err=True)
    if failures(now):
        for entry in failures(now):
            click.echo(f"failed: {entry.solver} on {entry.problem} at {entry.budget}", err=True)
        return 3
    return int(bool(stopped))
