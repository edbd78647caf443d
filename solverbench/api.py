"""The functions a user calls: `plan`, `sample`, `law`. Everything they need is found by name or passed as an object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.grids import grid as make_grid
from solverbench.methods import SOLVERS, Solver
from solverbench.paths import Path
from solverbench.paths import path as make_path
from solverbench.plans import Plan, State
from solverbench.predictions import Prediction

if TYPE_CHECKING:
    from solverbench.fields.base import Field
    from solverbench.measures.law import Law

SolverLike: TypeAlias = str | Solver | Callable[..., State]
GridLike: TypeAlias = Grid | Sequence[float] | np.ndarray[Any, Any]

MEMORY = 1 << 30
"""Bytes of states a chunk of samples may take by default."""


def find_solver(solver: SolverLike) -> Solver:
    """A solver by name with options ("ddim[eta=0.5]"), by its registered function, or as it is."""
    if isinstance(solver, Solver):
        return solver
    if isinstance(solver, str):
        return SOLVERS[solver]
    for known in SOLVERS.values():
        if known.function is solver:
            return known
    raise UsageError(f"{solver!r} is not a solver: register the function with @solverbench.solver(name)")


def plan(solver: SolverLike, path: str | Path, grid: GridLike, *, prediction: Prediction | None = None) -> Plan:
    """Trace a solver: its model evaluations, rows of memory and coefficients, before anything runs.

    path: the Gaussian path, by name or as an object. grid: a Grid, or decreasing times of the path.
    prediction: what the field will output; the solver's own kind by default.
    Raises UsageError for unknown names and PlanError if the solver is not a linear program.
    """
    found = find_solver(solver)
    path = make_path(path)
    return found.plan(path, _on_path(grid, path), prediction or found.predicts)


def _on_path(grid: GridLike, path: Path) -> Grid:
    made = make_grid(grid, path)
    if made.path != path:
        raise UsageError(f"the grid was made for path {made.path}, the field is on {path}: make it on the field's path")
    return made


@dataclass(frozen=True)
class Samples:
    """What a run produced."""

    x: Any
    """Final states, shaped like the start, (n, *shape) from the prior; an array of the engine's kind."""
    nfe: int
    """Model evaluations per sample."""
    plan: Plan
    shape: tuple[int, ...]
    """Of one sample."""
    seconds: float
    """Wall time of the run."""
    field_seconds: float
    """Of these, spent inside the field."""

    @property
    def finite(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which samples have no nan and no infinity, of the shape of the batch."""
        x = self.x if isinstance(self.x, np.ndarray) else self.x.detach().double().cpu().numpy()
        inner = tuple(range(x.ndim - len(self.shape), x.ndim))
        ok: np.ndarray[Any, np.dtype[np.bool_]] = np.isfinite(x.astype(float)).all(axis=inner)
        return ok


def sample(
    field: Field,
    solver: SolverLike,
    grid: GridLike,
    x: Any = None,
    n: int | None = None,
    *,
    seed: int = 0,
    engine: Literal["torch", "numpy"] | None = None,
    dtype: Any = None,
    memory: int = MEMORY,
    first: int = 0,
) -> Samples:
    """Run a solver on a field.

    field: any object with `path`, `prediction`, `shape` and `__call__(x, t)`, see `fields.Field`.
    grid: a Grid on the field's path, or an array of decreasing times (on VE and EDM paths, t = sigma).
    x: states (..., *shape) at the first time of the grid, any batch shape; without it `n` samples start from the
    path's prior.
    seed: of the start and of every noise draw. Sample i under a seed is the same whatever n, chunks or engine.
    engine: "numpy" (any number type) or "torch"; by default the one of x, else torch.
    dtype: of the states; x's by default, else float32.
    memory: bytes the states of one chunk may take. first: number of the first sample.

    Raises UsageError for shapes that do not fit and for impossible grids. Samples that diverge are returned as they
    are; `Samples.finite` tells which.
    """
    grid = _on_path(grid, field.path)
    if (x is None) == (n is None):
        raise UsageError("give either x, the states to start from, or n, how many samples to draw from the prior")
    shape = tuple(field.shape)
    batch = tuple(np.shape(x)[: np.ndim(x) - len(shape)]) if x is not None else ()
    if x is not None and (tuple(np.shape(x)) != batch + shape or 0 in batch):
        expected = ", ".join(("...", *map(str, shape)))
        raise UsageError(f"x must have shape ({expected}) with at least one sample, got {tuple(np.shape(x))}")
    if n is not None and n < 1:
        raise UsageError(f"n must be at least 1, got {n}")
    if engine is None:
        engine = "numpy" if isinstance(x, np.ndarray) else "torch"
    if engine not in ("numpy", "torch"):
        raise UsageError(f"unknown engine {engine!r} (known: numpy, torch)")
    run = _sample_numpy if engine == "numpy" else _sample_torch
    x = x.reshape(-1, *shape) if x is not None else None
    samples = run(field, find_solver(solver), grid, x, n, seed, dtype, memory, first)
    return samples if n is not None else replace(samples, x=samples.x.reshape(batch + shape))


def start(field: Field, grid: Grid, n: int, seed: int = 0, first: int = 0, dtype: Any = np.float64) -> Any:
    """Samples first .. first + n - 1 of the path's prior at the first time of the grid, a numpy array (n, *shape)."""
    from solverbench.engines.noise import START, normals

    t = float(grid.times[0])
    z = normals(seed, START, first, n, int(np.prod(field.shape)), dtype)
    return z.reshape(n, *field.shape) * z.dtype.type(field.path.prior_std(t))


def _sample_numpy(
    field: Field, solver: Solver, grid: Grid, x: Any, n: int | None, seed: int, dtype: Any, memory: int, first: int
) -> Samples:
    import time

    from solverbench.engines import numpy as engine
    from solverbench.engines.noise import normals

    dtype = np.dtype(_numpy_name(dtype)) if dtype is not None else getattr(x, "dtype", np.dtype(np.float32))
    narrow = np.float32 if dtype == np.float32 else np.float64
    x = start(field, grid, n or 1, seed, first, narrow) if x is None else np.asarray(x)
    x = x.astype(dtype)
    if dtype.kind == "O":
        import mpmath

        number: Any = mpmath.mpf if hasattr(x.flat[0], "_mpf_") else type(x.flat[0])
    else:
        number = np.longdouble if dtype == np.longdouble else float
    plan = solver.plan(field.path, grid.astype(number), field.prediction)
    chunk = max(1, memory // max(1, plan.rows * int(np.prod(field.shape)) * max(x.itemsize, 8)))
    d = int(np.prod(field.shape))
    started = time.perf_counter()
    parts = []
    for i in range(0, len(x), chunk):
        part = x[i : i + chunk]

        def noise(draw: int, part: Any = part, i: int = i) -> Any:
            z = normals(seed, draw + 1, first + i, len(part), d, narrow).reshape(part.shape)
            return z.astype(object) * number(1) if dtype.kind == "O" else z.astype(dtype)

        parts.append(engine.run(plan, field, part, noise))
    return Samples(
        np.concatenate(parts), plan.nfe, plan, tuple(field.shape), time.perf_counter() - started, float("nan")
    )


def _sample_torch(
    field: Field, solver: Solver, grid: Grid, x: Any, n: int | None, seed: int, dtype: Any, memory: int, first: int
) -> Samples:
    import torch

    from solverbench.engines.noise import START
    from solverbench.engines.torch import Runner, fill_normal

    if dtype is not None:
        dtype = getattr(torch, _numpy_name(dtype)) if not isinstance(dtype, torch.dtype) else dtype
    if x is not None:
        x = torch.as_tensor(x)
    dtype = dtype or (x.dtype if x is not None else torch.float32)
    if not dtype.is_floating_point:
        raise UsageError(f"states must be floating-point numbers, got {dtype}")
    device = x.device if x is not None else torch.device("cpu")
    plan = solver.plan(field.path, grid.astype(float), field.prediction)
    total = len(x) if x is not None else int(n or 1)
    d = int(np.prod(field.shape))
    chunk = min(total, max(1, memory // max(1, plan.rows * d * dtype.itemsize)))
    runner = Runner(plan, chunk, field.shape, dtype, device)
    prior_std = field.path.prior_std(float(grid.times[0]))
    result = torch.empty((total, *field.shape), dtype=dtype, device=device)
    with torch.no_grad():
        for i in range(0, total, chunk):
            m = min(chunk, total - i)
            if x is not None:
                part = x[i : i + m].to(dtype)
            else:
                part = torch.empty((m, d), dtype=dtype)
                fill_normal(part, seed, START, first + i)
                part = part.mul_(prior_std).view(m, *field.shape)
            result[i : i + m] = runner(field, part.contiguous(), seed=seed, first=first + i)
    return Samples(result, plan.nfe, plan, tuple(field.shape), runner.meter.total, runner.meter.field)


def _numpy_name(dtype: Any) -> str:
    """The name of a floating-point type given as a string, a numpy or a torch type."""
    name = str(dtype).removeprefix("torch.") if not isinstance(dtype, type) else np.dtype(dtype).name
    known = ("float16", "bfloat16", "float32", "float64", "float128", "longdouble", "object")
    if name not in known:
        raise UsageError(f"dtype {dtype!r} is not a floating-point type ({', '.join(known)})")
    return name


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
    grid = _on_path(grid, field.path)
    return law_of(find_solver(solver).plan(field.path, grid, field.prediction), field, start, target)
