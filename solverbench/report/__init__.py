"""What is rendered from a run folder, without computing anything again.

    run = report.load("reports/cifar10/2026-01-01-baseline")
    print(report.summary(run))
    report.render(run.folder, figures=["pdf"], tables=["md", "csv"])

Heavy libraries are loaded when they are needed: a summary draws nothing.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from solverbench.errors import UsageError, nearest
from solverbench.report.formats import FORMATS
from solverbench.report.joint import joint_names, joint_table
from solverbench.report.records import Run, load
from solverbench.report.tables import compute_table, error_table
from solverbench.report.tables import tables as make_tables

__all__ = ["Run", "load", "render", "summary"]

FIGURES = ("png", "pdf", "svg")


def render(
    run: str | Path | Run,
    figures: Sequence[str] = ("png", "pdf"),
    tables: Sequence[str] = ("md", "csv"),
    sheets: bool = True,
    only: Sequence[str] = ("*",),
    slim: str | Path | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> list[Path]:
    """Write tables/, figures/ and sheets/ into a run's folder and return the files, also of a run that is not complete.

    run: the folder, or what `load` made of it. only: patterns of the names of figures and sheets, without ending.
    slim: another folder, for a small copy of the run (`slim.copy`), which gets all files; tables and figures are then
    made from the copy, as whoever has it can make them, and sheets, which need pictures, from the run.
    say: gets a line for each thing that is not there, with the reason. Raises UsageError for an unknown format, a
    folder that is no run, or a copy that would replace another's.
    """
    _known("figure", figures, FIGURES)
    _known("table", tables, FORMATS)
    run = whole = load(run)
    paths = []
    if slim is not None:
        from solverbench.report.slim import copy

        run = load(copy(whole, Path(slim), say))
    made = make_tables(run) if tables else []
    for form in tables:
        paths += FORMATS[form](run, made)
    if figures:
        from solverbench.report.figures import save

        paths += save(run, run.folder / "figures", figures, only, say)
    if sheets:
        from solverbench.report.sheets import sheets as make_sheets

        paths += make_sheets(whole, run.folder / "sheets", only)
    return paths


def summary(run: Run, width: int | None = None) -> str:
    """What a run found, for a terminal: errors by NFE, and distance by compute; a star marks the best and its ties."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    parts = [textwrap.fill(warning, max(width, 40)) for warning in run.warnings]
    run = run.silent()  # said once is enough
    parts += [joint_table(run, name).text(width) for name in joint_names(run)]
    for problem, kind in run.alone:
        shown = run.measured(problem) if kind == "trajectory" else [run.primary(problem)]
        parts += [error_table(run, problem, quantity).text(width) for quantity in shown]
        if kind != "law":
            parts.append(compute_table(run, problem).text(width))
    if not run.problems:
        parts.append(run.titled(f"{run.title}: no cell has finished"))
    return "\n\n".join(parts)


def _known(what: str, given: Sequence[str], known: Collection[str]) -> None:
    if isinstance(given, str):
        raise UsageError(f"{what} formats are a list, got {given!r}: write [{given!r}]")
    for form in given:
        if form not in known:
            raise UsageError(f"unknown {what} format {form!r}{nearest(form, known)}")
