"""Orders of convergence, measured.

    subject(solver) -> Subject -> measure -> Report

A `Subject` is anything that takes states from one noise level to the next. It is run on nested and on uneven grids, on
a nonlinear field and on a Gaussian whose solutions are known exactly (`problems`), its errors are laid to a ruler
(`ruler`), its output law is read off impulses (`impulse`, `laws`), and a verdict follows (`measure`). With noise it is
also laid beside the solution on the same Brownian path (`strong`), and the noise made small (`small_noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args, overload

from solverbench.errors import UsageError, check_known
from solverbench.orders.measure import PROBLEMS, Problem, Report, measure
from solverbench.orders.noise import Kind, NoiseReport, measure_noise
from solverbench.orders.ruler import Slope
from solverbench.orders.subjects import Subject, subject

if TYPE_CHECKING:
    from solverbench.api import SolverLike
    from solverbench.paths import Path

__all__ = ["NoiseReport", "Report", "Slope", "Subject", "measure", "measure_noise", "order", "subject"]


@overload
def order(solver: SolverLike, path: Path | str = "edm", problems: Sequence[Problem] = PROBLEMS) -> Report: ...
@overload
def order(
    solver: SolverLike, path: Path | str = "edm", problems: Sequence[Problem] = PROBLEMS, *, kind: Kind
) -> NoiseReport: ...
def order(
    solver: SolverLike,
    path: Path | str = "edm",
    problems: Sequence[Problem] = PROBLEMS,
    *,
    kind: Kind | Literal["overall"] = "overall",
) -> Report | NoiseReport:
    """Measure the order of a solver, given by name, by its function, or as it is; integrated on the given path.

    problems: which of the two are judged, overall. kind: of a solver that draws noise its "strong" or "weak" orders or
    those in "small-noise", each with interval, window and constant, instead of the verdict on the whole of it.

    Returns a Report, or a NoiseReport for these kinds; a solver that raises has the verdict "failed". Raises
    UsageError for unknown names, problems and kinds.
    """
    from solverbench.api import find_solver

    if isinstance(problems, str) or not problems or not set(problems) <= set(PROBLEMS):
        raise UsageError(f"problems are one or more of {', '.join(PROBLEMS)} in a list, got {problems!r}")
    made = subject(find_solver(solver), path)
    if kind == "overall":
        return measure(made, problems)
    check_known("kind of order", kind, ["overall", *get_args(Kind)])
    return measure_noise(made, kind)
