"""What a user calls beside `sample`: `plan` and `law`. Solvers, paths and grids are found by name or given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from solverbench.adaptive import ADAPTIVE
from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.grids import grid as make_grid
from solverbench.methods import SOLVERS, Solver
from solverbench.methods.registry import unknown
from solverbench.paths import Path
from solverbench.paths import path as make_path
from solverbench.plans import Plan, State
from solverbench.predictions import Prediction

if TYPE_CHECKING:
    from solverbench.measures.law import Law
    from solverbench.measures.likelihood import Likelihood

SolverLike: TypeAlias = str | Solver | Callable[..., State]
GridLike: TypeAlias = Grid | Sequence[float] | np.ndarray[Any, Any]


def find_solver(solver: SolverLike) -> Solver:
    """A solver, adaptive ones included, by name with options ("ddim[eta=0.5]"), by its function, or as it is."""
    if isinstance(solver, Solver):
        return solver
    if isinstance(solver, str):
        name = solver.partition("[")[0].strip()
        if name not in SOLVERS and name not in ADAPTIVE:
            raise unknown(name, [*SOLVERS, *ADAPTIVE])
        return ADAPTIVE.get(solver) or SOLVERS[solver]
    if (found := SOLVERS.of(solver)) is not None:
        return found
    raise UsageError(f"{solver!r} is no solver: give its name, or register the function with @solverbench.solver(name)")


def plan(solver: SolverLike, path: str | Path, grid: GridLike, *, prediction: Prediction | None = None) -> Plan:
    """Trace a solver: its model evaluations, rows of memory and coefficients, before anything runs.

    path: the Gaussian path, by name or as an object. grid: a Grid, or decreasing times of the path.
    prediction: what the field will output; by default the solver's own kind, or x0 where that cannot be used.
    Raises UsageError for unknown names and PlanError if the solver is not a linear program.
    """
    found = find_solver(solver)
    path = make_path(path)
    grid = on_path(grid, path)
    if prediction is None:  # out of pure noise nothing follows from a prediction of the noise
        prediction = "x0" if path.is_noise(grid.times[0]) and found.predicts in ("noise", "score") else found.predicts
    return found.plan(path, grid, prediction)


def on_path(grid: GridLike, path: Path) -> Grid:
    """A grid, or the times of one, on the given path. Raises UsageError for a grid of another path."""
    made = make_grid(grid, path)
    if made.path != path:
        raise UsageError(f"the grid was made for path {made.path}, the field is on {path}: make it on the field's path")
    return made


def log_likelihood(
    field: Any, x: Any, solver: SolverLike, grid: GridLike, *, start: Literal["exact", "prior"] = "prior"
) -> Likelihood:
    """log p of states x (n, *shape), along the probability-flow ODE by any solver of it; float64.

    grid: as for sampling; x are states at its last time with noise, and the solver goes up to its first, where the
    law is the path's "prior" or the field's "exact" one. The field needs `divergence(x, t)`, which Gaussians and
    mixtures have. Returns a Likelihood with log_p and bits (per dimension), (n,). Raises UsageError for other fields,
    and for solvers that draw noise or jump.
    """
    from solverbench.fields.base import check_field
    from solverbench.measures.likelihood import log_likelihood as compute

    check_field(field)
    return compute(field, x, find_solver(solver), on_path(grid, field.path), start)


def law(
    field: Any,
    solver: SolverLike,
    grid: GridLike,
    *,
    start: Literal["exact", "prior"] = "exact",
    target: Literal["data", "end"] = "data",
) -> Law:
    """The exact law of a solver's output on a Gaussian field: no samples, no sampling error.

    start: "exact", the field's own marginal at the first time, or "prior", the path's.
    target: compare with the law of the data, or with the exact marginal at the grid's last time ("end": discretisation
    alone, for grids that stop early).
    Returns a Law with mean, variance, w2, kl, nfe and the transition kernel. Raises UsageError for other fields.
    """
    from solverbench.fields.base import LinearField
    from solverbench.measures.law import law_of

    if not isinstance(field, LinearField):
        raise UsageError(f"exact laws need a field that is linear along fixed directions, not {type(field).__name__}")
    grid = on_path(grid, field.path)
    return law_of(find_solver(solver).plan(field.path, grid, field.prediction), field, start, target)
