"""Orders of convergence, measured.

    subject(solver) -> Subject -> measure -> Report

A `Subject` is anything that takes states from one noise level to the next. It is run on nested and on uneven grids, on
a nonlinear field and on a Gaussian whose solutions are known exactly (`problems`), its errors are laid to a ruler
(`ruler`), its output law is read off impulses (`impulse`, `laws`), and a verdict follows (`measure`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from solverbench.orders.measure import Problem, Report, measure
from solverbench.orders.ruler import Slope
from solverbench.orders.subjects import Subject, subject

if TYPE_CHECKING:
    from solverbench.api import SolverLike
    from solverbench.paths import Path

__all__ = ["Report", "Slope", "Subject", "measure", "order", "subject"]


def order(
    solver: SolverLike, path: Path | str = "edm", problems: Sequence[Problem] = ("nonlinear", "gaussian")
) -> Report:
    """Measure the order of a solver, given by name, by its function, or as it is; integrated on the given path.

    problems: which of the two are judged.

    Returns a Report; a solver that raises has the verdict "failed". Raises UsageError for unknown names.
    """
    from solverbench.api import find_solver

    return measure(subject(find_solver(solver), path), problems)
