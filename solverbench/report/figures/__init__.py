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
from solverbench.report.records import array
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


@dataclass(frozen=True)
class Kind:
    """A kind of figure: one for a whole run, one for each of its problems that it suits, or one for solvers."""

    module: str
    of: Literal["run", "problem", "solvers"]
    about: str
    suits: tuple[str, ...] = ("law", "paired", "trajectory")
    """Kinds of problems."""
    column: str = ""
    """A column of the records that must not be empty, or "images" or "along", which are kept in arrays."""

    def draw(self, wish: Wish) -> Figure:
        """The figure, in the caller's style."""
        figure: Figure = import_module(f"{__name__}.{self.module}").draw(wish)
        return figure


NAMES = ("label", "solver", "same_as", "problem", "family")
KINDS = {
    "work-precision": Kind("work_precision", "run", "error by model evaluations, with slopes and floors"),
    "work-seconds": Kind("work_seconds", "run", "error by seconds of sampling", column="field_seconds"),
    "pareto": Kind("pareto", "run", "what no other choice beats in evaluations and in the errors of all problems"),
    "ranks": Kind("rank_table", "run", "places of the solvers on every problem, as far as the data tell them apart"),
    "profile": Kind("profile", "run", "performance profile: how often within a factor of the best (Dolan-More)"),
    "families": Kind("families", "problem", "error by model evaluations, a panel per family"),
    "fd-compute": Kind("compute", "problem", "FD_pixel by evaluations, operations, seconds", ("paired",), "fd"),
    "split": Kind("split", "problem", "the parts of the error", ("law",)),
    "samples": Kind("samples", "problem", "what solvers make of one noise, and how far off", column="images"),
    "along-paired": Kind(
        "along_paired", "problem", "paired error at every time of the grid", ("paired", "trajectory"), "along"
    ),
    "transfer": Kind("transfer", "solvers", "error by eigenvalue of the data: a solver's transfer function"),
    "along": Kind("along", "solvers", "error along the trajectory"),
    "stability": Kind("stability", "solvers", "region of absolute stability"),
    "order": Kind("order", "solvers", "error by step size, with the slope that is measured"),
    "trajectories": Kind("trajectories", "solvers", "paths of samples over the exact density"),
}


def figures(run: Run) -> dict[str, Callable[[], Figure]]:
    """Name of the file -> function that draws it; empty where nothing has finished."""
    return {
        name: lambda k=kind, p=problem: KINDS[k].draw(_literal(Wish(run, p)))  # type: ignore[misc]
        for kind in KINDS
        for problem, name in _places(kind, run)
    }


def _places(kind: str, run: Run) -> list[tuple[str, str]]:
    """(problem, name of the file) of every figure of a kind that a run has."""
    known = KINDS[kind]
    good = [
        problem
        for problem, k in run.alone
        if k in known.suits and (run.of(problem)["status"] == "ok").any() and _has(run, problem, known.column)
    ]
    if known.of == "run":
        return [("", kind)] if good else []
    return [(problem, f"{kind}-{problem}") for problem in good] if known.of == "problem" else []


def _has(run: Run, problem: str, column: str) -> bool:
    if column == "images":
        return (run.folder / "arrays" / f"reference-{problem}.npz").is_file()
    if column == "along":
        return any(array(run.folder, cell, "along") is not None for cell in run.of(problem)["cell"])
    return not column or bool(run.of(problem)[column].notna().any())


def draw(kind: str, wish: Wish) -> Figure:
    """One figure. Raises UsageError for a kind that is not known, or that the run or the wish has not got."""
    if kind not in KINDS:
        raise UsageError(f"unknown figure {kind!r}{nearest(kind, KINDS)}")
    if KINDS[kind].of == "solvers":
        with style():
            return KINDS[kind].draw(wish)
    if wish.run is None:
        raise UsageError(f"figure {kind!r} is drawn from a run: name its folder")
    run = _narrowed(wish.run, wish.solvers)
    places = _places(kind, run)
    problems = [problem for problem, _ in places]
    if not places:
        raise UsageError(f"the run {str(run.folder)!r} has nothing to draw {kind!r} from")
    if wish.problem and wish.problem not in problems and KINDS[kind].of == "problem":
        raise UsageError(f"no figure {kind!r} of problem {wish.problem!r}{nearest(wish.problem, problems)}")
    with style():
        return KINDS[kind].draw(_literal(replace(wish, run=run, problem=wish.problem or problems[0])))


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


def _literal(wish: Wish) -> Wish:
    """The same with every name such that the drawing library shows it and does not read formulas between dollars."""
    assert wish.run is not None
    run = wish.run
    records = run.records.assign(**{c: run.records[c].str.replace("$", r"\$") for c in NAMES})
    problems = [{**p, "name": _shown(p["name"])} for p in run.manifest.get("problems", ())]
    manifest = {**run.manifest, "title": _shown(run.title), "problems": problems}
    return replace(wish, run=replace(run, records=records, manifest=manifest), problem=_shown(wish.problem))


def _shown(name: str) -> str:
    return name.replace("$", r"\$")


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's ending, without a date: the same figure gives the same bytes."""
    form = path.suffix.removeprefix(".").lower()
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    if form not in metadata:
        raise UsageError(f"figures are png, pdf or svg, got {path.name!r}")
    with style():
        figure.savefig(path, format=form, metadata=metadata[form])


def save(run: Run, folder: Path, formats: Sequence[str], only: Sequence[str] = ("*",)) -> list[Path]:
    """Draw every figure of a run whose name fits one of the patterns, and write it in every format."""
    paths = []
    for name, make in figures(run).items():
        if not any(fnmatchcase(name, pattern) for pattern in only):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        with style():
            figure = make()
        for form in formats:
            path = folder / f"{name}.{form}"
            write(figure, path)
            paths.append(path)
    return paths
