"""The figures: of a run, drawn from its records; and of solvers alone, whose laws and orders are computed on the spot.

A kind is a module with a function `draw(wish) -> Figure`, and a line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from solverbench.errors import UsageError, nearest
from solverbench.report.excerpt import thinned
from solverbench.report.figures.page import NothingError
from solverbench.report.layout import listed
from solverbench.report.style import style

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from solverbench.report.records import Run


@dataclass(frozen=True)
class Wish:
    """What is to be drawn: some of it is empty, as the kind has it."""

    run: Run | None = None
    problem: str = ""
    solvers: tuple[str, ...] = ()
    nfe: int | None = None
    metric: str = ""
    """The key of a quantity, for kinds that show the primary one of each problem."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure: one for a whole run, one for each of its problems that it suits, or one for solvers."""

    module: str
    of: Literal["run", "problem", "solvers"]
    about: str
    suits: tuple[str, ...] = ("law", "paired", "trajectory")
    """Kinds of problems."""
    fixed: bool = False
    """Whether it shows no other quantity than its own."""

    def draw(self, wish: Wish) -> Figure:
        """The figure, in the caller's style."""
        figure: Figure = import_module(f"{__name__}.{self.module}").draw(wish)
        return figure


SAMPLED = ("paired", "trajectory")
BUDGETS = 12
"""Of so many a line of a panel can show the points."""
KINDS = {
    "work-precision": Kind("work_precision", "run", "error by model evaluations, with slopes and floors"),
    "work-seconds": Kind("work_seconds", "run", "error by seconds of sampling"),
    "pareto": Kind("pareto", "run", "what no other choice beats in evaluations and in the errors of all problems"),
    "ranks": Kind("rank_table", "run", "places of the solvers on every problem, as far as the data tell them apart"),
    "profile": Kind("profile", "run", "performance profile: how often within a factor of the best (Dolan-More)"),
    "families": Kind("families", "problem", "error by model evaluations, a panel per family"),
    "fd-compute": Kind("compute", "problem", "FD_pixel by evaluations and seconds", ("paired",), fixed=True),
    "split": Kind("split", "problem", "the parts of the error", ("law",)),
    "samples": Kind("samples", "problem", "what solvers make of one noise, and how far off", SAMPLED),
    "along-paired": Kind("along_paired", "problem", "paired error at every time of the grid", SAMPLED, fixed=True),
    "transfer": Kind("transfer", "solvers", "error by eigenvalue of the data: a solver's transfer function"),
    "along": Kind("along", "solvers", "error along the trajectory"),
    "stability": Kind("stability", "solvers", "region of absolute stability"),
    "order": Kind("order", "solvers", "error by step size, with the slope that is measured"),
    "trajectories": Kind("trajectories", "solvers", "paths of samples over the exact density"),
}


def figures(run: Run) -> dict[str, Callable[[], Figure]]:
    """Name of the file -> function that draws it, which raises NothingError where the records have nothing for it."""
    return {
        name: lambda k=kind, p=problem: KINDS[k].draw(Wish(run, p))  # type: ignore[misc]
        for kind in KINDS
        for problem, name in _places(kind, run)
    }


def _places(kind: str, run: Run) -> list[tuple[str, str]]:
    """(problem, name of the file) of every figure that a kind may have of a run."""
    known = KINDS[kind]
    if known.of == "run":
        return [("", kind)] if run.alone else []
    return [(problem, f"{kind}-{problem}") for problem, k in run.alone if known.of == "problem" and k in known.suits]


def draw(kind: str, wish: Wish) -> Figure:
    """One figure. Raises UsageError for a kind that is not known, or that the run or the wish has not got."""
    if kind not in KINDS:
        raise UsageError(f"unknown figure {kind!r}{nearest(kind, KINDS)}")
    if wish.metric and (KINDS[kind].fixed or KINDS[kind].of == "solvers"):
        raise UsageError(f"figure {kind!r} takes no metric, got {wish.metric!r}")
    if KINDS[kind].of == "solvers":
        with style():
            return KINDS[kind].draw(wish)
    if wish.run is None:
        raise UsageError(f"figure {kind!r} is drawn from a run: name its folder")
    run = _by(_narrowed(wish.run, wish.solvers), wish.metric)
    problems = [problem for problem, _ in _places(kind, run)]
    if wish.problem and KINDS[kind].of == "problem":
        if wish.problem not in problems:
            raise UsageError(f"no figure {kind!r} of problem {wish.problem!r}{nearest(wish.problem, problems)}")
        problems = [wish.problem]
    why = f"it has no problem of kind {' or '.join(KINDS[kind].suits)} with a figure of its own"
    for problem in problems:
        try:
            with style():
                return KINDS[kind].draw(replace(wish, run=run, problem=problem))
        except NothingError as error:
            why = str(error)
    raise UsageError(f"the run {str(run.folder)!r} has nothing to draw {kind!r} from: {why}")


def _narrowed(run: Run, patterns: Sequence[str]) -> Run:
    """The run with those solvers only that a pattern names, a label or a shell pattern."""
    if not patterns:
        return run
    kept = run.records["label"].map(lambda name: any(name == p or fnmatchcase(name, p) for p in patterns))
    if not kept.any():
        raise UsageError(
            f"no solver of the run is called {patterns[0]!r}{nearest(patterns[0], set(run.records['label']))}"
        )
    return replace(run, records=run.records[kept])


def _by(run: Run, metric: str) -> Run:
    """The run with that quantity as the primary one of the problems that have it."""
    measured = {quantity.key for problem, _ in run.problems for quantity in run.measured(problem)}
    if metric and metric not in measured:
        raise UsageError(f"no problem of the run is judged by {metric!r}{nearest(metric, measured)}")
    return replace(run, by=metric)


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's ending, without a date: the same figure gives the same bytes."""
    form = path.suffix.removeprefix(".").lower()
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    if form not in metadata:
        raise UsageError(f"figures are png, pdf or svg, got {path.name!r}")
    with style():
        figure.savefig(path, format=form, metadata=metadata[form])


def save(
    run: Run,
    folder: Path,
    formats: Sequence[str],
    only: Sequence[str] = ("*",),
    say: Callable[[str], object] = lambda text: None,
) -> list[Path]:
    """Draw every figure of a run whose name fits one of the patterns, and write it in every format.

    A run of more than `BUDGETS` budgets is drawn at so many, spread over all; the figures say so. say: gets a line for
    each reason for which there is nothing to draw a figure from.
    """
    paths = []
    if run.problems and not run.alone:
        say("no figure: all problems share a table")
    unsaid: dict[str, list[str]] = {}
    for name, make in figures(thinned(run, BUDGETS)).items():
        if not any(fnmatchcase(name, pattern) for pattern in only):
            continue
        try:
            with style():
                figure = make()
        except NothingError as why:
            unsaid.setdefault(str(why), []).append(name)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for form in formats:
            path = folder / f"{name}.{form}"
            write(figure, path)
            paths.append(path)
    for reason, names in unsaid.items():
        say(f"no figure {listed(names)}: {reason}")
    return paths
